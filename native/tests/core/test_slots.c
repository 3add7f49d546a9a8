#include "check.h"
#include "core/slots.h"
#include "core/test_point.h"
#include "world.h"

static struct hami_region region;

static void begin(void) {
  hami_region_detach(&region);
  memset(&region, 0, sizeof region);
  world_begin();
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&region, &world_effects, world_path("region"), 2));
}

static uint32_t claim(uint32_t pid, uint64_t *word) {
  struct hami_identity identity = {.pid = pid, .start_time = pid * 10, .command = "test"};
  uint32_t slot = HAMI_NO_SLOT;
  CHECK(hami_slots_claim(&region, &identity, &slot, word));
  return slot;
}

static void a_slot_tells_whose_it_is(void) {
  uint64_t word;
  begin();
  uint32_t slot = claim(42, &word);
  CHECK_EQUAL(word, *hami_slot_owner(&region, slot));
  CHECK_EQUAL(42, hami_owner_pid(word));
  CHECK_EQUAL(HAMI_REGION_OWNER_ACTIVE, hami_owner_state(word));
  CHECK_EQUAL(420, hami_slot_record(&region, slot)->start_time);
  CHECK_TEXT("test", hami_slot_record(&region, slot)->command);
}

static void the_table_grows_past_any_number_and_slots_stay_where_they_are(void) {
  uint64_t word;
  begin();
  uint32_t first = claim(1, &word);
  uint64_t *cell = hami_slot_charged(&region, first, 0);
  *cell = 17;
  for (uint32_t pid = 2; pid <= 1500; pid++) {
    uint32_t slot = claim(pid, &word);
    *hami_slot_charged(&region, slot, 0) = 1;
  }
  CHECK(region.segment_count > 20);
  CHECK(cell == hami_slot_charged(&region, first, 0));
  CHECK_EQUAL(17 + 1499, hami_slots_sum(&region, 0, HAMI_NO_SLOT).charged);
  CHECK_EQUAL(1499, hami_slots_sum(&region, 0, first).charged);
}

static void a_freed_slot_counts_for_nothing_and_its_next_owner_starts_at_zero(void) {
  uint64_t word;
  uint64_t again;
  begin();
  uint32_t slot = claim(1, &word);
  *hami_slot_charged(&region, slot, 1) = 5;
  *hami_slot_pending(&region, slot, 1) = 6;
  hami_slot_classes(&region, slot, 1)[7] = 5;
  CHECK(hami_slots_free(&region, slot, word));
  CHECK_EQUAL(0, hami_slots_sum(&region, 1, HAMI_NO_SLOT).charged);
  CHECK_EQUAL(slot, claim(1, &again));
  CHECK(again != word);
  CHECK_EQUAL(0, *hami_slot_charged(&region, slot, 1));
  CHECK_EQUAL(0, *hami_slot_pending(&region, slot, 1));
  CHECK_EQUAL(0, hami_slot_classes(&region, slot, 1)[7]);
  CHECK(!hami_slots_free(&region, slot, word)); /* the earlier owner's word: same pid, another generation */
}

static struct hami_region others;

/* What happens where the claimer's pid means nothing: it is taken for dead, and the slot given to the next. */
static void take_the_slot_away(const char *name) {
  if (strcmp(name, "slots.claiming") != 0) {
    return;
  }
  hami_test_point = NULL;
  uint64_t word = *hami_slot_owner(&others, 0);
  CHECK_EQUAL(HAMI_REGION_OWNER_CLAIMING, hami_owner_state(word));
  CHECK(hami_slots_free(&others, 0, word));
  struct hami_identity identity = {.pid = 2, .start_time = 20};
  uint32_t slot;
  CHECK(hami_slots_claim(&others, &identity, &slot, &word));
  CHECK_EQUAL(0, slot);
  *hami_slot_charged(&others, 0, 0) = 5;
}

static void who_loses_a_slot_while_claiming_it_leaves_the_next_owner_s_charges_alone(void) {
  uint64_t word;
  begin();
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&others, &world_effects, world_path("region"), 2));
  hami_test_point = take_the_slot_away;
  CHECK_EQUAL(1, claim(1, &word));
  CHECK_EQUAL(5, *hami_slot_charged(&region, 0, 0));
  CHECK_EQUAL(20, hami_slot_record(&region, 0)->start_time);
  hami_region_detach(&others);
}

static void requests_in_flight_are_told_apart_by_place(void) {
  uint64_t word;
  begin();
  uint32_t slots[3];
  for (uint32_t i = 0; i < 3; i++) {
    slots[i] = claim(i + 1, &word);
    *hami_slot_pending(&region, slots[i], 0) = 1ULL << (i * 8);
  }
  struct hami_slots_sum sum = hami_slots_sum(&region, 0, slots[1]);
  CHECK_EQUAL(1, sum.pending_before);
  CHECK_EQUAL(1 << 16, sum.pending_after);
}

static void sums_do_not_wrap(void) {
  uint64_t word;
  begin();
  *hami_slot_charged(&region, claim(1, &word), 0) = UINT64_MAX - 1;
  *hami_slot_charged(&region, claim(2, &word), 0) = 5;
  CHECK_EQUAL(UINT64_MAX, hami_slots_sum(&region, 0, HAMI_NO_SLOT).charged);
}

int main(void) {
  RUN(a_slot_tells_whose_it_is);
  RUN(the_table_grows_past_any_number_and_slots_stay_where_they_are);
  RUN(a_freed_slot_counts_for_nothing_and_its_next_owner_starts_at_zero);
  RUN(who_loses_a_slot_while_claiming_it_leaves_the_next_owner_s_charges_alone);
  RUN(requests_in_flight_are_told_apart_by_place);
  RUN(sums_do_not_wrap);
  hami_region_detach(&region);
  return 0;
}
