/* What is let through while nobody knows yet what launches take. */
#include "pacing_world.h"

/* Launches made so far, by all. */
static uint64_t launches(void) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < worker_count; i++) {
    sum += workers[i].busy_ns / workers[i].kernel_ns;
  }
  return sum;
}

static void begin_with(uint32_t percent, uint32_t processes, uint64_t kernel_ns) {
  begin(share(percent));
  horizon_ns = UINT64_MAX;
  for (uint32_t i = 0; i < processes; i++) {
    (void)add_worker(kernel_ns, 32, false);
  }
}

/* The process of the last launch ends before anybody hears of what it took. */
static void kill_the_one_that_launched(void) {
  for (uint32_t i = 0; i < worker_count; i++) {
    if (workers[i].count > 0 && workers[i].wake_ns != UINT64_MAX) {
      world_kill(workers[i].process->pid);
      workers[i].wake_ns = UINT64_MAX;
    }
  }
}

static void one_launch_tells_all_processes_what_launches_take(void) {
  begin_with(80, 64, 500 * MS);
  simulate(400 * MS);
  CHECK_EQUAL(1, launches());
  simulate(20 * S);
  uint64_t percent = launches() * 500 * MS * 100 / (20 * S);
  printf("%" PRIu64 " percent of the first 20 s\n", percent);
  CHECK(percent >= 75 && percent <= 85);
}

static void whatever_they_take_few_launches_run_unpaid(void) {
  for (uint32_t percent = 10; percent <= 90; percent += 40) {
    begin_with(percent, 16, 10 * S);
    simulate(9 * S);
    printf("%" PRIu64 " launches at %u percent\n", launches(), percent);
    CHECK(launches() <= 8);
    simulate(1000 * S);
    printf("%" PRIu64 " launches after 1009 s\n", launches());
    CHECK(launches() >= 100 * percent / 100 - 1);
    CHECK(launches() <= 100 * percent / 100 + 7);
  }
}

static void a_killed_process_keeps_the_others_waiting_for_a_bounded_time(void) {
  begin_with(1, 8, 1 * MS);
  for (uint32_t dead = 1; dead <= 4; dead++) {
    uint64_t before = launches();
    for (uint64_t waited = 0; launches() == before; waited += 100 * MS) {
      CHECK(waited < 7 * S);
      simulate(100 * MS);
    }
    kill_the_one_that_launched();
  }
  simulate(100 * S);
  CHECK(launches() >= 900);
}

static void a_launch_to_learn_from_waits_for_what_is_queued_already(void) {
  begin(share(10));
  struct hami_pacing *pacing = &add_worker(1 * MS, 1, false)->process->pacing;
  struct hami_pacing_launch known;
  struct hami_pacing_launch unknown;
  hami_pacing_enqueue(pacing, 0, 25 * MS, world_now_ns, &known); /* earned in 250 ms, 50 of them before now */
  CHECK_EQUAL(0, hami_pacing_remaining(pacing, &known, world_now_ns));
  hami_pacing_enqueue(pacing, 0, 0, world_now_ns, &unknown);
  CHECK(hami_pacing_remaining(pacing, &unknown, world_now_ns) > 0);
  CHECK(hami_pacing_remaining(pacing, &unknown, world_now_ns + 190 * MS) > 0);
  CHECK_EQUAL(0, hami_pacing_remaining(pacing, &unknown, world_now_ns + 210 * MS));
}

int main(void) {
  RUN(one_launch_tells_all_processes_what_launches_take);
  RUN(whatever_they_take_few_launches_run_unpaid);
  RUN(a_killed_process_keeps_the_others_waiting_for_a_bounded_time);
  RUN(a_launch_to_learn_from_waits_for_what_is_queued_already);
  clear_workers();
  return 0;
}
