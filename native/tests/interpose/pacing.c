#include "tests/interpose/pacing.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake/common/control.h"
#include "tests/core/check.h"

#define MOST_PROCESSES 256

struct shared {
  uint32_t ready;
  uint32_t go;
  uint64_t end_ns;
};

static void work(struct shared *shared, const struct pacing_vendor *vendor, const uint64_t *kernel_ns, bool sync) {
  (void)__atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE) == 0) {
    usleep(100);
  }
  while (hami_fake_now_ns() < shared->end_ns) {
    CHECK_EQUAL(0, vendor->launch(kernel_ns));
    if (sync) {
      vendor->synchronise();
    }
  }
}

int pacing_load(int argc, char **argv, const struct pacing_vendor *vendor) {
  CHECK(argc == 5 || argc == 7);
  const uint64_t kernel_ns = strtoull(argv[1], NULL, 10);
  uint32_t processes = (uint32_t)strtoul(argv[2], NULL, 10);
  bool sync = strcmp(argv[3], "sync") == 0;
  double seconds = strtod(argv[4], NULL);
  struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  pid_t children[MOST_PROCESSES];
  CHECK(processes <= MOST_PROCESSES);
  for (uint32_t i = 0; i < processes; i++) {
    children[i] = fork();
    CHECK(children[i] >= 0);
    if (children[i] == 0) {
      work(shared, vendor, &kernel_ns, sync);
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
  if (argc == 7 && (percent < strtod(argv[5], NULL) || percent > strtod(argv[6], NULL))) {
    fprintf(stderr, "wanted %s to %s percent\n", argv[5], argv[6]);
    return 1;
  }
  return 0;
}
