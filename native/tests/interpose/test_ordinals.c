/* Which device of the share a runtime's number means, for every form of the vendor's variable. */
#include "interpose/ordinals.h"
#include "interpose/vendor.h"
#include "tests/core/check.h"

const struct hami_vendor hami_vendor = {.order = NULL};

static void without_an_order_numbers_count_the_share(void) {
  CHECK_EQUAL(0, hami_ordinals_resolve(NULL, 0, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve("", 2, 3));
}

static void an_order_renumbers(void) {
  CHECK_EQUAL(2, hami_ordinals_resolve("2,0", 0, 3));
  CHECK_EQUAL(0, hami_ordinals_resolve("2, 0", 1, 3));
}

static void what_cannot_be_told_counts_against_the_last_device(void) {
  CHECK_EQUAL(2, hami_ordinals_resolve(NULL, 7, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve(NULL, -1, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve("9", 0, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve("-1", 0, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve("1", 1, 3));
  CHECK_EQUAL(2, hami_ordinals_resolve(",,", 1, 3));
  CHECK_EQUAL(0, hami_ordinals_resolve("some-uuid", 0, 1));
  CHECK_EQUAL(1, hami_ordinals_resolve("99999999999999999999", 0, 2));
}

int main(void) {
  RUN(without_an_order_numbers_count_the_share);
  RUN(an_order_renumbers);
  RUN(what_cannot_be_told_counts_against_the_last_device);
  return 0;
}
