/*
 * Pacing on a simulated device: kernels run one after the other, in the order they were launched, and processes launch
 * as fast as they are let. Time is an event queue, so hours pass in a moment and results are exact.
 */
#include "check.h"
#include "core/pacing.h"
#include "world.h"

#define US 1000ULL
#define MS 1000000ULL
#define S 1000000000ULL

#define MOST_PROCESSES 128
#define MOST_IN_FLIGHT 64
#define LAUNCH_COST_NS (4 * US)
#define OVERSLEEP_NS (60 * US) /* what nanosleep adds */

struct kernel {
  uint64_t end_ns;
  uint64_t charged_ns;
};

struct worker {
  struct world_process *process;
  uint64_t wake_ns;
  uint64_t kernel_ns;
  bool knows; /* estimates its own kernels, once one has run */
  bool measured;
  uint32_t depth; /* launches in flight at most; 1 is a program that waits for each */
  uint32_t head;
  uint32_t count;
  bool asking;
  struct hami_pacing_launch launch;
  struct kernel flight[MOST_IN_FLIGHT];
  uint64_t busy_ns; /* device time inside the window */
  uint64_t began_ns;
  uint64_t end_ns;
};

static struct worker workers[MOST_PROCESSES];
static uint32_t worker_count;
static uint64_t device_free_ns;
static uint64_t horizon_ns; /* kernels count up to here, or to the end of the window if that is later */

static void settle_finished(struct worker *worker) {
  while (worker->count > 0 && worker->flight[worker->head].end_ns <= world_now_ns) {
    hami_pacing_settle(&worker->process->pacing, 0, worker->flight[worker->head].charged_ns, worker->kernel_ns, 1);
    worker->head = (worker->head + 1) % MOST_IN_FLIGHT;
    worker->count--;
    worker->measured = true;
  }
}

static void run_kernel(struct worker *worker, uint64_t window_end) {
  uint64_t start = device_free_ns > world_now_ns ? device_free_ns : world_now_ns;
  uint64_t end = start + worker->kernel_ns;
  device_free_ns = end;
  window_end = window_end > horizon_ns ? window_end : horizon_ns;
  if (start < window_end) {
    worker->busy_ns += (end < window_end ? end : window_end) - start;
  }
  worker->flight[(worker->head + worker->count) % MOST_IN_FLIGHT] =
      (struct kernel){.end_ns = end, .charged_ns = worker->launch.charged_ns};
  worker->count++;
}

/* One step of one worker at the present moment. */
static void step(struct worker *worker, uint64_t window_end) {
  struct hami_pacing *pacing = &worker->process->pacing;
  world_act(worker->process);
  settle_finished(worker);
  if (!worker->asking) {
    if (worker->count == worker->depth) {
      worker->wake_ns = worker->flight[worker->head].end_ns;
      return;
    }
    uint64_t estimate = worker->knows && worker->measured ? worker->kernel_ns : 0;
    hami_pacing_enqueue(pacing, 0, estimate, world_now_ns, &worker->launch);
    worker->asking = true;
  }
  uint64_t rest = hami_pacing_remaining(pacing, &worker->launch, world_now_ns);
  if (rest > 0) {
    worker->wake_ns = world_now_ns + rest + OVERSLEEP_NS;
    return;
  }
  worker->asking = false;
  run_kernel(worker, window_end);
  worker->wake_ns = world_now_ns + LAUNCH_COST_NS;
}

static void simulate(uint64_t duration_ns) {
  uint64_t window_end = world_now_ns + duration_ns;
  for (;;) {
    struct worker *next = &workers[0];
    for (uint32_t i = 1; i < worker_count; i++) {
      next = workers[i].wake_ns < next->wake_ns ? &workers[i] : next;
    }
    if (next->wake_ns >= window_end) {
      break;
    }
    world_now_ns = next->wake_ns;
    step(next, window_end);
  }
  world_now_ns = window_end;
}

static void write_limits(const char *name, const char *line) {
  char text[1024];
  (void)snprintf(text, sizeof text, "hami-limits 1\nregion %s-region\n%s\n", world_path(name), line);
  world_write(name, text);
  world_limits = name;
}

static void clear_workers(void) {
  for (uint32_t i = 0; i < worker_count; i++) {
    world_free(workers[i].process);
  }
  worker_count = 0;
}

/* A world with one container, limited by `line`. */
static void begin(const char *line) {
  clear_workers();
  world_begin();
  device_free_ns = 0;
  horizon_ns = 0;
  write_limits("a", line);
}

static struct worker *add_worker(uint64_t kernel_ns, uint32_t depth, bool knows) {
  struct worker *worker = &workers[worker_count];
  *worker = (struct worker){.process = world_process(100 + worker_count),
                            .wake_ns = world_now_ns,
                            .kernel_ns = kernel_ns,
                            .depth = depth,
                            .knows = knows};
  worker_count++;
  return worker;
}

