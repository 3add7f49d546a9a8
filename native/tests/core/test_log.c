#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

static char text[65536];

/* What the core writes to standard error while `act` runs. */
static const char *captured(void (*act)(void)) {
  int pipes[2];
  int kept = dup(STDERR_FILENO);
  CHECK(pipe2(pipes, O_CLOEXEC) == 0 && fcntl(pipes[1], F_SETPIPE_SZ, 65536) > 0);
  CHECK(dup2(pipes[1], STDERR_FILENO) >= 0);
  act();
  CHECK(dup2(kept, STDERR_FILENO) >= 0 && close(kept) == 0 && close(pipes[1]) == 0);
  ssize_t length = read(pipes[0], text, sizeof text - 1);
  CHECK(length >= 0 && close(pipes[0]) == 0);
  text[length] = '\0';
  return text;
}

static void everything(void) {
  errno = ENOTTY;
  HAMI_LOG(HAMI_LOG_ERROR, "an error of %d", 1);
  HAMI_LOG(HAMI_LOG_DEBUG, "a detail");
  HAMI_MSG("orig free=%d total=%d limit=%d usage=%d", 1, 2, 3, 4);
  CHECK_EQUAL(ENOTTY, errno);
}

static void nothing_is_said_by_default(void) {
  hami_log_configure(NULL);
  CHECK_TEXT("", captured(everything));
  hami_log_configure("5");
  CHECK_TEXT("", captured(everything));
  hami_log_configure("");
  CHECK_TEXT("", captured(everything));
}

static void errors_alone_are_said_at_level_1(void) {
  hami_log_configure("1");
  const char *said = captured(everything);
  CHECK(strstr(said, "an error of 1\n") != NULL);
  CHECK(strstr(said, "a detail") == NULL && strstr(said, "orig") == NULL);
}

static void lines_have_the_familiar_form(void) {
  char expected[256];
  hami_log_configure("4");
  const char *said = captured(everything);
  (void)snprintf(expected, sizeof expected, "[HAMI-core Msg(%d:%d:test_log.c:", (int)getpid(), (int)getpid());
  const char *line = strstr(said, expected);
  CHECK(line != NULL);
  CHECK(strstr(line, ")]: orig free=1 total=2 limit=3 usage=4\n") != NULL);
  CHECK(strstr(said, "[HAMI-core ERROR(") == said);
}

static void a_flood(void) {
  for (int i = 0; i < 5000; i++) {
    HAMI_LOG(HAMI_LOG_ERROR, "line %d", i);
  }
}

static void a_flood_is_cut(void) {
  hami_log_configure("1");
  const char *said = captured(a_flood);
  unsigned int lines = 0;
  for (const char *at = said; (at = strchr(at, '\n')) != NULL; at++) {
    lines++;
  }
  CHECK(lines >= 1 && lines <= 300);
}

static void a_long_line(void) { HAMI_LOG(HAMI_LOG_ERROR, "%01000d", 7); }

static void a_long_line_is_cut_and_still_ends(void) {
  hami_log_configure("1");
  sleep(1); /* the flood used this second's lines up */
  size_t length = strlen(captured(a_long_line));
  CHECK(length > 100 && length < 400 && text[length - 1] == '\n');
}

int main(void) {
  RUN(nothing_is_said_by_default);
  RUN(errors_alone_are_said_at_level_1);
  RUN(lines_have_the_familiar_form);
  RUN(a_flood_is_cut);
  RUN(a_long_line_is_cut_and_still_ends);
  return 0;
}
