#include "core/ledger.h"

#include <string.h>

#include "core/log.h"
#include "core/process.h"
#include "core/reap.h"
#include "core/slots.h"
#include "core/test_point.h"

#define TICK_NS 100000000ULL
#define REAP_NS 1000000000ULL
#define RETRY_NS 1000000000ULL
#define CONTENDED_TRIES 64U
#define CONTENDED_SLEEP_NS 50000ULL
/* The lowest slot's request waits some 10 ms, by longer and longer sleeps, for the others to withdraw theirs. */
#define SPINS_OF_LOWEST 20U
#define SLEEPS_OF_LOWEST 18U
#define LONGEST_SLEEP_NS 1000000ULL

/* Who waited this long for others' requests waited for a process that is stopped: for a while, the next do not. */
#define STUCK_NS 300000000ULL
#define IMPATIENT_NS 1000000000ULL
#define IMPATIENT_TRIES 2U

enum outcome { GRANTED, REFUSED, CONTENDED };

bool hami_ledger_open(struct hami_ledger *ledger, const struct hami_effects *effects, struct hami_live_limits *limits,
                      struct hami_region *region) {
  *ledger =
      (struct hami_ledger){.effects = effects, .limits = limits, .region = region, .self = hami_self_create(effects)};
  return ledger->self != NULL;
}

static bool known_device(const struct hami_ledger *ledger, int device) {
  return device >= 0 && (uint32_t)device < __atomic_load_n(&ledger->limits->device_count, __ATOMIC_ACQUIRE);
}

static uint64_t limit_of(const struct hami_ledger *ledger, uint32_t device) {
  return hami_live_limits_memory(ledger->limits, device);
}

/* Everything below up to the public functions runs in this process's turn. */

static bool shared(const struct hami_ledger *ledger, uint32_t device) {
  return ledger->self->attached != 0 && device < ledger->region->device_capacity;
}

