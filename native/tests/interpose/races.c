#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake/card/card.h"
#include "tests/interpose/paths.h"

#define THREADS 8
#define ROUNDS 200
#define PIECE (150 * MIB) /* not all threads' pieces fit at once */

static const struct vendor_under_test *under_test;

static uint64_t used(void) {
  uint64_t free_bytes = 0;
  uint64_t total_bytes = 0;
  under_test->info(&free_bytes, &total_bytes);
  return total_bytes - free_bytes;
}

static int get(const struct path *path, uint64_t bytes, struct held *held) {
  int result = path->get(bytes, held);
  CHECK(result == 0 || result == under_test->out_of_memory);
  return result;
}

static void *allocate_and_free(void *granted) {
  for (int round = 0; round < ROUNDS; round++) {
    struct held held = {0};
    if (get(&under_test->paths[0], PIECE, &held) == 0) {
      CHECK(fake_used_bytes() <= SHARE_BYTES);
      CHECK_EQUAL(0, under_test->paths[0].put(&held));
      (void)__atomic_add_fetch((int *)granted, 1, __ATOMIC_RELAXED);
    }
  }
  return NULL;
}

static void threads_never_hold_more_than_the_share(void) {
  pthread_t threads[THREADS];
  int granted = 0;
  for (int i = 0; i < THREADS; i++) {
    CHECK_EQUAL(0, pthread_create(&threads[i], NULL, allocate_and_free, &granted));
  }
  for (int i = 0; i < THREADS; i++) {
    CHECK_EQUAL(0, pthread_join(threads[i], NULL));
  }
  CHECK(granted > 0);
  CHECK_EQUAL(0, used());
}

/* Status of a child that runs `work` and is waited for. */
static int in_child(void (*work)(void)) {
  int status = 0;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    work();
    _exit(0);
  }
  CHECK_EQUAL(child, waitpid(child, &status, 0));
  return status;
}

static void take_what_is_left(void) {
  struct held held = {0};
  CHECK_EQUAL(400 * MIB, used());
  CHECK_EQUAL(under_test->out_of_memory, get(&under_test->paths[0], 700 * MIB, &held));
  CHECK_EQUAL(0, get(&under_test->paths[0], 500 * MIB, &held));
  CHECK_EQUAL(900 * MIB, used());
}

static void a_child_shares_the_limit_and_takes_nothing_along(void) {
  struct held held = {0};
  CHECK_EQUAL(0, get(&under_test->paths[0], 400 * MIB, &held));
  CHECK_EQUAL(0, in_child(take_what_is_left));
  struct held rest = {0};
  CHECK_EQUAL(0, get(&under_test->paths[0], 600 * MIB, &rest)); /* what the child held ended with it */
  CHECK_EQUAL(0, under_test->paths[0].put(&rest));
  CHECK_EQUAL(0, under_test->paths[0].put(&held));
  CHECK_EQUAL(0, used());
}

static void hold_and_be_killed(void) {
  struct held held = {0};
  CHECK_EQUAL(0, get(&under_test->paths[0], 900 * MIB, &held));
  (void)raise(SIGKILL);
}

static void what_a_killed_process_held_is_free_again(void) {
  struct held held = {0};
  CHECK_EQUAL(SIGKILL, WTERMSIG(in_child(hold_and_be_killed)));
  CHECK_EQUAL(0, get(&under_test->paths[0], 900 * MIB, &held));
  CHECK_EQUAL(0, under_test->paths[0].put(&held));
}

static const char *region(void) {
  static char path[512];
  (void)snprintf(path, sizeof path, "%s", getenv("HAMI_LIMITS_FILE"));
  strcpy(strrchr(path, '/'), "/region");
  return path;
}

static void fill_the_share_and_no_more(void) {
  struct held first = {0};
  struct held second = {0};
  CHECK_EQUAL(0, get(&under_test->paths[0], 600 * MIB, &first));
  CHECK_EQUAL(under_test->out_of_memory, get(&under_test->paths[0], 600 * MIB, &second));
  CHECK_EQUAL(0, get(&under_test->paths[0], 400 * MIB, &second));
  CHECK_EQUAL(0, under_test->paths[0].put(&first));
  CHECK_EQUAL(0, under_test->paths[0].put(&second));
}

static void overwrite_the_region_and_fill_the_share(void) {
  struct held held = {0};
  unsigned char junk[4096];
  CHECK_EQUAL(0, get(&under_test->paths[0], 600 * MIB, &held));
  int fd = open(region(), O_WRONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  memset(junk, 0xff, sizeof junk);
  for (off_t at = 0; at < (off_t)(32 * sizeof junk); at += (off_t)sizeof junk) {
    CHECK(pwrite(fd, junk, sizeof junk, at) == (ssize_t)sizeof junk);
  }
  CHECK(close(fd) == 0);
  struct held more = {0};
  CHECK_EQUAL(under_test->out_of_memory, get(&under_test->paths[0], 600 * MIB, &more));
  CHECK_EQUAL(0, under_test->paths[0].put(&held));
}

static void a_region_of_nonsense_leaves_the_share_held(void) {
  CHECK_EQUAL(0, in_child(overwrite_the_region_and_fill_the_share));
  CHECK_EQUAL(0, in_child(fill_the_share_and_no_more)); /* that one comes upon it */
  CHECK_EQUAL(0, unlink(region()));
  CHECK_EQUAL(0, in_child(fill_the_share_and_no_more));
}

static int arrived[2];

static void hold_and_stop(void) {
  struct held held = {0};
  CHECK_EQUAL(0, get(&under_test->paths[0], 600 * MIB, &held));
  CHECK(write(arrived[1], "x", 1) == 1);
  for (;;) {
    (void)pause();
  }
}

static void a_stopped_process_keeps_its_memory_and_blocks_nobody(void) {
  struct held held = {0};
  char byte;
  CHECK_EQUAL(0, pipe(arrived));
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    hold_and_stop();
  }
  CHECK(read(arrived[0], &byte, 1) == 1);
  CHECK_EQUAL(0, kill(child, SIGSTOP));
  CHECK_EQUAL(under_test->out_of_memory, get(&under_test->paths[0], 500 * MIB, &held));
  CHECK_EQUAL(0, get(&under_test->paths[0], 300 * MIB, &held));
  CHECK_EQUAL(0, under_test->paths[0].put(&held));
  CHECK_EQUAL(0, kill(child, SIGKILL));
  CHECK_EQUAL(child, waitpid(child, NULL, 0));
}

void races_check(const struct vendor_under_test *vendor) {
  under_test = vendor;
  RUN(threads_never_hold_more_than_the_share);
  RUN(a_child_shares_the_limit_and_takes_nothing_along);
  RUN(what_a_killed_process_held_is_free_again);
  RUN(a_stopped_process_keeps_its_memory_and_blocks_nobody);
  RUN(a_region_of_nonsense_leaves_the_share_held);
}
