#include "pace.h"

#include "advance.h"
#include "books.h"
#include "capture.h"
#include "core/core.h"
#include "core/effects.h"
#include "devices.h"
#include "estimates.h"
#include "learning.h"
#include "neighbours.h"
#include "probes.h"

/* Outside a limit one launch in this time is measured, for all of its thread's since the last. */
#define ACTIVITY_INTERVAL_NS 20000000ULL

__thread uint64_t hami_pace_calm_ns __attribute__((tls_model("initial-exec")));
__thread unsigned int hami_pace_unmeasured __attribute__((tls_model("initial-exec")));
static __thread uint64_t activity_ns __attribute__((tls_model("initial-exec")));

static const struct hami_learning learning = {.collect = hami_probes_collect,
                                              .pending = hami_probes_pending,
                                              .contended = hami_neighbours_contended,
                                              .contenders = hami_neighbours_contenders};

void hami_pace_settle(void) { hami_learning_settle_finished(&learning); }

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
  pace->launches = hami_pace_unmeasured;
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
  uint64_t expected_ns = hami_learning_expect(&learning, pace->device, pace->key);
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
  uint64_t expected_ns = hami_estimates_get(pace->key, hami_neighbours_contended(pace->device));
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
  *pace = (struct hami_pace){.device = hami_devices_current(&context), .launches = 1, .key = key};
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
    struct hami_measured expected = {.device = pace->device,
                                     .key = pace->key,
                                     .charged_ns = pace->charged_ns,
                                     .launches = pace->launches,
                                     .alone = pace->alone};
    hami_probes_end(pace->probe, &expected);
  } else if (pace->limited) {
    hami_core_settle(pace->device, pace->charged_ns, pace->charged_ns, 1);
  }
}

void hami_pace_after_fork_in_child(void) {
  hami_learning_after_fork_in_child();
  hami_advance_after_fork_in_child();
  hami_probes_after_fork_in_child();
  hami_neighbours_after_fork_in_child();
}
