/* Device time in advance: what is given is used or returned, and what was used is settled once. */
#include "advance.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "tests/core/check.h"

struct settled {
  int device;
  uint64_t charged_ns;
  uint64_t measured_ns;
  uint32_t launches;
};

static struct settled settled;
static int settlements;

/* The core's, so that the file under test stands alone. */
void hami_core_settle(int device, uint64_t charged_ns, uint64_t measured_ns, uint32_t launches);

void hami_core_settle(int device, uint64_t charged_ns, uint64_t measured_ns, uint32_t launches) {
  settled = (struct settled){device, charged_ns, measured_ns, launches};
  settlements++;
}

static void begin(void) {
  hami_advance_after_fork_in_child();
  memset(&settled, 0, sizeof settled);
  settlements = 0;
}

static void only_short_launches_queue_together(void) {
  begin();
  CHECK_EQUAL(1, hami_advance_launches(0)); /* unknown */
  CHECK_EQUAL(1, hami_advance_launches(HAMI_ADVANCE_NS));
  CHECK_EQUAL(2, hami_advance_launches(HAMI_ADVANCE_NS / 2));
  CHECK_EQUAL(1, hami_advance_launches(UINT64_MAX));
  CHECK(hami_advance_launches(1) <= HAMI_ADVANCE_NS);
}

static void no_more_is_taken_than_was_given(void) {
  begin();
  CHECK(!hami_advance_take(0, 5));
  hami_advance_renew(0, 12);
  CHECK(hami_advance_take(0, 5));
  CHECK(hami_advance_take(0, 5));
  CHECK(!hami_advance_take(0, 5));
  CHECK(hami_advance_take(0, 2));
  CHECK(!hami_advance_take(0, 1));
}

static void what_is_given_holds_for_its_device(void) {
  begin();
  hami_advance_renew(1, 100);
  CHECK(!hami_advance_take(0, 5));
  CHECK(hami_advance_take(1, 5));
}

static void what_is_left_on_another_device_is_given_back(void) {
  begin();
  hami_advance_renew(1, 100);
  CHECK(hami_advance_take(1, 30));
  hami_advance_end(30, true);
  hami_advance_renew(2, 50);
  CHECK_EQUAL(2, settlements);
  CHECK_EQUAL(1, settled.device);
  CHECK_EQUAL(70, settled.charged_ns);
  CHECK_EQUAL(0, settled.measured_ns);
  CHECK_EQUAL(0, settled.launches);
  CHECK(!hami_advance_take(2, 60));
  CHECK(hami_advance_take(2, 50));
}

static void a_refused_launch_gives_its_time_back(void) {
  begin();
  hami_advance_renew(0, 10);
  CHECK(hami_advance_take(0, 10));
  hami_advance_end(10, false);
  CHECK(hami_advance_take(0, 10));
  hami_advance_renew(0, 0);
  CHECK_EQUAL(0, settlements); /* nothing was used */
}

static void what_was_used_is_settled_with_the_next_turn(void) {
  begin();
  hami_advance_renew(3, 30);
  for (int launch = 0; launch < 2; launch++) {
    CHECK(hami_advance_take(3, 10));
    hami_advance_end(10, true);
  }
  hami_advance_renew(3, 5);
  CHECK_EQUAL(1, settlements);
  CHECK_EQUAL(3, settled.device);
  CHECK_EQUAL(20, settled.charged_ns);
  CHECK_EQUAL(20, settled.measured_ns);
  CHECK_EQUAL(2, settled.launches);
  CHECK(hami_advance_take(3, 15)); /* what was left, and what came */
  hami_advance_renew(3, 0);
  CHECK_EQUAL(1, settlements);
}

int main(void) {
  RUN(only_short_launches_queue_together);
  RUN(no_more_is_taken_than_was_given);
  RUN(what_is_given_holds_for_its_device);
  RUN(what_is_left_on_another_device_is_given_back);
  RUN(a_refused_launch_gives_its_time_back);
  RUN(what_was_used_is_settled_with_the_next_turn);
  return 0;
}
