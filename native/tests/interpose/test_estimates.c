/* What launches are believed to take, from measured times of different worth. */
#include "estimates.h"

#include <stdbool.h>

#include "tests/core/check.h"

#define MS 1000000ULL

static void an_unknown_launch_is_unknown_and_measured(void) {
  uint64_t key = hami_estimates_mix(0, 1);
  CHECK_EQUAL(0, hami_estimates_get(key, false));
  CHECK_EQUAL(0, hami_estimates_get(key, true));
  CHECK(hami_estimates_wanted(key));
}

static void a_clean_time_counts_at_once(void) {
  uint64_t key = hami_estimates_mix(0, 2);
  hami_estimates_add(key, 5 * MS, true, 1000 * MS);
  CHECK_EQUAL(5 * MS, hami_estimates_get(key, false));
  CHECK_EQUAL(5 * MS, hami_estimates_get(key, true));
}

static void waits_for_others_do_not_count_as_work(void) {
  uint64_t key = hami_estimates_mix(0, 3);
  hami_estimates_add(key, 90 * MS, false, 1000 * MS);
  CHECK_EQUAL(0, hami_estimates_get(key, true)); /* one doubtful time proves nothing */
  for (uint64_t i = 1; i < 10; i++) {
    hami_estimates_add(key, i == 5 ? 2 * MS : 80 * MS, false, (1000 + i * 10) * MS);
  }
  CHECK_EQUAL(2 * MS, hami_estimates_get(key, true));
}

static void longer_work_is_believed_step_by_step(void) {
  uint64_t key = hami_estimates_mix(0, 4);
  hami_estimates_add(key, MS, true, 1000 * MS);
  for (uint64_t i = 1; i < 2000; i++) {
    hami_estimates_add(key, 10 * MS, false, (1000 + i * 10) * MS);
  }
  CHECK_EQUAL(10 * MS, hami_estimates_get(key, true));
}

static void short_launches_are_measured_now_and_then(void) {
  uint64_t key = hami_estimates_mix(0, 5);
  for (uint64_t i = 0; i < 20; i++) {
    hami_estimates_add(key, 5000, true, 1000 * MS + i);
  }
  unsigned int measured = 0;
  for (int i = 0; i < 3200; i++) {
    measured += hami_estimates_wanted(key) ? 1 : 0;
  }
  CHECK_EQUAL(100, measured);
}

int main(void) {
  RUN(an_unknown_launch_is_unknown_and_measured);
  RUN(a_clean_time_counts_at_once);
  RUN(waits_for_others_do_not_count_as_work);
  RUN(longer_work_is_believed_step_by_step);
  RUN(short_launches_are_measured_now_and_then);
  return 0;
}
