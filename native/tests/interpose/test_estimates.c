/* What launches are believed to take, from measured times of different worth. */
#include "estimates.h"

#include <stdbool.h>

#include "tests/core/check.h"

#define MS 1000000ULL

static void add(uint64_t key, uint64_t measured_ns, bool clean, uint64_t now_ns) {
  CHECK_EQUAL(measured_ns, hami_estimates_add(key, measured_ns, measured_ns, clean, now_ns));
}

static void an_unknown_launch_is_unknown_and_measured(void) {
  uint64_t key = hami_estimates_mix(0, 1);
  CHECK_EQUAL(0, hami_estimates_get(key, false));
  CHECK_EQUAL(0, hami_estimates_get(key, true));
  CHECK(hami_estimates_wanted(key));
}

static void a_clean_time_counts_at_once(void) {
  uint64_t key = hami_estimates_mix(0, 2);
  add(key, 5 * MS, true, 1000 * MS);
  CHECK_EQUAL(5 * MS, hami_estimates_get(key, false));
  CHECK_EQUAL(5 * MS, hami_estimates_get(key, true));
}

static void waits_for_others_do_not_count_as_work(void) {
  uint64_t key = hami_estimates_mix(0, 3);
  add(key, 90 * MS, false, 1000 * MS);
  CHECK_EQUAL(0, hami_estimates_get(key, true)); /* one doubtful time proves nothing */
  for (uint64_t i = 1; i < 10; i++) {
    add(key, i == 5 ? 2 * MS : 80 * MS, false, (1000 + i * 10) * MS);
  }
  CHECK_EQUAL(2 * MS, hami_estimates_get(key, true));
}

static void longer_work_is_believed_step_by_step(void) {
  uint64_t key = hami_estimates_mix(0, 4);
  add(key, MS, true, 1000 * MS);
  for (uint64_t i = 1; i < 2000; i++) {
    add(key, 10 * MS, false, (1000 + i * 10) * MS);
  }
  CHECK(hami_estimates_get(key, true) >= 10 * MS - 100 && hami_estimates_get(key, true) <= 10 * MS);
}

/* What came of launches that take `truth_ns(launch)` and are measured when that is wanted. */
struct run {
  uint64_t measured; /* launches */
  uint64_t charged_ns;
  uint64_t took_ns;
};

static struct run launch(uint64_t key, unsigned int launches, uint64_t (*truth_ns)(unsigned int), bool clean) {
  static uint64_t now_ns = 1000 * MS;
  struct run run = {0};
  for (unsigned int i = 0; i < launches; i++) {
    uint64_t took_ns = truth_ns(i);
    uint64_t known_ns = hami_estimates_get(key, !clean);
    bool wanted = hami_estimates_wanted(key);
    now_ns += took_ns;
    run.took_ns += took_ns;
    run.charged_ns += wanted ? took_ns : known_ns;
    if (wanted) {
      add(key, took_ns, clean, now_ns);
      run.measured++;
    }
  }
  return run;
}

static uint64_t five_us(unsigned int i) { return 5000 + i % 3 * 100; }
static uint64_t hundred_us(unsigned int i) { return 100000 + i % 3 * 100; }
static uint64_t sixty_four_short_and_one_long(unsigned int i) { return i % 65 == 64 ? 300000 : 5000; }
static uint64_t short_and_long_by_thirty_two(unsigned int i) { return i / 32 % 2 == 0 ? 5000 : 15000; }
static uint64_t anything(unsigned int i) { return 2000 + hami_estimates_mix(0, i) % 20000; }

static void check_close(struct run run, uint64_t percent) {
  printf("%" PRIu64 " measured, charged %" PRIu64 " of %" PRIu64 " ns\n", run.measured, run.charged_ns, run.took_ns);
  CHECK(run.charged_ns * 100 >= run.took_ns * (100 - percent));
  CHECK(run.charged_ns * 100 <= run.took_ns * (100 + percent));
}

static void launches_that_take_the_same_time_are_measured_ever_more_rarely(void) {
  uint64_t key = hami_estimates_mix(0, 5);
  struct run first = launch(key, 1000, five_us, true);
  CHECK(first.measured >= 1000 / 48 && first.measured <= 1000 / 24 + 8);
  (void)launch(key, 9000, five_us, true);
  struct run late = launch(key, 25600, five_us, true);
  CHECK(late.measured >= 70 && late.measured <= 140); /* one in 256 */
  check_close(late, 2);
}

static void a_sudden_change_is_noticed_soon_and_then_learnt_at_once(void) {
  uint64_t key = hami_estimates_mix(0, 6);
  (void)launch(key, 20000, five_us, true);
  struct run longer = launch(key, 400, hundred_us, true);
  CHECK(longer.measured >= 8); /* noticed within 384 launches, and then measured one by one */
  check_close(launch(key, 1000, hundred_us, true), 5);
  (void)launch(key, 20000, hundred_us, true);
  (void)launch(key, 400, five_us, true);
  check_close(launch(key, 1000, five_us, true), 25); /* of little */
}

static void times_that_vary_are_charged_by_their_mean_and_measured_no_more_than_at_first(void) {
  static uint64_t (*const patterns[])(unsigned int) = {sixty_four_short_and_one_long, short_and_long_by_thirty_two,
                                                       anything};
  for (unsigned int i = 0; i < 3; i++) {
    uint64_t key = hami_estimates_mix(0, 100 + i);
    (void)launch(key, 1000, patterns[i], true);
    struct run run = launch(key, 1000000, patterns[i], true);
    CHECK(run.measured <= 1000000 / 16);
    check_close(run, 12);
  }
}

/* The marks of a launch of 5 us with up to 10 us of the host's between them, of which 2 are known. */
static void what_the_host_took_does_not_count_as_work(void) {
  uint64_t key = hami_estimates_mix(0, 8);
  for (unsigned int i = 0; i < 500; i++) {
    uint64_t host_ns = 2000 + hami_estimates_mix(0, i) % 8000;
    (void)hami_estimates_add(key, 5000 > host_ns ? 5000 - host_ns / 2 : 500, 5000 + host_ns - 2000, true,
                             1000 * MS + i);
  }
  uint64_t known_ns = hami_estimates_get(key, false);
  printf("%" PRIu64 " ns\n", known_ns);
  CHECK(known_ns >= 5000 && known_ns <= 5500);
}

static void times_that_may_contain_waits_do_not_make_measuring_rare(void) {
  uint64_t key = hami_estimates_mix(0, 7);
  (void)launch(key, 20000, five_us, false);
  CHECK(launch(key, 3200, five_us, false).measured >= 3200 / 48);
}

int main(void) {
  RUN(an_unknown_launch_is_unknown_and_measured);
  RUN(a_clean_time_counts_at_once);
  RUN(waits_for_others_do_not_count_as_work);
  RUN(longer_work_is_believed_step_by_step);
  RUN(launches_that_take_the_same_time_are_measured_ever_more_rarely);
  RUN(a_sudden_change_is_noticed_soon_and_then_learnt_at_once);
  RUN(times_that_vary_are_charged_by_their_mean_and_measured_no_more_than_at_first);
  RUN(what_the_host_took_does_not_count_as_work);
  RUN(times_that_may_contain_waits_do_not_make_measuring_rare);
  return 0;
}
