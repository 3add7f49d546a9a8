#include "core/slots.h"

#include <string.h>

#include "core/test_point.h"

#define PER_SEGMENT HAMI_REGION_SLOTS_PER_SEGMENT
#define MOST_ROUNDS 8U /* of looking for a free slot while others take those just added */

static uint64_t *word_at(const struct hami_region *region, uint32_t slot, size_t offset) {
  return (uint64_t *)(void *)(region->segments[slot / PER_SEGMENT] + offset);
}

static size_t column(uint32_t device, size_t part) {
  return HAMI_REGION_SEGMENT_COLUMNS + (size_t)device * HAMI_REGION_COLUMN_BYTES + part;
}

uint64_t *hami_slot_owner(const struct hami_region *region, uint32_t slot) {
  return word_at(region, slot, HAMI_REGION_SEGMENT_OWNERS) + slot % PER_SEGMENT;
}

struct hami_region_slot *hami_slot_record(const struct hami_region *region, uint32_t slot) {
  return (struct hami_region_slot *)(void *)word_at(region, slot, HAMI_REGION_SEGMENT_SLOTS) + slot % PER_SEGMENT;
}

uint64_t *hami_slot_charged(const struct hami_region *region, uint32_t slot, uint32_t device) {
  return word_at(region, slot, column(device, HAMI_REGION_COLUMN_CHARGED)) + slot % PER_SEGMENT;
}

uint64_t *hami_slot_pending(const struct hami_region *region, uint32_t slot, uint32_t device) {
  return word_at(region, slot, column(device, HAMI_REGION_COLUMN_PENDING)) + slot % PER_SEGMENT;
}

uint64_t *hami_slot_classes(const struct hami_region *region, uint32_t slot, uint32_t device) {
  return word_at(region, slot, column(device, HAMI_REGION_COLUMN_CLASSES)) +
         (size_t)(slot % PER_SEGMENT) * HAMI_REGION_CLASSES;
}

uint32_t hami_slots_count(const struct hami_region *region) {
  return __atomic_load_n(&region->segment_count, __ATOMIC_ACQUIRE) * PER_SEGMENT;
}

static uint64_t owner_word(uint32_t state, uint32_t generation, uint32_t pid) {
  uint64_t kept = generation & ((1U << HAMI_REGION_OWNER_GENERATION_BITS) - 1);
  return (uint64_t)state << (HAMI_REGION_OWNER_PID_BITS + HAMI_REGION_OWNER_GENERATION_BITS) |
         kept << HAMI_REGION_OWNER_PID_BITS | pid;
}

static uint32_t generation_of(uint64_t word) { return (uint32_t)(word >> HAMI_REGION_OWNER_PID_BITS); }

static struct hami_region_segment *segment_of(const struct hami_region *region, uint32_t slot) {
  return (struct hami_region_segment *)(void *)region->segments[slot / PER_SEGMENT];
}

