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

static struct shared *shared;
static pid_t children[MOST_PROCESSES];
static uint32_t child_count;

static void work(const struct pacing_vendor *vendor, const uint64_t *kernel_ns, bool sync) {
  if (vendor->open != NULL) {
    vendor->open(kernel_ns);
  }
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

static void start(const struct pacing_vendor *vendor, uint32_t processes, const uint64_t *kernel_ns, bool sync,
                  unsigned int second_percent) {
  CHECK(child_count + processes <= MOST_PROCESSES);
  for (uint32_t i = 0; i < processes; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      if (second_percent != 0) {
        vendor->move_to_second(second_percent);
      }
      work(vendor, kernel_ns, sync);
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

int pacing_load(int argc, char **argv, const struct pacing_vendor *vendor) {
  CHECK(argc == 5 || argc == 7);
  const uint64_t kernel_ns = strtoull(argv[1], NULL, 10);
  uint32_t processes = (uint32_t)strtoul(argv[2], NULL, 10);
  bool sync = strcmp(argv[3], "sync") == 0;
  double seconds = strtod(argv[4], NULL);
  const char *warm_up = getenv("WARM_UP_S");
  const char *second_percent = getenv("SECOND_PERCENT");
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  start(vendor, processes, &kernel_ns, sync, 0);
  if (second_percent != NULL) {
    CHECK(vendor->move_to_second != NULL);
    start(vendor, processes, &kernel_ns, sync, (unsigned int)strtoul(second_percent, NULL, 10));
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
  if (argc == 7 && (share < strtod(argv[5], NULL) || share > strtod(argv[6], NULL))) {
    fprintf(stderr, "wanted %s to %s percent\n", argv[5], argv[6]);
    return 1;
  }
  return 0;
}