/* Hundredths of a percent of the device that workers [first, last) used. */
static uint64_t used(uint32_t first, uint32_t last, uint64_t duration_ns) {
  uint64_t sum = 0;
  for (uint32_t i = first; i < last; i++) {
    sum += workers[i].busy_ns;
  }
  return sum / (duration_ns / 10000);
}

static const char *share(uint32_t percent) {
  static char line[256];
  (void)snprintf(line, sizeof line, "core-policy force\ndevice " WORLD_GPU_0 " core_percent=%u", percent);
  return line;
}

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

static void alone_a_container_is_not_limited_and_with_others_it_is_soon(void) {
  begin("device " WORLD_GPU_0 " core_percent=30");
  (void)add_worker(1 * MS, 8, true);
  horizon_ns = UINT64_MAX;
  struct hami_pacing *pacing = &workers[0].process->pacing;
  CHECK(hami_pacing_limits(pacing, 0, world_now_ns)); /* nobody has looked yet */
  for (int i = 0; i < 100; i++) {
    hami_pacing_observe_others(pacing, 0, false);
    simulate(100 * MS);
  }
  CHECK(used(0, 1, 10 * S) >= 9800);
  CHECK(pacing->region->devices[0].busy_ns > 9 * S); /* activity is counted, limited or not */
  for (int i = 0; i < 10; i++) {                     /* a neighbour comes */
    hami_pacing_observe_others(pacing, 0, true);
    simulate(100 * MS);
  }
  workers[0].busy_ns = 0;
  for (int i = 0; i < 100; i++) {
    hami_pacing_observe_others(pacing, 0, true);
    simulate(100 * MS);
  }
  uint64_t limited = used(0, 1, 10 * S);
  printf("limited %" PRIu64 "\n", limited);
  CHECK(limited >= 2700 && limited <= 3300);
  workers[0].busy_ns = 0;
  for (int i = 0; i < 120; i++) { /* and goes */
    hami_pacing_observe_others(pacing, 0, false);
    if (i == 20) {
      workers[0].busy_ns = 0;
    }
    simulate(100 * MS);
  }
  CHECK(used(0, 1, 10 * S) >= 9700);
}

static void the_host_s_word_about_neighbours_counts_more(void) {
  begin("device " WORLD_GPU_0 " core_percent=30 contended=no");
  (void)add_worker(1 * MS, 8, true);
  struct hami_pacing *pacing = &workers[0].process->pacing;
  hami_pacing_observe_others(pacing, 0, true);
  CHECK(!hami_pacing_limits(pacing, 0, world_now_ns));
  write_limits("a", "device " WORLD_GPU_0 " core_percent=30 contended=yes");
  world_now_ns += 60 * MS;
  hami_pacing_observe_others(pacing, 0, false);
  CHECK(hami_pacing_limits(pacing, 0, world_now_ns));
}

static void policies_and_full_shares_decide_who_waits(void) {
  static const struct {
    const char *line;
    bool limited;
  } cases[] = {
      {"core-policy disable\ndevice " WORLD_GPU_0 " core_percent=30 contended=yes", false},
      {"core-policy force\ndevice " WORLD_GPU_0 " core_percent=30 contended=no", true},
      {"core-policy force\ndevice " WORLD_GPU_0 " core_percent=100", false},
      {"core-policy force\ndevice " WORLD_GPU_0, false},
  };
  for (size_t i = 0; i < 4; i++) {
    begin(cases[i].line);
    (void)add_worker(1 * MS, 8, true);
    CHECK_EQUAL(cases[i].limited, hami_pacing_limits(&workers[0].process->pacing, 0, world_now_ns));
  }
}

static void a_raised_share_shortens_waits_that_have_begun(void) {
  begin(share(1));
  (void)add_worker(500 * MS, 1, true);
  simulate(S); /* the first kernel leaves a debt of 50 s */
  CHECK_EQUAL(500 * MS, workers[0].busy_ns);
  write_limits("a", share(50));
  simulate(2 * S);
  CHECK(workers[0].busy_ns >= 900 * MS);
}

static void a_lifted_limit_ends_waits_at_once(void) {
  begin(share(1));
  (void)add_worker(500 * MS, 1, true);
  simulate(S);
  write_limits("a", "core-policy disable\ndevice " WORLD_GPU_0 " core_percent=1");
  simulate(2 * S);
  CHECK(workers[0].busy_ns >= 2300 * MS);
}

static void an_idle_container_saves_up_little(void) {
  begin(share(10));
  struct worker *worker = add_worker(1 * MS, 1, true);
  simulate(S);
  worker->busy_ns = 0;
  worker->wake_ns = world_now_ns += 3600 * S;
  simulate(100 * MS);
  CHECK(worker->busy_ns <= 20 * MS);
}

static void launches_of_a_dead_process_hold_up_the_others_for_their_share_only(void) {
  begin(share(50));
  struct worker *dying = add_worker(10 * MS, 1, true);
  (void)add_worker(10 * MS, 1, true);
  simulate(S);
  world_act(dying->process);
  hami_pacing_enqueue(&dying->process->pacing, 0, 10 * MS, world_now_ns, &dying->launch);
  world_kill(dying->process->pid);
  dying->wake_ns = UINT64_MAX;
  workers[1].busy_ns = 0;
  simulate(10 * S);
  CHECK(workers[1].busy_ns >= 4700 * MS);
}

