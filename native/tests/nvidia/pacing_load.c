/*
 * Load for the core limit: PROCESSES processes launch kernels of NANOSECONDS as fast as they may, for SECONDS of the
 * device's clock. With "sync" each waits for its kernel before the next; with "async" it only keeps from running ahead
 * by more than the driver's queue. Prints, in percent of the device's time, what they got in those seconds ("share")
 * and since they were let loose ("from_start"), WARM_UP_S seconds before. With SECOND_PERCENT as many processes again
 * run in a second container with that core limit, and "second" is what those got. LEAST and MOST, if given, make it a
 * test of "share".
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share.h"

#define MOST_PROCESSES 256

struct shared {
  uint32_t ready;
  uint32_t go;
  uint64_t end_ns;
};

static struct shared *shared;
static pid_t children[MOST_PROCESSES];
static uint32_t child_count;

static void work(uint64_t kernel_ns, bool sync) {
  (void)share_open();
  CUfunction kernel = share_kernel(kernel_ns);
  (void)__atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE) == 0) {
    usleep(100);
  }
  while (hami_fake_now_ns() < shared->end_ns) {
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, NULL));
    if (sync) {
      CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(NULL));
    }
  }
}

static void start(uint32_t processes, uint64_t kernel_ns, bool sync, unsigned int second_percent) {
  CHECK(child_count + processes <= MOST_PROCESSES);
  for (uint32_t i = 0; i < processes; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      if (second_percent != 0) {
        share_move_to_second(second_percent);
      }
      work(kernel_ns, sync);
      pause(); /* its books go with it */
      _exit(0);
    }
    children[child_count++] = child;
  }
}

static void pass_until(uint64_t when_ns) {
  while (hami_fake_now_ns() < when_ns) {
    CHECK(waitpid(-1, NULL, WNOHANG) == 0); /* a check that failed */
    usleep(1000);
  }
}

/* One moment, and the device time used before it: by all, and by the second container's processes. */
struct reading {
  uint64_t now_ns;
  uint64_t busy_ns;
  uint64_t second_ns;
};

static struct reading read_device(uint32_t first_of_second) {
  struct reading reading = {.now_ns = hami_fake_now_ns(), .busy_ns = hami_fake_busy_ns(0, 0)};
  for (uint32_t i = first_of_second; i < child_count; i++) {
    reading.second_ns += hami_fake_busy_ns(children[i], 0);
  }
  return reading;
}

static double percent(uint64_t used_ns, uint64_t elapsed_ns) { return (double)used_ns * 100.0 / (double)elapsed_ns; }

int main(int argc, char **argv) {
  CHECK(argc >= 5);
  uint64_t kernel_ns = strtoull(argv[1], NULL, 10);
  uint32_t processes = (uint32_t)strtoul(argv[2], NULL, 10);
  bool sync = strcmp(argv[3], "sync") == 0;
  double seconds = strtod(argv[4], NULL);
  const char *warm_up = getenv("WARM_UP_S");
  const char *second_percent = getenv("SECOND_PERCENT");
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  start(processes, kernel_ns, sync, 0);
  if (second_percent != NULL) {
    start(processes, kernel_ns, sync, (unsigned int)strtoul(second_percent, NULL, 10));
  }
  while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < child_count) {
    CHECK(waitpid(-1, NULL, WNOHANG) == 0);
    usleep(1000);
  }
  struct reading start_of_all = read_device(processes);
  uint64_t begin_ns = start_of_all.now_ns + (uint64_t)((warm_up == NULL ? 0.0 : strtod(warm_up, NULL)) * 1e9);
  shared->end_ns = begin_ns + (uint64_t)(seconds * 1e9);
  __atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
  pass_until(begin_ns);
  struct reading begin = read_device(processes);
  pass_until(shared->end_ns);
  struct reading end = read_device(processes);
  uint64_t elapsed_ns = end.now_ns - begin.now_ns;
  uint64_t second_ns = end.second_ns - begin.second_ns;
  double share = percent(end.busy_ns - begin.busy_ns - second_ns, elapsed_ns);
  printf("{\"share\": %.3f, \"second\": %.3f, \"from_start\": %.3f}\n", share, percent(second_ns, elapsed_ns),
         percent(end.busy_ns - start_of_all.busy_ns - (end.second_ns - start_of_all.second_ns),
                 end.now_ns - start_of_all.now_ns));
  for (uint32_t i = 0; i < child_count; i++) {
    (void)kill(children[i], SIGKILL);
  }
  while (wait(NULL) > 0) {
  }
  if (argc >= 7 && (share < strtod(argv[5], NULL) || share > strtod(argv[6], NULL))) {
    fprintf(stderr, "wanted %s to %s percent\n", argv[5], argv[6]);
    return 1;
  }
  return 0;
}
