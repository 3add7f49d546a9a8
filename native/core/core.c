#include "core/core.h"

#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/process.h"
#include "core/turn.h"

enum { UNTRIED, ACTIVE, NOTHING_TO_DO };

static struct hami_live_limits limits;
static struct hami_region region;
static struct hami_ledger ledger;
static struct hami_pacing pacing;
static uint32_t state = UNTRIED;
static uint32_t starting; /* a turn */
static uint32_t dropping; /* a turn */

/* Starting reads files, which another preloaded library may turn into calls back to us. */
static __thread bool in_start __attribute__((tls_model("initial-exec")));

static const char *get_variable(const char *name) { return getenv(name); }

static uint32_t start(const struct hami_env_names *names) {
  const struct hami_effects *effects = &hami_effects_system;
  hami_log_configure(names->log_level == NULL ? NULL : getenv(names->log_level));
  if (!hami_live_limits_open(&limits, effects, names, get_variable)) {
    return NOTHING_TO_DO;
  }
  if (!hami_ledger_open(&ledger, effects, &limits, &region) || !hami_pacing_open(&pacing, effects, &limits, &region)) {
    HAMI_LOG(HAMI_LOG_ERROR, "no memory to keep books in; nothing is limited");
    return NOTHING_TO_DO;
  }
  hami_ledger_tick(&ledger, effects->coarse_ns()); /* takes a slot */
  HAMI_LOG(HAMI_LOG_INFO, "limits on %u devices from %s, region %s", limits.device_count,
           limits.path[0] == '\0' ? "the environment" : limits.path,
           hami_region_ready(&region) ? limits.region : "none");
  return ACTIVE;
}

bool hami_core_start(const struct hami_env_names *names) {
  uint32_t now = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
  if (__builtin_expect(now != UNTRIED, 1) || in_start) {
    return now == ACTIVE;
  }
  int saved = errno;
  in_start = true;
  hami_turn_take(&starting, hami_effects_system.pid(), &hami_effects_system);
  now = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
  if (now == UNTRIED) {
    now = start(names);
    __atomic_store_n(&state, now, __ATOMIC_RELEASE);
  }
  hami_turn_end(&starting);
  in_start = false;
  errno = saved;
  return now == ACTIVE;
}

bool hami_core_active(void) { return __atomic_load_n(&state, __ATOMIC_ACQUIRE) == ACTIVE; }

int hami_core_device_count(void) { return (int)__atomic_load_n(&limits.device_count, __ATOMIC_ACQUIRE); }

int hami_core_device_by_uuid(const char *uuid) {
  if (!hami_core_active()) {
    return -1;
  }
  hami_live_limits_poll(&limits, hami_effects_system.coarse_ns());
  return hami_live_limits_find(&limits, uuid);
}

static bool known_device(int device) { return device >= 0 && device < hami_core_device_count(); }

const char *hami_core_uuid(int device) {
  bool named = known_device(device) && __atomic_load_n(&limits.named[device], __ATOMIC_ACQUIRE);
  return named ? limits.uuids[device] : NULL;
}

bool hami_core_name_device(int device, const char *uuid) { return hami_live_limits_name(&limits, device, uuid); }

void hami_core_find_kernel_limit(int device, const char *bus_id) {
  if (known_device(device)) {
    hami_live_limits_find_kernel(&limits, (uint32_t)device, bus_id);
  }
}

bool hami_core_oversubscribes(void) { return __atomic_load_n(&limits.oversubscribe, __ATOMIC_RELAXED) != 0; }

enum hami_policy hami_core_policy(void) { return (enum hami_policy)__atomic_load_n(&limits.policy, __ATOMIC_RELAXED); }

uint32_t hami_core_core_percent(int device) {
  return known_device(device) ? __atomic_load_n(&limits.core_percent[device], __ATOMIC_RELAXED) : 0;
}

bool hami_core_reserve(int device, unsigned int class, uint64_t bytes) {
  return !hami_core_active() || hami_ledger_reserve(&ledger, device, class, bytes);
}

void hami_core_force(int device, unsigned int class, uint64_t bytes) {
  if (hami_core_active()) {
    hami_ledger_force(&ledger, device, class, bytes);
  }
}

void hami_core_release(int device, unsigned int class, uint64_t bytes) {
  if (hami_core_active()) {
    hami_ledger_release(&ledger, device, class, bytes);
  }
}

void hami_core_reclass(int device, unsigned int from, unsigned int to, uint64_t bytes) {
  if (hami_core_active()) {
    hami_ledger_reclass(&ledger, device, from, to, bytes);
  }
}

uint64_t hami_core_used_bytes(int device) { return hami_core_active() ? hami_ledger_used_bytes(&ledger, device) : 0; }

uint64_t hami_core_own_bytes(int device) { return hami_core_active() ? hami_ledger_own_bytes(&ledger, device) : 0; }

uint64_t hami_core_taken_bytes(int device) { return hami_core_active() ? hami_ledger_taken_bytes(&ledger, device) : 0; }

uint64_t hami_core_limit_bytes(int device) {
  return hami_core_active() ? hami_ledger_limit_bytes(&ledger, device) : HAMI_UNLIMITED;
}

bool hami_core_over_limit(int device) { return hami_core_used_bytes(device) > hami_core_limit_bytes(device); }

size_t hami_core_processes(int device, struct hami_ledger_row *rows, size_t size) {
  return hami_core_active() ? hami_ledger_rows(&ledger, device, rows, size) : 0;
}

bool hami_core_paces(int device) {
  if (!hami_core_active()) {
    return false;
  }
  uint64_t now = hami_effects_system.coarse_ns();
  hami_ledger_tick(&ledger, now); /* a process that only launches is alive too */
  return hami_pacing_limits(&pacing, device, now);
}

uint64_t hami_core_admit(int device, uint64_t estimate_ns, void (*meanwhile)(int device)) {
  return hami_core_active() ? hami_pacing_admit(&pacing, device, estimate_ns, meanwhile) : 0;
}

void hami_core_settle(int device, uint64_t charged_ns, uint64_t measured_ns, uint32_t launches) {
  if (hami_core_active()) {
    hami_pacing_settle(&pacing, device, charged_ns, measured_ns, launches);
  }
}

bool hami_core_contended(int device) { return hami_core_active() && hami_pacing_contended(&pacing, device); }

void hami_core_observe_others(int device, bool busy) {
  if (hami_core_active()) {
    hami_pacing_observe_others(&pacing, device, busy);
  }
}

void hami_core_note_management(bool answers) {
  if (hami_core_active()) {
    hami_ledger_note_management(&ledger, answers);
  }
}

uint64_t hami_core_typical_ns(int device) { return hami_core_active() ? hami_pacing_typical_ns(&pacing, device) : 0; }

uint64_t hami_core_busy_ns(int device) { return hami_core_active() ? hami_pacing_busy_ns(&pacing, device) : 0; }

bool hami_core_forked(void) { return hami_core_active() && hami_self_is_new(ledger.self, &hami_effects_system); }

void hami_core_drop_inherited(void (*drop)(void)) {
  hami_turn_take(&dropping, hami_effects_system.pid(), &hami_effects_system);
  if (hami_core_forked()) {
    drop();
    hami_self_begun(ledger.self, &hami_effects_system);
  }
  hami_turn_end(&dropping);
}
