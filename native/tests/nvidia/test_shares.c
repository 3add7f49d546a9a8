/*
 * Two shares of one card's time. Run in a share of 30 percent; what the argument says is added to it:
 *
 *   fair       a second share of 70 percent, both always busy: each gets its part, nobody starves
 *   neighbour  somebody outside any share comes and goes: the idle time of the card is this share's own only while
 *              there is nobody else (policy default)
 *
 * Kernels of 20 ms need little of the host's own time, so that a busy host does not decide who gets what.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share.h"

#define KERNEL_NS 20000000ULL
#define LONGEST_WAIT_NS 2000000000ULL /* for a launch; a share of 30 percent earns its kernel in 67 ms */

struct board {
  uint32_t ready;
  uint32_t launches[2];
};

static struct board *board;

static void work(int place) {
  (void)share_open();
  CUfunction kernel = share_kernel(KERNEL_NS);
  (void)__atomic_add_fetch(&board->ready, 1, __ATOMIC_ACQ_REL);
  for (;;) {
    uint64_t begin_ns = hami_fake_now_ns();
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, NULL));
    CHECK(hami_fake_now_ns() - begin_ns < LONGEST_WAIT_NS);
    CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(NULL));
    (void)__atomic_add_fetch(&board->launches[place], 1, __ATOMIC_RELAXED);
  }
}

static pid_t start_in_this_share(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    work(0);
  }
  return child;
}

static pid_t start_in_share_of(unsigned int percent) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    share_move_to_second(percent);
    work(1);
  }
  return child;
}

static pid_t start_outside(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK(unsetenv("HAMI_LIMITS_FILE") == 0);
    work(1);
  }
  return child;
}

static void wait_until_ready(uint32_t count) {
  while (__atomic_load_n(&board->ready, __ATOMIC_ACQUIRE) < count) {
    CHECK(waitpid(-1, NULL, WNOHANG) == 0);
    (void)usleep(1000);
  }
}

static void pass(double seconds) {
  uint64_t end_ns = hami_fake_now_ns() + (uint64_t)(seconds * 1e9);
  while (hami_fake_now_ns() < end_ns) {
    CHECK(waitpid(-1, NULL, WNOHANG) == 0); /* a check that failed */
    (void)usleep(1000);
  }
}

/* Percent of the device's time that each of two processes got in the next seconds. */
static void measure(const pid_t children[2], double seconds, double percent[2]) {
  uint64_t before[2];
  uint64_t begin_ns = hami_fake_now_ns();
  for (int i = 0; i < 2; i++) {
    before[i] = children[i] == 0 ? 0 : hami_fake_busy_ns(children[i], 0);
  }
  pass(seconds);
  for (int i = 0; i < 2; i++) {
    uint64_t busy_ns = children[i] == 0 ? 0 : hami_fake_busy_ns(children[i], 0) - before[i];
    percent[i] = (double)busy_ns * 100.0 / (double)(hami_fake_now_ns() - begin_ns);
  }
  printf("%.1f%% and %.1f%%\n", percent[0], percent[1]);
}

static void end(pid_t child) {
  CHECK(kill(child, SIGKILL) == 0);
  CHECK(waitpid(child, NULL, 0) == child);
}

static void two_shares_get_their_parts(void) {
  double percent[2];
  pid_t children[2] = {start_in_this_share(), start_in_share_of(70)};
  wait_until_ready(2);
  pass(1);
  measure(children, 4, percent);
  CHECK(percent[0] <= 34 && percent[1] <= 74);
  CHECK(percent[0] / percent[1] > 0.30 / 0.70 * 0.75);
  CHECK(percent[0] / percent[1] < 0.30 / 0.70 * 1.33);
  CHECK(board->launches[0] > 0 && board->launches[1] > 0);
  end(children[0]);
  end(children[1]);
}

static void idle_time_is_used_until_somebody_comes_and_again_after(void) {
  double percent[2];
  pid_t children[2] = {start_in_this_share(), 0};
  wait_until_ready(1);
  pass(1);
  measure(children, 2, percent);
  CHECK(percent[0] > 50); /* more than its 30 */
  children[1] = start_outside();
  wait_until_ready(2);
  pass(2);
  measure(children, 3, percent);
  CHECK(percent[0] < 36);
  end(children[1]);
  children[1] = 0;
  pass(4);
  measure(children, 2, percent);
  CHECK(percent[0] > 50); /* nothing sticks */
  end(children[0]);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(board != MAP_FAILED);
  if (strcmp(argv[1], "fair") == 0) {
    two_shares_get_their_parts();
  } else {
    idle_time_is_used_until_somebody_comes_and_again_after();
  }
  return 0;
}
