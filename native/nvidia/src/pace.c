#include "pace.h"

#include "advance.h"
#include "books.h"
#include "capture.h"
#include "core/core.h"
#include "core/effects.h"
#include "devices.h"
#include "estimates.h"
#include "neighbours.h"
#include "probes.h"

/* Outside a limit one launch in this time is measured, for all of its thread's since the last. */
#define ACTIVITY_INTERVAL_NS 20000000ULL

/* A launch of unknown length waits at most this long for the result of the one before it. */
#define LEARNING_NS 100000000ULL
#define LEARNING_STEP_NS 200000ULL

/* No launch is charged with more than this for the time that another has been out: that one may never end. */
#define MOST_AGE_NS 1000000000ULL

static uint32_t anything_known; /* some launch of this process was measured */

__thread uint64_t hami_pace_calm_ns __attribute__((tls_model("initial-exec")));
__thread unsigned int hami_pace_unmeasured __attribute__((tls_model("initial-exec")));
static __thread uint64_t activity_ns __attribute__((tls_model("initial-exec")));

/* Of a launch whose time may be mostly waits: what was charged, or what launches here take in general if that is more.
 */
static uint64_t believable(const struct hami_probe_result *result) {
  uint64_t typical_ns = hami_core_typical_ns(result->device);
  uint64_t likely_ns = result->charged_ns > typical_ns ? result->charged_ns : typical_ns;
  return likely_ns != 0 && likely_ns < result->measured_ns ? likely_ns : result->measured_ns;
}

/*
 * Device time of one measured launch. While others work on the device too, the measured time contains waits for them.
 * Then the smallest of several counts.
 */
static uint64_t learn(const struct hami_probe_result *result) {
  bool contended = hami_neighbours_contend(result->device);
  uint64_t likely_ns = hami_estimates_add(result->key, result->least_ns, result->measured_ns,
                                          result->alone || !contended, hami_effects_system.coarse_ns());
  __atomic_store_n(&anything_known, 1, __ATOMIC_RELAXED);
  if (!contended) {
    return likely_ns;
  }
  uint64_t known_ns = hami_estimates_get(result->key, true);
  return known_ns != 0 ? known_ns : believable(result);
}

void hami_pace_settle(void) {
  struct hami_probe_result result;
  while (hami_probes_collect(&result)) {
    uint64_t took_ns = result.measured_ns == 0 ? result.charged_ns : learn(&result) * result.weight;
    hami_core_settle(result.device, result.charged_ns, took_ns, result.weight);
  }
}

/*
 * The best guess about a launch while the one before it, of the same kind, is still out after `age_ns`: part of that
 * may have been waits for the others' work, who get their turns too.
 */
static uint64_t guess(int device, uint64_t age_ns) {
  uint64_t typical_ns = hami_core_typical_ns(device);
  uint64_t least_ns = (age_ns < MOST_AGE_NS ? age_ns : MOST_AGE_NS) / hami_neighbours_contenders(device);
  return typical_ns > least_ns ? typical_ns : least_ns;
}

/*
 * Expected device time. A program may queue hundreds of launches before the first has ended and is known, so a launch
 * of a kind that was never measured waits a little for the result.
 */
static uint64_t estimate(int device, uint64_t key) {
  bool contended = hami_neighbours_contend(device);
  uint64_t expected_ns = hami_estimates_get(key, contended);
  uint64_t begun_ns = 0;
  uint64_t age_ns = 0;
  uint64_t awaited = __atomic_load_n(&anything_known, __ATOMIC_RELAXED) != 0 ? key : HAMI_PROBES_ANY_KEY;
  while (expected_ns == 0 && hami_probes_pending(awaited, &age_ns)) {
    uint64_t now_ns = hami_effects_system.now_ns();
    begun_ns = begun_ns == 0 ? now_ns : begun_ns;
    if (now_ns - begun_ns >= LEARNING_NS) {
      return guess(device, age_ns);
    }
    hami_effects_system.sleep_ns(LEARNING_STEP_NS);
    hami_pace_settle();
    expected_ns = hami_estimates_get(key, contended);
  }
  return expected_ns;
}

/* While a launch waits. A container that launches rarely would otherwise look at the device when it is not on it. */
static void meanwhile(int device) {
  hami_pace_settle();
  hami_neighbours_watch(device);
}

static bool any_device_paces(void) {
  for (int device = 0; device < hami_core_device_count(); device++) {
    if (hami_core_paces(device)) {
      return true;
    }
  }
  return false;
}

