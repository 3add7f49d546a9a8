#include "core/reap.h"

#include "core/log.h"
#include "core/test_point.h"

#define SILENCE_NS 30000000000ULL

static bool other_namespace(uint64_t left, uint64_t right) { return left != 0 && right != 0 && left != right; }

static bool outlived_namespace(const struct hami_region_slot *record, const struct hami_effects *effects) {
  uint64_t now = effects->coarse_ns();
  uint64_t attached = __atomic_load_n(&record->attached_ns, __ATOMIC_RELAXED);
  uint64_t active = __atomic_load_n(&record->active_ns, __ATOMIC_RELAXED);
  uint64_t born = hami_namespace_birth_ns(effects);
  return born != 0 && attached < born && now > active && now - active > SILENCE_NS;
}

static bool is_dead(const struct hami_region *region, const struct hami_effects *effects,
                    const struct hami_identity *self, uint32_t slot, uint64_t owner) {
  const struct hami_region_slot *record = hami_slot_record(region, slot);
  if (hami_owner_state(owner) == HAMI_REGION_OWNER_CLAIMING) {
    /* Its record is still the last owner's. A pid that was taken over meanwhile keeps the slot, without charges. */
    return hami_process_dead(effects, hami_owner_pid(owner), 0);
  }
  if (other_namespace(__atomic_load_n(&record->pid_namespace, __ATOMIC_RELAXED), self->pid_namespace)) {
    return outlived_namespace(record, effects);
  }
  uint64_t start_time = __atomic_load_n(&record->start_time, __ATOMIC_RELAXED);
  return hami_process_dead(effects, hami_owner_pid(owner), start_time);
}

uint32_t hami_reap(const struct hami_region *region, const struct hami_effects *effects,
                   const struct hami_identity *self) {
  uint32_t freed = 0;
  uint32_t count = hami_slots_count(region);
  for (uint32_t slot = 0; slot < count; slot++) {
    uint64_t owner = __atomic_load_n(hami_slot_owner(region, slot), __ATOMIC_ACQUIRE);
    if (hami_owner_state(owner) == HAMI_REGION_OWNER_FREE || !is_dead(region, effects, self, slot, owner)) {
      continue;
    }
    HAMI_TEST_POINT("reap.found_dead");
    if (hami_slots_free(region, slot, owner)) {
      HAMI_TEST_POINT("reap.freed");
      freed++;
      HAMI_LOG(HAMI_LOG_INFO, "process %u is gone, its charges are dropped", hami_owner_pid(owner));
    }
  }
  if (freed > 0) {
    __atomic_fetch_add(&region->header->reaped_count, freed, __ATOMIC_RELAXED);
  }
  return freed;
}
