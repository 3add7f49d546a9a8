#include "neighbours.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

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

/* Launches count as waiting for others' work for so long after that was seen: it may come at longer intervals than NVML
 * looks back. */
#define CONTENDED_NS 10000000000ULL

#define WATCHED_DEVICES 64
#define SAMPLES 64
#define SECOND_US 1000000ULL

struct watch {
  uint64_t looked_ns;
  uint32_t looking; /* a thread does; the rest but `contenders` is its own meanwhile */
  uint32_t looks;
  uint64_t others_ns; /* when others were last seen; 0: never */
  uint32_t contenders;
  uint64_t times_ns[HISTORY];
  uint64_t busy_ns[HISTORY];
};

static struct watch watches[WATCHED_DEVICES];

static bool is_watched(int device) { return device >= 0 && device < WATCHED_DEVICES; }

/* Since the look that is in a place of the history; 0 when there was none. */
static uint64_t percent_since(const struct watch *watch, uint32_t place, uint64_t now_ns, uint64_t busy_ns) {
  uint64_t then_ns = watch->times_ns[place];
  return then_ns == 0 || now_ns <= then_ns
             ? 0
             : hami_sizes_subtract(busy_ns, watch->busy_ns[place]) * 100 / (now_ns - then_ns);
}

/* The larger of what the whole history and its later half say: what this container has just begun to use is no
 * neighbour's. */
static uint64_t own_percent(struct watch *watch, uint64_t now_ns, uint64_t busy_ns) {
  uint32_t place = watch->looks % HISTORY;
  bool filled = watch->times_ns[place] != 0;
  uint64_t whole = percent_since(watch, place, now_ns, busy_ns);
  uint64_t half = percent_since(watch, (place + HISTORY / 2) % HISTORY, now_ns, busy_ns);
  watch->times_ns[place] = now_ns;
  watch->busy_ns[place] = busy_ns;
  watch->looks++;
  return !filled ? 100 : whole > half ? whole : half;
}

static bool seen_before(const nvmlProcessUtilizationSample_t *samples, unsigned int at) {
  for (unsigned int i = 0; i < at; i++) {
    if (samples[i].pid == samples[at].pid && samples[i].smUtil != 0) {
      return true;
    }
  }
  return false;
}

/*
 * How many processes worked on the device in the last second; 0 when NVML cannot say. Their numbers are the host's, so
 * only the count tells something.
 */
static size_t working_processes(nvmlDevice_t handle) {
  __typeof__(&nvmlDeviceGetProcessUtilization) get_samples = HAMI_REAL(nvmlDeviceGetProcessUtilization);
  nvmlProcessUtilizationSample_t samples[SAMPLES];
  unsigned int count = SAMPLES;
  size_t working = 0;
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  uint64_t now_us = (uint64_t)now.tv_sec * SECOND_US + (uint64_t)now.tv_nsec / 1000U;
  if (get_samples == NULL || get_samples(handle, samples, &count, now_us - SECOND_US) != NVML_SUCCESS) {
    return 0;
  }
  for (unsigned int i = 0; i < count && i < SAMPLES; i++) {
    working += samples[i].smUtil != 0 && !seen_before(samples, i) ? 1 : 0;
  }
  return working;
}

/*
 * Several processes at work and one of them ours: that settles it. Otherwise the device's utilisation is compared with
 * our own, which says less: a launch that waits for a neighbour's kernel measures as if all of it were its own work.
 */
static bool others_work(nvmlDevice_t handle, size_t own_processes, unsigned int device_percent, uint64_t own) {
  size_t working = working_processes(handle);
  if (working > own_processes && working > 1) { /* this one works, whatever it holds */
    return true;
  }
  return (working == 0 || own_processes > 1) && device_percent > own + OTHERS_PERCENT;
}

static void look(int device, struct watch *watch, uint64_t now_ns) {
  __typeof__(&nvmlDeviceGetUtilizationRates) get_rates = HAMI_REAL(nvmlDeviceGetUtilizationRates);
  struct hami_ledger_row rows[2];
  nvmlDevice_t handle;
  nvmlUtilization_t rates;
  size_t own_processes = hami_core_processes(device, rows, 2);
  size_t contenders = own_processes;
  uint64_t own = own_percent(watch, now_ns, hami_core_busy_ns(device));
  if (get_rates != NULL && hami_devices_nvml_handle(device, &handle) &&
      hami_devices_nvml_answered(get_rates(handle, &rates))) {
    bool others = others_work(handle, own_processes, rates.gpu, own);
    hami_core_observe_others(device, others);
    watch->others_ns = others ? now_ns : watch->others_ns;
  }
  contenders += watch->others_ns != 0 && now_ns - watch->others_ns < CONTENDED_NS ? 1 : 0;
  __atomic_store_n(&watch->contenders, contenders < UINT32_MAX ? (uint32_t)contenders : UINT32_MAX, __ATOMIC_RELAXED);
}

void hami_neighbours_watch(int device) {
  if (!is_watched(device)) {
    return;
  }
  struct watch *watch = &watches[device];
  uint64_t now_ns = hami_effects_system.coarse_ns();
  if (now_ns - __atomic_load_n(&watch->looked_ns, __ATOMIC_RELAXED) >= LOOK_INTERVAL_NS &&
      __atomic_exchange_n(&watch->looking, 1, __ATOMIC_ACQUIRE) == 0) {
    look(device, watch, now_ns);
    __atomic_store_n(&watch->looked_ns, now_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&watch->looking, 0, __ATOMIC_RELEASE);
  }
}

uint32_t hami_neighbours_contenders(int device) {
  uint32_t seen = is_watched(device) ? __atomic_load_n(&watches[device].contenders, __ATOMIC_RELAXED) : 0;
  return seen == 0 ? 1 : seen;
}

void hami_neighbours_after_fork_in_child(void) { memset(watches, 0, sizeof watches); }