static void begin_unlimited(struct hami_pace *pace, CUstream stream, bool per_thread) {
  uint64_t now_ns = hami_effects_system.coarse_ns();
  hami_pace_unmeasured++;
  if (now_ns - activity_ns < ACTIVITY_INTERVAL_NS || hami_capture_active(stream, per_thread)) {
    pace->device = HAMI_NO_DEVICE;
    if (!any_device_paces()) {
      hami_pace_calm_ns = now_ns; /* until the next tick of the clock nothing can change */
    }
    return;
  }
  hami_pace_settle();
  pace->weight = hami_pace_unmeasured;
  pace->measure = true;
  hami_pace_unmeasured = 0;
  activity_ns = now_ns;
}

static void begin_limited(struct hami_pace *pace, CUstream stream, bool per_thread) {
  if (hami_capture_active(stream, per_thread)) {
    pace->device = HAMI_NO_DEVICE;
    return;
  }
  hami_pace_calm_ns = 0;
  hami_pace_settle();
  hami_neighbours_watch(pace->device);
  pace->limited = true;
  uint64_t expected_ns = estimate(pace->device, pace->key);
  uint32_t launches = hami_advance_launches(expected_ns);
  /* The first launch of the container has the device to itself: the core lets the others wait for what it tells. */
  bool nothing_known = expected_ns == 0 && hami_core_typical_ns(pace->device) == 0;
  uint64_t charged_ns = hami_core_admit(pace->device, expected_ns * launches, meanwhile);
  pace->charged_ns = charged_ns / launches;
  hami_advance_renew(pace->device, charged_ns - pace->charged_ns);
  pace->alone = nothing_known && hami_core_typical_ns(pace->device) == 0;
}

/* A launch that is not measured, out of what its thread was given in advance. */
static bool begin_advanced(struct hami_pace *pace, CUstream stream, bool per_thread) {
  uint64_t expected_ns = hami_estimates_get(pace->key, hami_neighbours_contend(pace->device));
  if (pace->measure || !hami_advance_take(pace->device, expected_ns)) {
    return false;
  }
  if (hami_capture_active(stream, per_thread)) {
    hami_advance_end(expected_ns, false);
    return false;
  }
  pace->taken_ns = expected_ns;
  return true;
}

void hami_pace_admit(struct hami_pace *pace, uint64_t key, CUstream stream, bool per_thread) {
  CUcontext context = NULL;
  *pace = (struct hami_pace){.device = hami_devices_current(&context), .weight = 1, .key = key};
  if (pace->device == HAMI_NO_DEVICE) {
    return;
  }
  pace->context = context;
  pace->measure = hami_estimates_wanted(key);
  if (begin_advanced(pace, stream, per_thread)) {
    return;
  }
  if (hami_core_paces(pace->device)) {
    begin_limited(pace, stream, per_thread);
  } else {
    begin_unlimited(pace, stream, per_thread);
  }
}

void hami_pace_mark(struct hami_pace *pace, CUstream stream, bool per_thread) {
  if (pace->device != HAMI_NO_DEVICE && pace->measure) {
    pace->probe = hami_probes_start(pace->context, stream, per_thread);
  }
}

void hami_pace_end(struct hami_pace *pace, CUresult result) {
  if (pace->device == HAMI_NO_DEVICE) {
    return;
  }
  if (pace->taken_ns != 0) {
    hami_advance_end(pace->taken_ns, result == CUDA_SUCCESS);
    return;
  }
  if (result != CUDA_SUCCESS) {
    if (pace->probe != NULL) {
      hami_probes_cancel(pace->probe);
    }
    hami_core_settle(pace->device, pace->charged_ns, 0, 0);
    return;
  }
  if (pace->probe != NULL) {
    struct hami_probe_result expected = {.device = pace->device,
                                         .key = pace->key,
                                         .charged_ns = pace->charged_ns,
                                         .weight = pace->weight,
                                         .alone = pace->alone};
    hami_probes_end(pace->probe, &expected);
  } else if (pace->limited) {
    hami_core_settle(pace->device, pace->charged_ns, pace->charged_ns, 1);
  }
}

void hami_pace_after_fork_in_child(void) {
  __atomic_store_n(&anything_known, 0, __ATOMIC_RELAXED);
  hami_advance_after_fork_in_child();
  hami_probes_after_fork_in_child();
  hami_neighbours_after_fork_in_child();
}
