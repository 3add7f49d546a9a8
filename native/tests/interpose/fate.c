/*
 * Lets the environment decide what befalls a process inside a library under test. Read at the first point of
 * core/test_point.h that a process passes, so that a child of fork may be given a fate of its own.
 *
 * HAMI_TEST_FATE    "<point> <visit> <signal>": the signal comes at the how-manieth pass of the point in this process
 * HAMI_TEST_VISITS  a file of tests/core/points.h's counts of visits, common to all processes
 * HAMI_TEST_JITTER  a seed: some passes of any point take up to 200 us longer, so that other processes get in between
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/test_point.h"
#include "tests/core/points.h"

static char fatal_point[64];
static uint32_t visits_left;
static int fatal_signal;
static uint64_t jitter;       /* 0: none */
static struct visits *visits; /* NULL: nobody counts */
static uint32_t read_by;      /* pid of the process whose environment was read */

static void open_visits(void) {
  const char *path = getenv("HAMI_TEST_VISITS");
  int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *visits, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd >= 0) {
    (void)close(fd);
  }
  __atomic_store_n(&visits, mapped == MAP_FAILED ? NULL : mapped, __ATOMIC_RELEASE);
}

static void read_fate(void) {
  const char *fate = getenv("HAMI_TEST_FATE");
  const char *seed = getenv("HAMI_TEST_JITTER");
  visits_left = 0;
  if (__atomic_load_n(&visits, __ATOMIC_RELAXED) == NULL) {
    open_visits();
  }
  jitter = seed == NULL ? 0 : strtoull(seed, NULL, 10);
  if (fate != NULL && sscanf(fate, "%63s %u %d", fatal_point, &visits_left, &fatal_signal) != 3) {
    fprintf(stderr, "HAMI_TEST_FATE: want '<point> <visit> <signal>', got '%s'\n", fate);
    _exit(2);
  }
}

static void linger(void) {
  uint64_t drawn = __atomic_load_n(&jitter, __ATOMIC_RELAXED);
  if (drawn == 0) {
    return;
  }
  drawn = drawn * 6364136223846793005ULL + 1442695040888963407ULL;
  __atomic_store_n(&jitter, drawn, __ATOMIC_RELAXED);
  if ((drawn >> 60) < 2) {
    struct timespec pause = {.tv_nsec = (long)((drawn >> 33) % 200000)};
    (void)nanosleep(&pause, NULL);
  }
}

static void meet_fate(const char *point) {
  uint32_t pid = (uint32_t)getpid();
  uint32_t known = __atomic_load_n(&read_by, __ATOMIC_ACQUIRE);
  if (known != pid && __atomic_compare_exchange_n(&read_by, &known, pid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    read_fate();
  }
  struct visits *counts = __atomic_load_n(&visits, __ATOMIC_ACQUIRE);
  if (counts != NULL) {
    note_visit(counts, point);
  }
  linger();
  if (__atomic_load_n(&visits_left, __ATOMIC_RELAXED) != 0 && strcmp(point, fatal_point) == 0 &&
      __atomic_fetch_sub(&visits_left, 1, __ATOMIC_RELAXED) == 1) {
    /* To this thread: a signal to the process may be another thread's, and this one be past the point when it counts.
     */
    if (counts != NULL) {
      (void)__atomic_add_fetch(&counts->met[point_index(point)], 1, __ATOMIC_RELAXED);
    }
    (void)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), fatal_signal);
  }
}

__attribute__((constructor)) static void begin(void) { hami_test_point = meet_fate; }