static void publish_charge(const struct hami_ledger *ledger, uint32_t device) {
  const struct hami_self *self = ledger->self;
  if (!shared(ledger, device)) {
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
    __atomic_store_n(&device->memory_limit_bytes, limit_of(ledger, i), __ATOMIC_RELAXED);
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
    publish_charge(ledger, device);
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

static uint32_t reap(const struct hami_ledger *ledger) {
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
    (void)reap(ledger);
    publish_limits(ledger);
  }
}

static void take_turn(struct hami_ledger *ledger, uint64_t now) {
  hami_self_enter(ledger->self, ledger->effects);
  stay_attached(ledger);
  tick(ledger, now);
}

/* Starts an operation on a device; false, without a turn, for one that is not ours. */
static bool enter(struct hami_ledger *ledger, int device) {
  uint64_t now = ledger->effects->coarse_ns();
  hami_live_limits_poll(ledger->limits, now);
  if (!known_device(ledger, device)) {
    return false;
  }
  take_turn(ledger, now);
  return true;
}

static void leave(struct hami_ledger *ledger) { hami_self_leave(ledger->self); }

static uint64_t saturating_add(uint64_t left, uint64_t right) {
  uint64_t sum;
  return __builtin_add_overflow(left, right, &sum) ? UINT64_MAX : sum;
}

static void add_own(struct hami_ledger *ledger, uint32_t device, unsigned int class, uint64_t bytes) {
  struct hami_self *self = ledger->self;
  self->bytes[device] = saturating_add(self->bytes[device], bytes);
  self->class_bytes[device][class] = saturating_add(self->class_bytes[device][class], bytes);
  self->taken_bytes[device] += bytes;
  publish_charge(ledger, device);
}

/* Compares what is used and asked for with the limit, once the request is published. */
static enum outcome weigh(const struct hami_ledger *ledger, uint32_t device, uint64_t wanted, uint64_t limit) {
  uint64_t sleep_ns = 1000;
  for (unsigned int i = 0;; i++) {
    if (!hami_region_map_new(ledger->region)) {
      return REFUSED; /* some processes' charges are out of sight */
    }
    struct hami_slots_sum sum = hami_slots_sum(ledger->region, device, ledger->self->slot);
    uint64_t total = saturating_add(wanted, sum.charged);
    if (total > limit) {
      return REFUSED;
    }
    if (saturating_add(total, saturating_add(sum.pending_before, sum.pending_after)) <= limit) {
      return GRANTED;
    }
    /* Of several requests that do not fit together, the one in the lowest slot stays published and wins once the
     * others have withdrawn. */
    if (saturating_add(total, sum.pending_before) > limit || i >= SPINS_OF_LOWEST + SLEEPS_OF_LOWEST) {
      return CONTENDED;
    }
    if (i >= SPINS_OF_LOWEST) {
      ledger->effects->sleep_ns(sleep_ns);
      sleep_ns = sleep_ns < LONGEST_SLEEP_NS ? 2 * sleep_ns : LONGEST_SLEEP_NS;
    }
  }
}

static enum outcome try_to_reserve(struct hami_ledger *ledger, uint32_t device, unsigned int class, uint64_t bytes) {
  struct hami_self *self = ledger->self;
  uint64_t limit = limit_of(ledger, device);
  uint64_t wanted = saturating_add(self->bytes[device], bytes);
  if (wanted > limit || wanted == UINT64_MAX) {
    return REFUSED; /* a sum that cannot be written down could not be taken apart again either */
  }
  if (limit == HAMI_UNLIMITED) {
    add_own(ledger, device, class, bytes);
    return GRANTED;
  }
  if (!shared(ledger, device)) {
    add_own(ledger, device, class, bytes);
    return GRANTED;
  }
  uint64_t *pending = hami_slot_pending(ledger->region, self->slot, device);
  HAMI_TEST_POINT("ledger.before_request");
  /* An exchange and not a store: no later read may come before it, and emulators are known to let reads pass a store.
   */
  (void)__atomic_exchange_n(pending, bytes, __ATOMIC_SEQ_CST);
  HAMI_TEST_POINT("ledger.requested");
  enum outcome outcome = weigh(ledger, device, wanted, limit);
  HAMI_TEST_POINT("ledger.weighed");
  if (outcome == GRANTED) {
    add_own(ledger, device, class, bytes);
    HAMI_TEST_POINT("ledger.charged");
  }
  __atomic_store_n(pending, 0, __ATOMIC_SEQ_CST);
  return outcome;
}

static void count_refusal(const struct hami_ledger *ledger, uint32_t device, uint64_t bytes) {
  struct hami_region_device *record = hami_region_device_at(ledger->region, device);
  if (record != NULL) {
    __atomic_fetch_add(&record->refused_count, 1, __ATOMIC_RELAXED);
  }
  HAMI_LOG(HAMI_LOG_INFO, "device %u: %llu bytes refused", device, (unsigned long long)bytes);
}

static unsigned int most_tries(const struct hami_ledger *ledger, uint64_t now) {
  uint64_t stuck = __atomic_load_n(&ledger->stuck_ns, __ATOMIC_RELAXED);
  return stuck != 0 && now - stuck < IMPATIENT_NS ? IMPATIENT_TRIES : CONTENDED_TRIES;
}

static void note_wait(struct hami_ledger *ledger, uint64_t began) {
  uint64_t now = ledger->effects->coarse_ns();
  if (now - began >= STUCK_NS) {
    __atomic_store_n(&ledger->stuck_ns, now, __ATOMIC_RELAXED);
  }
}

bool hami_ledger_reserve(struct hami_ledger *ledger, int device, unsigned int class, uint64_t bytes) {
  bool looked = false;
  uint64_t began = 0;
  for (unsigned int tries = 0;;) {
    if (class >= HAMI_REGION_CLASSES || !enter(ledger, device)) {
      return true;
    }
    enum outcome outcome = try_to_reserve(ledger, (uint32_t)device, class, bytes);
    uint32_t slot = ledger->self->slot;
    if (outcome != GRANTED && !looked) { /* the dead may be all that is in the way */
      looked = true;
      hami_live_limits_check(ledger->limits);
      (void)reap(ledger);
      outcome = try_to_reserve(ledger, (uint32_t)device, class, bytes);
    }
    leave(ledger);
    if (outcome == GRANTED) {
      return true;
    }
    if (tries == 0) {
      began = ledger->effects->coarse_ns();
    }
    if (outcome == REFUSED || ++tries >= most_tries(ledger, began)) {
      note_wait(ledger, began);
      count_refusal(ledger, (uint32_t)device, bytes);
      return false;
    }
    ledger->effects->sleep_ns(CONTENDED_SLEEP_NS * (1 + (slot + tries) % 3));
  }
}

void hami_ledger_force(struct hami_ledger *ledger, int device, unsigned int class, uint64_t bytes) {
  if (class < HAMI_REGION_CLASSES && enter(ledger, device)) {
    add_own(ledger, (uint32_t)device, class, bytes);
    leave(ledger);
  }
}

void hami_ledger_release(struct hami_ledger *ledger, int device, unsigned int class, uint64_t bytes) {
  if (class >= HAMI_REGION_CLASSES || !enter(ledger, device)) {
    return;
  }
  struct hami_self *self = ledger->self;
  uint64_t held = self->class_bytes[device][class];
  uint64_t given = bytes < held ? bytes : held;
  self->class_bytes[device][class] -= given;
  self->bytes[device] -= given;
  publish_charge(ledger, (uint32_t)device);
  leave(ledger);
}

void hami_ledger_reclass(struct hami_ledger *ledger, int device, unsigned int from, unsigned int to, uint64_t bytes) {
  if (from >= HAMI_REGION_CLASSES || to >= HAMI_REGION_CLASSES || !enter(ledger, device)) {
    return;
  }
  struct hami_self *self = ledger->self;
  uint64_t held = self->class_bytes[device][from];
  uint64_t moved = bytes < held ? bytes : held;
  self->class_bytes[device][from] -= moved;
  self->class_bytes[device][to] = saturating_add(self->class_bytes[device][to], moved);
  publish_charge(ledger, (uint32_t)device);
  leave(ledger);
}

uint64_t hami_ledger_used_bytes(struct hami_ledger *ledger, int device) {
  if (!enter(ledger, device)) {
    return 0;
  }
  uint64_t used = ledger->self->bytes[device];
  if (shared(ledger, (uint32_t)device)) {
    (void)hami_region_map_new(ledger->region);
    used = saturating_add(used, hami_slots_sum(ledger->region, (uint32_t)device, ledger->self->slot).charged);
  }
  leave(ledger);
  return used;
}

uint64_t hami_ledger_own_bytes(struct hami_ledger *ledger, int device) {
  if (!enter(ledger, device)) {
    return 0;
  }
  uint64_t own = ledger->self->bytes[device];
  leave(ledger);
  return own;
}

uint64_t hami_ledger_taken_bytes(struct hami_ledger *ledger, int device) {
  if (!enter(ledger, device)) {
    return 0;
  }
  uint64_t taken = ledger->self->taken_bytes[device];
  leave(ledger);
  return taken;
}

uint64_t hami_ledger_limit_bytes(struct hami_ledger *ledger, int device) {
  hami_live_limits_poll(ledger->limits, ledger->effects->coarse_ns());
  return known_device(ledger, device) ? limit_of(ledger, (uint32_t)device) : HAMI_UNLIMITED;
}

size_t hami_ledger_rows(struct hami_ledger *ledger, int device, struct hami_ledger_row *rows, size_t size) {
  size_t found = 0;
  if (!enter(ledger, device)) {
    return 0;
  }
  (void)reap(ledger); /* nobody wants to see the dead */
  if (shared(ledger, (uint32_t)device)) {
    (void)hami_region_map_new(ledger->region);
    uint32_t count = hami_slots_count(ledger->region);
    for (uint32_t slot = 0; slot < count; slot++) {
      uint64_t owner = __atomic_load_n(hami_slot_owner(ledger->region, slot), __ATOMIC_ACQUIRE);
      uint64_t bytes = __atomic_load_n(hami_slot_charged(ledger->region, slot, (uint32_t)device), __ATOMIC_RELAXED);
      if (hami_owner_state(owner) == HAMI_REGION_OWNER_ACTIVE && bytes > 0) {
        if (found < size) {
          rows[found] = (struct hami_ledger_row){.pid = hami_owner_pid(owner), .bytes = bytes};
        }
        found++;
      }
    }
  } else if (ledger->self->bytes[device] > 0) {
    if (size > 0) {
      rows[0] = (struct hami_ledger_row){.pid = ledger->self->pid, .bytes = ledger->self->bytes[device]};
    }
    found = 1;
  }
  leave(ledger);
  return found;
}

void hami_ledger_note_management(struct hami_ledger *ledger, bool answers) {
  uint32_t state = answers ? HAMI_REGION_MANAGEMENT_ANSWERS : HAMI_REGION_MANAGEMENT_SILENT;
  uint32_t before = __atomic_load_n(&ledger->management, __ATOMIC_RELAXED);
  if (__builtin_expect(before == state, 1)) {
    return;
  }
  __atomic_store_n(&ledger->management, state, __ATOMIC_RELAXED);
  if (!answers) {
    HAMI_LOG(HAMI_LOG_WARN, "the management library does not answer; what was last known of the device holds");
  } else if (before != 0) {
    HAMI_LOG(HAMI_LOG_WARN, "the management library answers again");
  }
}

void hami_ledger_tick(struct hami_ledger *ledger, uint64_t now) {
  /* Without a turn: called before every launch. A child's is zero, as its page is wiped. */
  if (now - __atomic_load_n(&ledger->self->ticked_ns, __ATOMIC_RELAXED) >= TICK_NS) {
    take_turn(ledger, now);
    leave(ledger);
  }
}

void hami_ledger_close(struct hami_ledger *ledger) {
  hami_self_enter(ledger->self, ledger->effects);
  if (ledger->self->attached != 0) {
    (void)hami_slots_free(ledger->region, ledger->self->slot, ledger->self->owner_word);
    ledger->self->attached = 0;
  }
  hami_self_leave(ledger->self);
}
