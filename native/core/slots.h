/*
 * The process table of a region: taking and freeing slots, and sums over them.
 *
 * A slot's owner word (pid, generation, state) changes by compare-and-swap only and is the single truth about who owns
 * it: freeing is one step, so whoever frees the slots of the dead may die at any point itself. The next owner clears
 * the columns before its charges count. No locks.
 */
#ifndef HAMI_CORE_SLOTS_H
#define HAMI_CORE_SLOTS_H

#include "core/process.h"
#include "core/region.h"

static inline uint32_t hami_owner_pid(uint64_t word) { return (uint32_t)word; }

static inline uint32_t hami_owner_state(uint64_t word) {
  return (uint32_t)(word >> (HAMI_REGION_OWNER_PID_BITS + HAMI_REGION_OWNER_GENERATION_BITS));
}

uint64_t *hami_slot_owner(const struct hami_region *region, uint32_t slot);
struct hami_region_slot *hami_slot_record(const struct hami_region *region, uint32_t slot);

/* Cells of a slot; `device` must be below the region's capacity. */
uint64_t *hami_slot_charged(const struct hami_region *region, uint32_t slot, uint32_t device);
uint64_t *hami_slot_pending(const struct hami_region *region, uint32_t slot, uint32_t device);
uint64_t *hami_slot_classes(const struct hami_region *region, uint32_t slot, uint32_t device);

/* Number of slots mapped. */
uint32_t hami_slots_count(const struct hami_region *region);

/* Takes a free slot, adding a segment if there is none. False when that fails. */
bool hami_slots_claim(struct hami_region *region, const struct hami_identity *identity, uint32_t *slot,
                      uint64_t *owner_word);

/* Frees a slot if its owner word still reads `owner_word`. */
bool hami_slots_free(const struct hami_region *region, uint32_t slot, uint64_t owner_word);

/* Sums over all slots in use but `own`, saturating. */
struct hami_slots_sum {
  uint64_t charged;
  uint64_t pending_before; /* requests in flight of slots with a lower index than `own` */
  uint64_t pending_after;
};

struct hami_slots_sum hami_slots_sum(const struct hami_region *region, uint32_t device, uint32_t own);

#define HAMI_NO_SLOT UINT32_MAX

#endif
