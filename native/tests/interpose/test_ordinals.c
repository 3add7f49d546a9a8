/* Which device of the share a runtime's number means, for every form of the vendor's variable. */
#include "interpose/ordinals.h"
#include "interpose/vendor.h"
#include "tests/core/check.h"

const struct hami_vendor hami_vendor = {.order = NULL};

static void without_an_order_numbers_count_the_share(void) {
  CHECK_EQUAL(0, hami_ordinals_resolve(NULL, NULL, 0, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve("", NULL, 2, 3));
}

static void an_order_renumbers(void) {
  CHECK_EQUAL(2, hami_ordinals_resolve("2,0", NULL, 0, 3));
  CHECK_EQUAL(0, hami_ordinals_resolve("2, 0", NULL, 1, 3));
}

static void what_cannot_be_told_counts_against_the_last_device(void) {
  CHECK_EQUAL(2, hami_ordinals_resolve(NULL, NULL, 7, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve(NULL, NULL, -1, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve("9", NULL, 0, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve("-1", NULL, 0, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve("1", NULL, 1, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve(",,", NULL, 1, 3));
  CHECK_EQUAL(0, hami_ordinals_resolve("some-uuid", NULL, 0, 1));
  CHECK_EQUAL(1, hami_ordinals_resolve("99999999999999999999", NULL, 0, 2));
}

static void the_drivers_numbers_name_the_devices_where_none_renumbers(void) {
  CHECK_EQUAL(0, hami_ordinals_resolve("1,3", "1,3", 0, 2));
  CHECK_EQUAL(1, hami_ordinals_resolve("1,3", "1,3", 1, 2));
  CHECK_EQUAL(1, hami_ordinals_resolve("3", "1,3", 0, 2));
  CHECK_EQUAL(0, hami_ordinals_resolve("3,1", "1, 3", 1, 2));
  CHECK_EQUAL(0, hami_ordinals_resolve(NULL, "1,3", 1, 2));
  CHECK_EQUAL(1, hami_ordinals_resolve("", "1,3", 3, 2));
}

static void a_number_of_no_device_of_the_share_counts_against_the_last(void) {
  CHECK_EQUAL(1, hami_ordinals_resolve("0", "1,3", 0, 2));
  CHECK_EQUAL(1, hami_ordinals_resolve("1,3", "1,3", 2, 2));
  CHECK_EQUAL(1, hami_ordinals_resolve("1", "one,3", 0, 2));
  CHECK_EQUAL(1, hami_ordinals_resolve(NULL, "1,3", 0, 2));
}

int main(void) {
  RUN(without_an_order_numbers_count_the_share);
  RUN(an_order_renumbers);
  RUN(what_cannot_be_told_counts_against_the_last_device);
  RUN(the_drivers_numbers_name_the_devices_where_none_renumbers);
  RUN(a_number_of_no_device_of_the_share_counts_against_the_last);
  return 0;
}
