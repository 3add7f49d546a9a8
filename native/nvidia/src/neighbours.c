#include "neighbours.h"

#include <stdint.h>
#include <string.h>

#include "core/core.h"
#include "core/effects.h"
#include "devices.h"
#include "real.h"
#include "sizes.h"

#define LOOK_INTERVAL_NS 100000000ULL

/* NVML's utilisation covers up to a second; so must what is subtracted from it. */
#define HISTORY 10

/* Percentage points of the device that are not ours before they count as somebody's. */
#define OTHERS_PERCENT 10

#define WATCHED_DEVICES 64

struct watch {
  uint64_t looked_ns; /* the thread that moves it looks */
  uint32_t looks;
  uint32_t contended;
  uint64_t times_ns[HISTORY];
  uint64_t busy_ns[HISTORY];
};

static struct watch watches[WATCHED_DEVICES];

static bool is_watched(int device) { return device >= 0 && device < WATCHED_DEVICES; }

static uint64_t own_percent(struct watch *watch, uint64_t now_ns, uint64_t busy_ns) {
  uint32_t place = watch->looks % HISTORY;
  uint64_t then_ns = watch->times_ns[place];
  uint64_t before_ns = watch->busy_ns[place];
  watch->times_ns[place] = now_ns;
  watch->busy_ns[place] = busy_ns;
  watch->looks++;
  return then_ns == 0 || now_ns <= then_ns ? 100 : hami_sizes_subtract(busy_ns, before_ns) * 100 / (now_ns - then_ns);
}

static void look(int device, struct watch *watch, uint64_t now_ns) {
  __typeof__(&nvmlDeviceGetUtilizationRates) get_rates = HAMI_REAL(nvmlDeviceGetUtilizationRates);
  struct hami_ledger_row rows[2];
  nvmlDevice_t handle;
  nvmlUtilization_t rates;
  bool shared = hami_core_processes(device, rows, 2) > 1;
  uint64_t own = own_percent(watch, now_ns, hami_core_busy_ns(device));
  if (get_rates != NULL && hami_devices_nvml_handle(device, &handle) && get_rates(handle, &rates) == NVML_SUCCESS) {
    bool others = rates.gpu > own + OTHERS_PERCENT;
    hami_core_observe_others(device, others);
    shared = shared || others;
  }
  __atomic_store_n(&watch->contended, shared ? 1 : 0, __ATOMIC_RELAXED);
}

void hami_neighbours_watch(int device) {
  if (!is_watched(device)) {
    return;
  }
  struct watch *watch = &watches[device];
  uint64_t now_ns = hami_effects_system.coarse_ns();
  uint64_t looked_ns = __atomic_load_n(&watch->looked_ns, __ATOMIC_RELAXED);
  if (now_ns - looked_ns >= LOOK_INTERVAL_NS &&
      __atomic_compare_exchange_n(&watch->looked_ns, &looked_ns, now_ns, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    look(device, watch, now_ns);
  }
}

bool hami_neighbours_contend(int device) {
  return is_watched(device) && __atomic_load_n(&watches[device].contended, __ATOMIC_RELAXED) != 0;
}

void hami_neighbours_after_fork_in_child(void) { memset(watches, 0, sizeof watches); }
