#include "core/membership.h"

#include "core/log.h"
#include "core/process.h"
#include "core/reap.h"
#include "core/slots.h"
#include "core/test_point.h"

#define TICK_NS 100000000ULL
#define REAP_NS 1000000000ULL
#define RETRY_NS 1000000000ULL

bool hami_membership_covers(const struct hami_ledger *ledger, uint32_t device) {
  return ledger->self->attached != 0 && device < ledger->region->device_capacity;
}

void hami_membership_publish_charge(const struct hami_ledger *ledger, uint32_t device) {
  const struct hami_self *self = ledger->self;
  if (!hami_membership_covers(ledger, device)) {
    return;
  }
  uint64_t *classes = hami_slot_classes(ledger->region, self->slot, device);
  for (unsigned int i = 0; i < HAMI_REGION_CLASSES; i++) {
    __atomic_store_n(&classes[i], self->class_bytes[device][i], __ATOMIC_RELAXED);
  }
  HAMI_TEST_POINT("ledger.publishing");
  __atomic_store_n(hami_slot_charged(ledger->region, self->slot, device), self->bytes[device], __ATOMIC_SEQ_CST);
}

/* For monitors only: nothing here is read back. */
static void publish_limits(const struct hami_ledger *ledger) {
  const struct hami_live_limits *limits = ledger->limits;
  struct hami_region_header *header = ledger->region->header;
  uint32_t count = __atomic_load_n(&limits->device_count, __ATOMIC_ACQUIRE);
  count = count < ledger->region->device_capacity ? count : ledger->region->device_capacity;
  for (uint32_t i = 0; i < count; i++) {
    struct hami_region_device *device = hami_region_device_at(ledger->region, i);
    uint32_t percent = __atomic_load_n(&limits->core_percent[i], __ATOMIC_RELAXED);
    __atomic_store_n(&device->memory_limit_bytes, hami_live_limits_memory(limits, i), __ATOMIC_RELAXED);
    __atomic_store_n(&device->core_percent, percent, __ATOMIC_RELAXED);
    HAMI_TEST_POINT("ledger.telling_limits");
    if (__atomic_load_n(&limits->named[i], __ATOMIC_ACQUIRE)) {
      for (size_t at = 0; at < sizeof device->uuid; at++) {
        __atomic_store_n(&device->uuid[at], limits->uuids[i][at], __ATOMIC_RELAXED);
      }
    }
  }
  __atomic_store_n(&header->policy, __atomic_load_n(&limits->policy, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
  __atomic_store_n(&header->priority, __atomic_load_n(&limits->priority, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
  if (__atomic_load_n(&header->device_count, __ATOMIC_RELAXED) < count) {
    __atomic_store_n(&header->device_count, count, __ATOMIC_RELAXED);
  }
}

/* A program that replaced itself by exec left a slot behind that looks alive: same pid, same start. */
static void free_predecessor(const struct hami_ledger *ledger) {
  const struct hami_identity *identity = &ledger->self->identity;
  uint32_t count = hami_slots_count(ledger->region);
  for (uint32_t slot = 0; slot < count; slot++) {
    uint64_t owner = __atomic_load_n(hami_slot_owner(ledger->region, slot), __ATOMIC_ACQUIRE);
    const struct hami_region_slot *record = hami_slot_record(ledger->region, slot);
    if (hami_owner_state(owner) == HAMI_REGION_OWNER_ACTIVE && hami_owner_pid(owner) == identity->pid &&
        __atomic_load_n(&record->start_time, __ATOMIC_RELAXED) == identity->start_time &&
        __atomic_load_n(&record->pid_namespace, __ATOMIC_RELAXED) == identity->pid_namespace) {
      (void)hami_slots_free(ledger->region, slot, owner);
    }
  }
}

static bool join_region(const struct hami_ledger *ledger) {
  if (hami_region_ready(ledger->region)) {
    return true;
  }
  const char *path = ledger->limits->region;
  if (path[0] == '\0') {
    return false;
  }
  uint32_t count = __atomic_load_n(&ledger->limits->device_count, __ATOMIC_ACQUIRE);
  enum hami_region_result result = hami_region_attach(ledger->region, ledger->effects, path, count);
  if (result != HAMI_REGION_OK) {
    HAMI_LOG(HAMI_LOG_WARN, "region %s cannot be used (%d); keeping books for this process alone", path, (int)result);
  }
  return result == HAMI_REGION_OK;
}

static void publish_management(const struct hami_ledger *ledger) {
  __atomic_store_n(&hami_slot_record(ledger->region, ledger->self->slot)->management,
                   __atomic_load_n(&ledger->management, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

static void take_slot(const struct hami_ledger *ledger) {
  struct hami_self *self = ledger->self;
  uint64_t now = ledger->effects->coarse_ns();
  if (now < self->retry_ns) {
    return;
  }
  self->retry_ns = now + RETRY_NS;
  if (!join_region(ledger)) {
    return;
  }
  if (self->identity.pid != self->pid) {
    hami_identity_read(ledger->effects, &self->identity);
  }
  free_predecessor(ledger);
  if (!hami_slots_claim(ledger->region, &self->identity, &self->slot, &self->owner_word)) {
    HAMI_LOG(HAMI_LOG_WARN, "region %s has no room for another process; keeping its books alone",
             ledger->limits->region);
    return;
  }
  HAMI_TEST_POINT("ledger.slot_taken");
  self->attached = 1;
  self->retry_ns = 0;
  for (uint32_t device = 0; device < HAMI_LIMITS_MAX_DEVICES; device++) {
    hami_membership_publish_charge(ledger, device);
  }
  publish_limits(ledger);
  publish_management(ledger);
}

static void stay_attached(const struct hami_ledger *ledger) {
  struct hami_self *self = ledger->self;
  if (__builtin_expect(self->attached != 0, 1)) {
    uint64_t owner = __atomic_load_n(hami_slot_owner(ledger->region, self->slot), __ATOMIC_RELAXED);
    if (__builtin_expect(owner == self->owner_word, 1)) {
      return;
    }
    self->attached = 0;     /* taken for dead in error: what we hold must count again */
    self->identity.pid = 0; /* perhaps rightly: a process restored from a checkpoint has another start time */
  }
  take_slot(ledger);
}

uint32_t hami_membership_reap(const struct hami_ledger *ledger) {
  return ledger->self->attached != 0 ? hami_reap(ledger->region, ledger->effects, &ledger->self->identity) : 0;
}

static void tick(const struct hami_ledger *ledger, uint64_t now) {
  struct hami_self *self = ledger->self;
  uint64_t ticked = __atomic_load_n(&self->ticked_ns, __ATOMIC_RELAXED);
  if (__builtin_expect(now - ticked < TICK_NS, 1)) {
    return;
  }
  __atomic_store_n(&self->ticked_ns, now, __ATOMIC_RELAXED);
  if (self->attached == 0) {
    return;
  }
  (void)hami_region_intact(ledger->region);
  struct hami_region_header *header = ledger->region->header;
  __atomic_store_n(&hami_slot_record(ledger->region, self->slot)->active_ns, now, __ATOMIC_RELAXED);
  __atomic_store_n(&header->heartbeat_ns, now, __ATOMIC_RELAXED);
  publish_management(ledger);
  uint64_t reaped = __atomic_load_n(&header->reaped_ns, __ATOMIC_RELAXED);
  /* One process a second; a time in the future is damage, not a reason to wait for it. */
  if ((now - reaped >= REAP_NS || reaped > now) &&
      __atomic_compare_exchange_n(&header->reaped_ns, &reaped, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    HAMI_TEST_POINT("ledger.about_to_reap");
    (void)hami_membership_reap(ledger);
    publish_limits(ledger);
  }
}

void hami_membership_take_turn(const struct hami_ledger *ledger, uint64_t now) {
  hami_self_enter(ledger->self, ledger->effects);
  stay_attached(ledger);
  tick(ledger, now);
}

bool hami_membership_due(const struct hami_ledger *ledger, uint64_t now) {
  return now - __atomic_load_n(&ledger->self->ticked_ns, __ATOMIC_RELAXED) >= TICK_NS;
}
