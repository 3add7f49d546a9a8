/*
 * A region whose file cannot be opened again. It is its own program because it needs what the kernel does to mappings
 * and user-mode emulators do not.
 */
#include <unistd.h>

#include "check.h"
#include "core/region.h"
#include "core/slots.h"
#include "world.h"

static struct hami_region region;
static struct hami_region other;

static void a_program_that_can_open_nothing_any_more_sees_others_segments_too(void) {
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&region, &world_effects, world_path("region"), 1));
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&other, &world_effects, world_path("region"), 1));
  CHECK(hami_region_grow(&other, 1) && hami_region_map_new(&other));
  CHECK(hami_region_grow(&other, 2) && hami_region_map_new(&other));
  *hami_slot_charged(&other, 64, 0) = 3;
  *hami_slot_charged(&other, 191, 0) = 4;
  CHECK(unlink(world_path("region")) == 0);
  CHECK(hami_region_map_new(&region));
  CHECK_EQUAL(3, region.segment_count);
  CHECK_EQUAL(3, *hami_slot_charged(&region, 64, 0));
  CHECK_EQUAL(4, *hami_slot_charged(&region, 191, 0));
  other.header->segment_count = UINT32_MAX; /* more than the file holds */
  CHECK(hami_region_map_new(&region));
  CHECK_EQUAL(3, region.segment_count);
  hami_region_detach(&other);
}

int main(void) {
  RUN(a_program_that_can_open_nothing_any_more_sees_others_segments_too);
  hami_region_detach(&region);
  return 0;
}
