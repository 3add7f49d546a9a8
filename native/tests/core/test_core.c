/* The core as a vendor's library uses it: real clock, real processes, a fresh program for each case. */
#include "core/core.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "world.h"

static const struct hami_env_names names = {.memory_limit = "TEST_MEMORY"};

static void write_limits(void) {
  char text[1024];
  world_begin();
  (void)snprintf(text, sizeof text, "hami-limits 1\nregion %s\ndevice " WORLD_GPU_0 " memory_mib=100\n",
                 world_path("region"));
  world_write("limits", text);
  CHECK(setenv(HAMI_LIMITS_FILE_VARIABLE, world_path("limits"), 1) == 0);
}

/* Runs `body` in a new process, so that it has a core of its own. */
static void in_a_process(void (*body)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(0, status);
}

static void start_unlimited(void) {
  CHECK(unsetenv(HAMI_LIMITS_FILE_VARIABLE) == 0);
  CHECK(!hami_core_start(&names));
  CHECK(!hami_core_active());
  CHECK(hami_core_reserve(0, 0, UINT64_MAX));
  CHECK_EQUAL(0, hami_core_used_bytes(0));
  CHECK_EQUAL(HAMI_UNLIMITED, hami_core_limit_bytes(0));
  CHECK_EQUAL(0, hami_core_admit(0, 5, NULL));
  CHECK(!hami_core_forked());
}

static void without_limits_everything_is_allowed(void) { in_a_process(start_unlimited); }

static void start_and_look_around(void) {
  mode_t mask = umask(027);
  errno = E2BIG;
  CHECK(hami_core_start(&names));
  CHECK_EQUAL(E2BIG, errno);
  CHECK_EQUAL(027, umask(mask));
  CHECK_EQUAL(1, hami_core_device_count());
  CHECK_EQUAL(0, hami_core_device_by_uuid(WORLD_GPU_0));
  CHECK_TEXT(WORLD_GPU_0, hami_core_uuid(0));
  CHECK(hami_core_reserve(0, 0, 100 * MIB));
  CHECK(!hami_core_reserve(0, 0, 1));
  CHECK_EQUAL(E2BIG, errno);
  CHECK(!hami_core_over_limit(0));
  hami_core_force(0, 0, 1);
  CHECK(hami_core_over_limit(0));
}

static void starting_changes_nothing_of_the_program_s(void) {
  write_limits();
  in_a_process(start_and_look_around);
}

static void *start_in_thread(void *unused) {
  (void)unused;
  CHECK(hami_core_start(&names));
  CHECK(hami_core_reserve(0, 0, MIB));
  return NULL;
}

static void start_in_threads(void) {
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) {
    CHECK(pthread_create(&threads[i], NULL, start_in_thread, NULL) == 0);
  }
  for (int i = 0; i < 8; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  CHECK_EQUAL(8 * MIB, hami_core_used_bytes(0));
}

static void threads_may_start_it_together(void) {
  write_limits();
  in_a_process(start_in_threads);
}

static int dropped;

static void drop(void) { dropped++; }

static int as_child(void *unused) {
  (void)unused;
  dropped = 0;
  CHECK(hami_core_forked());
  hami_core_drop_inherited(drop);
  hami_core_drop_inherited(drop);
  CHECK_EQUAL(1, dropped);
  CHECK(!hami_core_forked());
  CHECK_EQUAL(0, hami_core_own_bytes(0));
  CHECK(hami_core_used_bytes(0) >= 60 * MIB); /* an earlier child may count for a second after its end */
  hami_core_release(0, 0, 60 * MIB);          /* of an object inherited from the parent: not its own to give back */
  CHECK(!hami_core_reserve(0, 0, 50 * MIB));
  CHECK(hami_core_reserve(0, 0, 30 * MIB));
  return 0;
}

static void wait_for_success(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(0, status);
}

static void fork_and_clone(void) {
  static char stack[1 << 18] __attribute__((aligned(16)));
  CHECK(hami_core_start(&names) && hami_core_reserve(0, 0, 60 * MIB));
  for (int i = 0; i < 3; i++) {
    pid_t child = fork();
    if (child == 0) {
      _exit(as_child(NULL));
    }
    wait_for_success(child);
    wait_for_success(clone(as_child, stack + sizeof stack, SIGCHLD, NULL));
  }
  CHECK(!hami_core_forked());
  CHECK_EQUAL(60 * MIB, hami_core_own_bytes(0));
  CHECK(hami_core_reserve(0, 0, 40 * MIB)); /* the children's charges went with them */
}

