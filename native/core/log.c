#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/effects.h"
#include "core/syscalls.h"

#define LINE_SIZE 384
#define LINES_PER_SECOND 100U
#define NS_PER_S 1000000000ULL

int hami_log_threshold = HAMI_LOG_SILENT;

static uint64_t window; /* second of the current window in the high half, lines written in it in the low half */

void hami_log_configure(const char *text) {
  bool valid = text != NULL && text[0] >= '0' && text[0] <= '4' && text[1] == '\0';
  hami_log_threshold = valid ? text[0] - '0' : HAMI_LOG_SILENT;
}

/* A program stuck in a loop of refused requests must not be drowned in, or slowed by, our lines. */
static bool within_rate(void) {
  uint64_t second = hami_effects_system.coarse_ns() / NS_PER_S;
  uint64_t seen = __atomic_load_n(&window, __ATOMIC_RELAXED);
  uint64_t next;
  do {
    uint64_t lines = seen >> 32 == (second & UINT32_MAX) ? seen & UINT32_MAX : 0;
    if (lines >= LINES_PER_SECOND) {
      return false;
    }
    next = (second & UINT32_MAX) << 32 | (lines + 1);
  } while (!__atomic_compare_exchange_n(&window, &seen, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return true;
}

__attribute__((format(printf, 4, 0))) static void write_line(const char *label, const char *file, int line,
                                                             const char *format, va_list arguments) {
  int saved = errno;
  if (within_rate()) {
    char text[LINE_SIZE];
    int used = snprintf(text, sizeof text, "[HAMI-core %s(%d:%ld:%s:%d)]: ", label, (int)getpid(),
                        (long)syscall(SYS_gettid), file, line);
    size_t length = used < 0 ? 0 : (size_t)used < sizeof text - 1 ? (size_t)used : sizeof text - 1;
    used = vsnprintf(text + length, sizeof text - length, format, arguments);
    length += used < 0 ? 0 : (size_t)used;
    length = length < sizeof text - 1 ? length : sizeof text - 1;
    text[length++] = '\n';
    /* One write, so that lines of several processes do not mix; what does not go out at once is lost. */
    ssize_t written = hami_sys_write(STDERR_FILENO, text, length);
    (void)written;
  }
  errno = saved;
}

void hami_log_write(enum hami_log_level level, const char *file, int line, const char *format, ...) {
  static const char *const labels[] = {"Silent", "ERROR", "Warn", "Info", "Debug"};
  va_list arguments;
  va_start(arguments, format);
  write_line(labels[level], file, line, format, arguments);
  va_end(arguments);
}

void hami_log_message(const char *file, int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  write_line("Msg", file, line, format, arguments);
  va_end(arguments);
}
