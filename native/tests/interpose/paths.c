#include "tests/interpose/paths.h"

#include "fake/card/card.h"

uint64_t paths_fresh_address(void) {
  static uint64_t last;
  return __atomic_add_fetch(&last, 1ULL << 33, __ATOMIC_RELAXED); /* more than any card's memory apart */
}

static uint64_t used(const struct vendor_under_test *vendor) {
  uint64_t free_bytes = 0;
  uint64_t total_bytes = 0;
  vendor->info(&free_bytes, &total_bytes);
  CHECK_EQUAL(SHARE_BYTES, total_bytes);
  CHECK(free_bytes <= total_bytes);
  return total_bytes - free_bytes;
}

static void counted(const struct vendor_under_test *vendor, const struct path *path) {
  struct held held = {0};
  uint64_t before = used(vendor);
  uint64_t truth = fake_used_bytes();
  CHECK_EQUAL(0, path->get(100 * MIB, &held));
  CHECK(used(vendor) - before >= 100 * MIB);
  CHECK(used(vendor) - before <= 101 * MIB);
  CHECK(fake_used_bytes() - truth >= 100 * MIB);
  CHECK_EQUAL(0, path->put(&held));
  CHECK_EQUAL(before, used(vendor));
  CHECK_EQUAL(truth, fake_used_bytes());
}

static void refused(const struct vendor_under_test *vendor, const struct path *path) {
  struct held held = {0};
  uint64_t before = used(vendor);
  uint64_t truth = fake_used_bytes();
  CHECK_EQUAL(vendor->out_of_memory, path->get(1200 * MIB, &held));
  CHECK_EQUAL(vendor->out_of_memory, path->get(UINT64_MAX / 2, &held));
  CHECK_EQUAL(before, used(vendor));
  CHECK_EQUAL(truth, fake_used_bytes());
}

static void refused_by_the_driver(const struct vendor_under_test *vendor, const struct path *path) {
  struct held held = {0};
  uint64_t before = used(vendor);
  fake_refuse_next(1);
  CHECK_EQUAL(vendor->refused, path->get(100 * MIB, &held));
  fake_refuse_next(0);
  CHECK_EQUAL(before, used(vendor));
}

static void shared_by_all_ways(const struct vendor_under_test *vendor, const struct path *path) {
  struct held first = {0};
  struct held second = {0};
  CHECK_EQUAL(0, vendor->paths[0].get(950 * MIB, &first));
  CHECK_EQUAL(vendor->out_of_memory, path->get(100 * MIB, &second));
  CHECK_EQUAL(0, vendor->paths[0].put(&first));
}

void paths_check(const struct vendor_under_test *vendor) {
  for (size_t i = 0; i < vendor->count; i++) {
    const struct path *path = &vendor->paths[i];
    printf("%s\n", path->name);
    fflush(stdout);
    counted(vendor, path);
    refused(vendor, path);
    refused_by_the_driver(vendor, path);
    shared_by_all_ways(vendor, path);
    counted(vendor, path);
  }
}
