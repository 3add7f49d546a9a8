#include "core/ledger.h"

#include "core/log.h"
#include "core/membership.h"
#include "core/process.h"
#include "core/slots.h"
#include "core/test_point.h"

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
/* Starts an operation on a device; false, without a turn, for one that is not ours. */
static bool enter(struct hami_ledger *ledger, int device) {
  uint64_t now = ledger->effects->coarse_ns();
  hami_live_limits_poll(ledger->limits, now);
  if (!known_device(ledger, device)) {
    return false;
  }
  hami_membership_take_turn(ledger, now);
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
  hami_membership_publish_charge(ledger, device);
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
  if (!hami_membership_covers(ledger, device)) {
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
      (void)hami_membership_reap(ledger);
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
  hami_membership_publish_charge(ledger, (uint32_t)device);
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
  hami_membership_publish_charge(ledger, (uint32_t)device);
  leave(ledger);
}

uint64_t hami_ledger_used_bytes(struct hami_ledger *ledger, int device) {
  if (!enter(ledger, device)) {
    return 0;
  }
  uint64_t used = ledger->self->bytes[device];
  if (hami_membership_covers(ledger, (uint32_t)device)) {
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
  (void)hami_membership_reap(ledger); /* nobody wants to see the dead */
  if (hami_membership_covers(ledger, (uint32_t)device)) {
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
  if (hami_membership_due(ledger, now)) {
    hami_membership_take_turn(ledger, now);
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
