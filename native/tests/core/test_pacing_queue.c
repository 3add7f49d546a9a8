/* The queue while its share changes, its processes die and its words are damaged. */
#include "pacing_world.h"

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

/* Two kernels, and then one that another container kept waiting for `late_ns`. Returns how long the next one waits. */
static uint64_t wait_after_coming_late(uint64_t late_ns) {
  begin(share(50));
  struct hami_pacing *pacing = &add_worker(1 * MS, 1, true)->process->pacing;
  for (int i = 0; i < 2; i++) {
    CHECK_EQUAL(200 * MS, hami_pacing_admit(pacing, 0, 200 * MS, NULL));
  }
  world_now_ns += 400 * MS + late_ns;
  CHECK_EQUAL(200 * MS, hami_pacing_admit(pacing, 0, 200 * MS, NULL));
  uint64_t before = world_now_ns;
  CHECK_EQUAL(200 * MS, hami_pacing_admit(pacing, 0, 200 * MS, NULL));
  return world_now_ns - before;
}

static void a_launch_that_others_kept_waiting_loses_nothing(void) {
  uint64_t in_time = wait_after_coming_late(0);
  uint64_t late = wait_after_coming_late(300 * MS);
  printf("waits %" PRIu64 " and %" PRIu64 " ns\n", in_time, late);
  CHECK(in_time >= 390 * MS && in_time <= 410 * MS);
  CHECK(late >= 90 * MS && late <= 110 * MS);
  CHECK(wait_after_coming_late(2 * S) >= 340 * MS); /* that was no waiting, and little of it is kept */
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

/* Further ahead than any queue reaches, and not as far as makes a single launch's own position look damaged. */
static void a_queue_that_ends_tomorrow_is_damaged(void) {
  begin(share(50));
  struct worker *worker = add_worker(1 * MS, 1, true);
  simulate(100 * MS);
  worker->process->region.devices[0].queue_end_ns = world_now_ns + 36 * 3600 * S;
  worker->busy_ns = 0;
  simulate(10 * S);
  CHECK(worker->busy_ns > 100 * MS);
}

/* Two launches of unknown length, the first of a process that dies before it is settled. */
static void a_damaged_average_holds_nobody_up(void) {
  static const uint64_t values[] = {UINT64_MAX, 24 * 3600 * S, 61 * S};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    begin(share(50));
    struct worker *worker = add_worker(1 * MS, 1, true);
    struct hami_pacing *pacing = &worker->process->pacing;
    worker->process->region.devices[0].typical_ns = values[i];
    (void)hami_pacing_admit(pacing, 0, 0, NULL);
    uint64_t before = world_now_ns;
    (void)hami_pacing_admit(pacing, 0, 0, NULL);
    CHECK(world_now_ns - before <= 10 * S);
    hami_pacing_settle(pacing, 0, 0, 1 * MS, 1);
    CHECK_EQUAL(1 * MS, hami_pacing_typical_ns(pacing, 0));
  }
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
  CHECK_EQUAL(100 * MS, hami_pacing_admit(pacing, 0, 100 * MS, NULL));
  uint64_t before = world_now_ns;
  CHECK_EQUAL(5 * MS, hami_pacing_admit(pacing, 0, 5 * MS, NULL));
  CHECK(world_now_ns - before >= 140 * MS && world_now_ns - before <= 200 * MS);
  CHECK(pacing->region->devices[0].throttled_ns >= 140 * MS);
  CHECK_EQUAL(0, hami_pacing_admit(pacing, 7, 5 * MS, NULL));
}

int main(void) {
  RUN(a_raised_share_shortens_waits_that_have_begun);
  RUN(a_lifted_limit_ends_waits_at_once);
  RUN(an_idle_container_saves_up_little);
  RUN(a_launch_that_others_kept_waiting_loses_nothing);
  RUN(launches_of_a_dead_process_hold_up_the_others_for_their_share_only);
  RUN(a_damaged_queue_delays_nobody_for_long);
  RUN(a_queue_that_ends_tomorrow_is_damaged);
  RUN(a_damaged_average_holds_nobody_up);
  RUN(without_a_region_a_process_is_held_alone);
  RUN(devices_have_buckets_of_their_own);
  RUN(admitting_sleeps_until_the_position_has_come);
  clear_workers();
  return 0;
}