/* Sums stop at the highest slot ever taken in a segment. */
static void raise_used(const struct hami_region *region, uint32_t slot) {
  uint32_t *used = &segment_of(region, slot)->slots_used;
  uint32_t wanted = slot % PER_SEGMENT + 1;
  uint32_t seen = __atomic_load_n(used, __ATOMIC_RELAXED);
  while (seen < wanted && !__atomic_compare_exchange_n(used, &seen, wanted, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
  }
}

/*
 * Clears what the last owner left in a cell, as long as the slot is ours: who is taken for dead while it claims may
 * find the next owner's charges here. A store would wipe those out; an exchange for what was read before the slot was
 * seen to be ours does not.
 */
static bool clear_cell(uint64_t *cell, const uint64_t *owner, uint64_t claiming) {
  uint64_t left = __atomic_load_n(cell, __ATOMIC_ACQUIRE);
  HAMI_TEST_POINT("slots.clearing");
  return __atomic_load_n(owner, __ATOMIC_ACQUIRE) == claiming &&
         __atomic_compare_exchange_n(cell, &left, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static bool clear_columns(const struct hami_region *region, uint32_t slot, uint64_t claiming) {
  const uint64_t *owner = hami_slot_owner(region, slot);
  bool ours = true;
  for (uint32_t device = 0; ours && device < region->device_capacity; device++) {
    uint64_t *classes = hami_slot_classes(region, slot, device);
    ours = clear_cell(hami_slot_charged(region, slot, device), owner, claiming) &&
           clear_cell(hami_slot_pending(region, slot, device), owner, claiming);
    for (unsigned int i = 0; ours && i < HAMI_REGION_CLASSES; i++) {
      ours = clear_cell(&classes[i], owner, claiming);
    }
  }
  return ours;
}

static void fill_record(const struct hami_region *region, uint32_t slot, const struct hami_identity *identity) {
  struct hami_region_slot *record = hami_slot_record(region, slot);
  uint64_t now = region->effects->coarse_ns();
  __atomic_store_n(&record->start_time, identity->start_time, __ATOMIC_RELAXED);
  __atomic_store_n(&record->pid_namespace, identity->pid_namespace, __ATOMIC_RELAXED);
  __atomic_store_n(&record->attached_ns, now, __ATOMIC_RELAXED);
  __atomic_store_n(&record->active_ns, now, __ATOMIC_RELAXED);
  __atomic_store_n(&record->uid, identity->uid, __ATOMIC_RELAXED);
  __atomic_store_n(&record->management, 0, __ATOMIC_RELAXED);
  memcpy(record->command, identity->command, sizeof record->command);
}

static bool claim_slot(const struct hami_region *region, uint32_t slot, const struct hami_identity *identity,
                       uint64_t *taken) {
  uint64_t *owner = hami_slot_owner(region, slot);
  uint64_t seen = __atomic_load_n(owner, __ATOMIC_ACQUIRE);
  uint32_t generation = generation_of(seen) + 1;
  uint64_t claiming = owner_word(HAMI_REGION_OWNER_CLAIMING, generation, identity->pid);
  if (hami_owner_state(seen) != HAMI_REGION_OWNER_FREE ||
      !__atomic_compare_exchange_n(owner, &seen, claiming, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    return false;
  }
  HAMI_TEST_POINT("slots.claiming");
  raise_used(region, slot);
  HAMI_TEST_POINT("slots.in_sight");
  if (!clear_columns(region, slot, claiming)) {
    return false;
  }
  HAMI_TEST_POINT("slots.cleared");
  fill_record(region, slot, identity);
  HAMI_TEST_POINT("slots.filled");
  /* Only if nobody took us for dead meanwhile, as after a long stop. */
  *taken = owner_word(HAMI_REGION_OWNER_ACTIVE, generation, identity->pid);
  return __atomic_compare_exchange_n(owner, &claiming, *taken, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

bool hami_slots_claim(struct hami_region *region, const struct hami_identity *identity, uint32_t *slot,
                      uint64_t *owner_word_out) {
  for (unsigned int round = 0; round < MOST_ROUNDS && hami_region_map_new(region); round++) {
    uint32_t count = hami_slots_count(region);
    for (uint32_t i = 0; i < count; i++) {
      if (claim_slot(region, i, identity, owner_word_out)) {
        *slot = i;
        return true;
      }
    }
    if (!hami_region_grow(region, count / PER_SEGMENT)) {
      return false;
    }
  }
  return false;
}

bool hami_slots_free(const struct hami_region *region, uint32_t slot, uint64_t word) {
  uint64_t freed = owner_word(HAMI_REGION_OWNER_FREE, generation_of(word) + 1, 0);
  return __atomic_compare_exchange_n(hami_slot_owner(region, slot), &word, freed, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED);
}

static uint64_t saturating_add(uint64_t left, uint64_t right) {
  uint64_t sum;
  return __builtin_add_overflow(left, right, &sum) ? UINT64_MAX : sum;
}

static void add_slot(struct hami_slots_sum *sum, const struct hami_region *region, uint32_t device, uint32_t slot,
                     uint32_t own) {
  /* The request in flight is read first: it becomes a charge before it stops being a request, so in this order it is
   * seen twice at worst, never not at all. */
  uint64_t pending = __atomic_load_n(hami_slot_pending(region, slot, device), __ATOMIC_SEQ_CST);
  sum->charged =
      saturating_add(sum->charged, __atomic_load_n(hami_slot_charged(region, slot, device), __ATOMIC_SEQ_CST));
  uint64_t *side = slot < own ? &sum->pending_before : &sum->pending_after;
  *side = saturating_add(*side, pending);
}

struct hami_slots_sum hami_slots_sum(const struct hami_region *region, uint32_t device, uint32_t own) {
  struct hami_slots_sum sum = {0};
  uint32_t segments = __atomic_load_n(&region->segment_count, __ATOMIC_ACQUIRE);
  for (uint32_t segment = 0; segment < segments; segment++) {
    uint32_t first = segment * PER_SEGMENT;
    uint32_t used = __atomic_load_n(&segment_of(region, first)->slots_used, __ATOMIC_SEQ_CST);
    used = used < PER_SEGMENT ? used : PER_SEGMENT;
    for (uint32_t slot = first; slot < first + used; slot++) {
      uint64_t owner = __atomic_load_n(hami_slot_owner(region, slot), __ATOMIC_SEQ_CST);
      if (slot != own && hami_owner_state(owner) == HAMI_REGION_OWNER_ACTIVE) {
        add_slot(&sum, region, device, slot, own);
      }
    }
  }
  return sum;
}