static void children_start_at_zero_and_leave_the_parent_alone(void) {
  write_limits();
  in_a_process(fork_and_clone);
}

static int inside;

static void drop_slowly(void) {
  __atomic_store_n(&inside, 1, __ATOMIC_RELEASE);
  CHECK(usleep(20000) == 0);
  __atomic_store_n(&dropped, 1, __ATOMIC_RELEASE);
}

static void *drop_in_a_thread(void *unused) {
  (void)unused;
  hami_core_drop_inherited(drop_slowly);
  return NULL;
}

static void fork_into_threads(void) {
  CHECK(hami_core_start(&names));
  pid_t child = fork();
  if (child == 0) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, drop_in_a_thread, NULL) == 0);
    while (!__atomic_load_n(&inside, __ATOMIC_ACQUIRE)) {
      (void)sched_yield();
    }
    /* What a wrapper does first. It must not go on among things that are being dropped. */
    if (hami_core_forked()) {
      hami_core_drop_inherited(drop_slowly);
    }
    int done = __atomic_load_n(&dropped, __ATOMIC_ACQUIRE);
    CHECK(pthread_join(thread, NULL) == 0);
    _exit(done ? 0 : 1);
  }
  wait_for_success(child);
}

static void a_child_s_threads_wait_until_what_it_inherited_is_dropped(void) {
  write_limits();
  in_a_process(fork_into_threads);
}

static int stop;

static void *reserve_all_the_time(void *unused) {
  (void)unused;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    if (hami_core_reserve(0, 0, MIB)) {
      hami_core_release(0, 0, MIB);
    }
  }
  return NULL;
}

static void fork_while_busy(void) {
  pthread_t threads[2];
  CHECK(hami_core_start(&names));
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_create(&threads[i], NULL, reserve_all_the_time, NULL) == 0);
  }
  for (int i = 0; i < 100; i++) {
    pid_t child = fork();
    if (child == 0) {
      _exit(hami_core_own_bytes(0) == 0 && hami_core_reserve(0, 0, MIB) ? 0 : 1);
    }
    wait_for_success(child);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
}

static void forking_while_another_thread_is_inside_never_hangs_the_child(void) {
  write_limits();
  in_a_process(fork_while_busy);
}

static void *operate_although_cancelled(void *unused) {
  (void)unused;
  CHECK(pthread_cancel(pthread_self()) == 0); /* takes effect at the next call that the C library ends threads in */
  CHECK(hami_core_start(&names));
  CHECK(hami_core_reserve(0, 0, 60 * MIB));
  CHECK(!hami_core_reserve(0, 0, 60 * MIB)); /* looks for dead processes and raised limits first */
  struct hami_ledger_row rows[4];
  CHECK_EQUAL(1, hami_core_processes(0, rows, 4));
  hami_core_release(0, 0, 60 * MIB);
  CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL) == 0);
  return NULL;
}

static void cancel_a_thread_that_operates(void) {
  pthread_t thread;
  void *result;
  CHECK(pthread_create(&thread, NULL, operate_although_cancelled, NULL) == 0);
  CHECK(pthread_join(thread, &result) == 0);
  CHECK(result != PTHREAD_CANCELED);
  CHECK(hami_core_reserve(0, 0, 100 * MIB));
}

static void no_operation_is_where_a_cancelled_thread_ends(void) {
  write_limits();
  in_a_process(cancel_a_thread_that_operates);
}

int main(void) {
  RUN(without_limits_everything_is_allowed);
  RUN(starting_changes_nothing_of_the_program_s);
  RUN(threads_may_start_it_together);
  RUN(children_start_at_zero_and_leave_the_parent_alone);
  RUN(a_child_s_threads_wait_until_what_it_inherited_is_dropped);
  RUN(forking_while_another_thread_is_inside_never_hangs_the_child);
  RUN(no_operation_is_where_a_cancelled_thread_ends);
  return 0;
}
