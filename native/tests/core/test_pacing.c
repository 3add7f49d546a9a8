/* A container's share of device time comes out right, whatever it runs. */
#include "pacing_world.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STEP_OF_CASES 7 /* instrumented code is slow, and what it looks for shows in any case */
#else
#define STEP_OF_CASES 1
#endif

struct setting {
  uint32_t percent;
  uint64_t kernel_ns;
  uint32_t processes;
  uint32_t depth;
  bool knows;
};

/* Hundredths of a point by which a container in this setting misses its share. */
static uint64_t error_in(const struct setting *setting) {
  begin(share(setting->percent));
  for (uint32_t i = 0; i < setting->processes; i++) {
    (void)add_worker(setting->kernel_ns, setting->depth, setting->knows);
  }
  world_files_rest = true;
  uint64_t two_hundred_kernels = setting->kernel_ns * 20000 / setting->percent;
  uint64_t duration = two_hundred_kernels < 4 * S ? 4 * S : two_hundred_kernels;
  simulate(duration);
  uint64_t measured = used(0, worker_count, duration);
  uint64_t expected = setting->percent * 100;
  uint64_t error = measured > expected ? measured - expected : expected - measured;
  if (error > 300) {
    printf("share %u, kernel %" PRIu64 " ns, %u processes, depth %u, %s: used %" PRIu64 " hundredths\n",
           setting->percent, setting->kernel_ns, setting->processes, setting->depth,
           setting->knows ? "estimating" : "not estimating", measured);
  }
  return error;
}

/* The claim: within 3 points of the share, from 5 us to 500 ms, from 1 to 64 processes. */
static void a_container_uses_its_share_whatever_its_kernels_and_processes_are(void) {
  static const uint32_t percents[] = {10, 30, 50, 80};
  static const uint64_t kernels[] = {5 * US, 100 * US, 3 * MS, 40 * MS, 500 * MS};
  static const uint32_t counts[] = {1, 4, 64};
  static const uint32_t depths[] = {1, 32};
  uint64_t worst = 0;
  for (unsigned int i = 0; i < 4 * 5 * 3 * 2 * 2; i += STEP_OF_CASES) {
    const struct setting setting = {.percent = percents[i % 4],
                                    .kernel_ns = kernels[i / 4 % 5],
                                    .processes = counts[i / 20 % 3],
                                    .depth = depths[i / 60 % 2],
                                    .knows = i / 120 == 1};
    uint64_t error = error_in(&setting);
    worst = error > worst ? error : worst;
  }
  printf("worst error: %" PRIu64 ".%02" PRIu64 " points\n", worst / 100, worst % 100);
  CHECK(worst <= 300);
}

static void processes_with_short_and_long_kernels_share_one_bucket(void) {
  begin(share(40));
  for (uint32_t i = 0; i < 16; i++) {
    (void)add_worker(i % 2 == 0 ? 20 * US : 60 * MS, 4, true);
  }
  simulate(60 * S);
  uint64_t measured = used(0, worker_count, 60 * S);
  printf("used %" PRIu64 "\n", measured);
  CHECK(measured >= 3700 && measured <= 4300);
  for (uint32_t i = 0; i < worker_count; i++) {
    CHECK(workers[i].busy_ns > 0); /* nobody starves */
  }
}

static void two_containers_get_device_time_in_the_ratio_of_their_shares(void) {
  begin(share(30));
  for (int i = 0; i < 3; i++) {
    (void)add_worker(2 * MS, 8, true);
  }
  write_limits("b", share(70));
  for (int i = 0; i < 3; i++) {
    (void)add_worker(2 * MS, 8, true);
  }
  simulate(30 * S);
  uint64_t first = used(0, 3, 30 * S);
  uint64_t second = used(3, 6, 30 * S);
  printf("used %" PRIu64 " and %" PRIu64 "\n", first, second);
  CHECK(second > 0);
  uint64_t ratio = first * 1000 / second; /* 429 exactly */
  CHECK(ratio >= 407 && ratio <= 450);
}

int main(void) {
  RUN(a_container_uses_its_share_whatever_its_kernels_and_processes_are);
  RUN(processes_with_short_and_long_kernels_share_one_bucket);
  RUN(two_containers_get_device_time_in_the_ratio_of_their_shares);
  clear_workers();
  return 0;
}
