/*
 * Load for the core limit: PROCESSES processes launch kernels of NANOSECONDS as fast as they may, for SECONDS of the
 * device's clock; prints the percent of the device's time that they got. With "sync" each waits for its kernel before
 * the next; with "async" it only keeps from running ahead by more than the driver's queue.
 * LEAST and MOST, if given, make it a test. WARM_UP_S seconds before are not counted.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share.h"

struct shared {
  uint32_t ready;
  uint32_t go;
  uint64_t end_ns;
};

static void work(struct shared *shared, uint64_t kernel_ns, bool sync) {
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

int main(int argc, char **argv) {
  CHECK(argc >= 5);
  uint64_t kernel_ns = strtoull(argv[1], NULL, 10);
  uint32_t processes = (uint32_t)strtoul(argv[2], NULL, 10);
  bool sync = strcmp(argv[3], "sync") == 0;
  double seconds = strtod(argv[4], NULL);
  struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  pid_t children[256];
  CHECK(processes <= 256);
  for (uint32_t i = 0; i < processes; i++) {
    children[i] = fork();
    CHECK(children[i] >= 0);
    if (children[i] == 0) {
      work(shared, kernel_ns, sync);
      pause(); /* its books go with it */
      _exit(0);
    }
  }
  while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < processes) {
    usleep(1000);
  }
  const char *warm_up = getenv("WARM_UP_S");
  uint64_t begin_ns = hami_fake_now_ns() + (uint64_t)((warm_up == NULL ? 0.0 : strtod(warm_up, NULL)) * 1e9);
  shared->end_ns = begin_ns + (uint64_t)(seconds * 1e9);
  __atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
  while (hami_fake_now_ns() < begin_ns) {
    usleep(1000);
  }
  begin_ns = hami_fake_now_ns();
  uint64_t before_ns = hami_fake_busy_ns(0, 0);
  while (hami_fake_now_ns() < shared->end_ns) {
    usleep(1000);
  }
  uint64_t busy_ns = hami_fake_busy_ns(0, 0) - before_ns;
  double percent = (double)busy_ns * 100.0 / (double)(hami_fake_now_ns() - begin_ns);
  printf("%.2f\n", percent);
  for (uint32_t i = 0; i < processes; i++) {
    (void)kill(children[i], SIGKILL);
  }
  while (wait(NULL) > 0) {
  }
  if (argc >= 7 && (percent < strtod(argv[5], NULL) || percent > strtod(argv[6], NULL))) {
    fprintf(stderr, "wanted %s to %s percent\n", argv[5], argv[6]);
    return 1;
  }
  return 0;
}
