/* Who is held to a share at all, and when: policies, neighbours, priorities. */
#include "pacing_world.h"

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

int main(void) {
  RUN(alone_a_container_is_not_limited_and_with_others_it_is_soon);
  RUN(the_host_s_word_about_neighbours_counts_more);
  RUN(policies_and_full_shares_decide_who_waits);
  RUN(a_lower_priority_yields_for_a_bounded_time);
  RUN(a_launch_may_have_to_wait_where_only_priority_holds_it);
  clear_workers();
  return 0;
}