static void a_damaged_queue_delays_nobody_for_long(void) {
  static const uint64_t values[] = {UINT64_MAX, UINT64_MAX / 2, 1ULL << 62, 0, 1};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    begin(share(50));
    struct worker *worker = add_worker(1 * MS, 1, true);
    simulate(100 * MS);
    worker->process->region.devices[0].queue_end_ns = values[i];
    worker->process->region.devices[0].queue_shift_ns = INT64_MAX - 5;
    worker->process->region.devices[0].typical_ns = values[i];
    worker->busy_ns = 0;
    worker->measured = true;
    simulate(10 * S);
    CHECK(worker->busy_ns > 100 * MS);
  }
}

static void a_lower_priority_yields_for_a_bounded_time(void) {
  begin("core-policy force\npriority 1\ndevice " WORLD_GPU_0 " yield=yes");
  struct worker *worker = add_worker(1 * MS, 1, true);
  simulate(10 * S);
  CHECK(worker->busy_ns >= 8 * MS && worker->busy_ns <= 12 * MS);
  write_limits("a", "core-policy force\npriority 1\ndevice " WORLD_GPU_0 " yield=no");
  simulate(S);
  CHECK(worker->busy_ns > 900 * MS);
}

static void a_launch_may_have_to_wait_where_only_priority_holds_it(void) {
  begin("priority 1\ndevice " WORLD_GPU_0 " contended=no yield=yes");
  struct hami_pacing *pacing = &add_worker(1 * MS, 1, true)->process->pacing;
  CHECK(hami_pacing_limits(pacing, 0, world_now_ns));
  write_limits("a", "priority 1\ndevice " WORLD_GPU_0 " contended=no");
  simulate(S);
  CHECK(!hami_pacing_limits(pacing, 0, world_now_ns));
}

static void without_a_region_a_process_is_held_alone(void) {
  begin(share(30));
  char text[512];
  (void)snprintf(text, sizeof text, "hami-limits 1\n%s\n", share(30));
  world_write("a", text);
  (void)add_worker(1 * MS, 8, true);
  simulate(10 * S);
  CHECK(!hami_region_ready(&workers[0].process->region));
  uint64_t measured = used(0, 1, 10 * S);
  CHECK(measured >= 2700 && measured <= 3300);
}

static void devices_have_buckets_of_their_own(void) {
  begin("core-policy force\ndevice " WORLD_GPU_0 " core_percent=1\ndevice " WORLD_GPU_1 " core_percent=50");
  struct worker *worker = add_worker(1 * MS, 1, true);
  struct hami_pacing_launch launch;
  simulate(S);
  hami_pacing_enqueue(&worker->process->pacing, 1, MS, world_now_ns, &launch);
  CHECK_EQUAL(0, hami_pacing_remaining(&worker->process->pacing, &launch, world_now_ns));
}

static void admitting_sleeps_until_the_position_has_come(void) {
  begin(share(50));
  struct worker *worker = add_worker(1 * MS, 1, true);
  struct hami_pacing *pacing = &worker->process->pacing;
  CHECK_EQUAL(100 * MS, hami_pacing_admit(pacing, 0, 100 * MS));
  uint64_t before = world_now_ns;
  CHECK_EQUAL(5 * MS, hami_pacing_admit(pacing, 0, 5 * MS));
  CHECK(world_now_ns - before >= 140 * MS && world_now_ns - before <= 200 * MS);
  CHECK(pacing->region->devices[0].throttled_ns >= 140 * MS);
  CHECK_EQUAL(0, hami_pacing_admit(pacing, 7, 5 * MS));
}

int main(void) {
  RUN(a_container_uses_its_share_whatever_its_kernels_and_processes_are);
  RUN(processes_with_short_and_long_kernels_share_one_bucket);
  RUN(two_containers_get_device_time_in_the_ratio_of_their_shares);
  RUN(alone_a_container_is_not_limited_and_with_others_it_is_soon);
  RUN(the_host_s_word_about_neighbours_counts_more);
  RUN(policies_and_full_shares_decide_who_waits);
  RUN(a_raised_share_shortens_waits_that_have_begun);
  RUN(a_lifted_limit_ends_waits_at_once);
  RUN(an_idle_container_saves_up_little);
  RUN(launches_of_a_dead_process_hold_up_the_others_for_their_share_only);
  RUN(a_damaged_queue_delays_nobody_for_long);
  RUN(a_lower_priority_yields_for_a_bounded_time);
  RUN(a_launch_may_have_to_wait_where_only_priority_holds_it);
  RUN(without_a_region_a_process_is_held_alone);
  RUN(devices_have_buckets_of_their_own);
  RUN(admitting_sleeps_until_the_position_has_come);
  clear_workers();
  return 0;
}
