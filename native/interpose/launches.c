#include "launches.h"

#include "books.h"
#include "core/core.h"
#include "core/effects.h"
#include "estimates.h"
#include "learning.h"
#include "measures.h"
#include "vendor.h"

/* Outside a limit one launch in this time is measured, for all of its thread's since the last. */
#define ACTIVITY_INTERVAL_NS 20000000ULL

/* How often the container's other processes are counted. */
#define CROWD_INTERVAL_NS 100000000ULL
#define WATCHED_DEVICES 64

struct crowd {
  uint64_t looked_ns; /* the thread that moves it looks */
  uint32_t contended;
};

static struct crowd crowds[WATCHED_DEVICES];

static __thread uint32_t unmeasured __attribute__((tls_model("initial-exec")));
static __thread uint64_t activity_ns __attribute__((tls_model("initial-exec")));

uint64_t hami_launches_shape(uint64_t function, const uint64_t *sizes, size_t count) {
  uint64_t key = hami_estimates_mix(0, function);
  for (size_t i = 0; i < count; i++) {
    key = hami_estimates_mix(key, sizes[i]);
  }
  return key;
}

/* True when measured times may contain waits for work that is not this process's: others of the container are on the
 * device, or the host says that other containers are at work. Where nothing is known of those, a launch costs what it
 * measured: the share is not exceeded. */
static bool contends(int device) {
  if (device < 0 || device >= WATCHED_DEVICES) {
    return false;
  }
  struct crowd *crowd = &crowds[device];
  uint64_t now_ns = hami_effects_system.coarse_ns();
  uint64_t looked_ns = __atomic_load_n(&crowd->looked_ns, __ATOMIC_RELAXED);
  if (now_ns - looked_ns >= CROWD_INTERVAL_NS &&
      __atomic_compare_exchange_n(&crowd->looked_ns, &looked_ns, now_ns, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    struct hami_ledger_row rows[2];
    bool shared = hami_core_processes(device, rows, 2) > 1 || hami_core_contended(device);
    __atomic_store_n(&crowd->contended, shared ? 1 : 0, __ATOMIC_RELAXED);
  }
  return __atomic_load_n(&crowd->contended, __ATOMIC_RELAXED) != 0;
}

/* How many they are is not known here. */
static uint32_t contenders(int device) {
  (void)device;
  return 1;
}

static const struct hami_learning learning = {.collect = hami_measures_collect,
                                              .pending = hami_measures_pending,
                                              .contended = contends,
                                              .contenders = contenders};

static void settle_finished(void) { hami_learning_settle_finished(&learning); }

static bool has_stream(const struct hami_launch *launch) {
  return launch->stream != HAMI_UNKNOWN_STREAM && launch->stream != HAMI_HOST_TIMED;
}

/* Asked only where it matters: it is a call of the driver. */
static bool is_recorded(const struct hami_launch *launch) {
  return has_stream(launch) && hami_vendor.timer->recording(launch->stream);
}

static void start_timing(struct hami_launch *launch) {
  if (has_stream(launch)) {
    launch->measure = hami_measures_start(launch->device, launch->stream);
  } else if (launch->stream == HAMI_HOST_TIMED) {
    launch->began_ns = hami_effects_system.now_ns();
  }
}

/* While a launch waits: others may be waiting for what has finished. */
static void meanwhile(int device) {
  (void)device;
  settle_finished();
}

static void begin_limited(struct hami_launch *launch, int device) {
  if (is_recorded(launch)) {
    return;
  }
  settle_finished();
  launch->device = device;
  launch->limited = true;
  /* The first launch of the container has the device to itself: the core lets the others wait for what it tells. */
  bool nothing_known = hami_core_typical_ns(device) == 0;
  uint64_t expected_ns = has_stream(launch) ? hami_learning_expect(&learning, device, launch->key)
                                            : hami_estimates_get(launch->key, contends(device));
  launch->charged_ns = hami_core_admit(device, expected_ns, meanwhile);
  launch->alone = nothing_known && hami_core_typical_ns(device) == 0;
  if (hami_estimates_wanted(launch->key)) {
    start_timing(launch);
  }
}

static void begin_unlimited(struct hami_launch *launch, int device) {
  uint64_t now_ns = hami_effects_system.coarse_ns();
  unmeasured++;
  if (now_ns - activity_ns < ACTIVITY_INTERVAL_NS || launch->stream == HAMI_UNKNOWN_STREAM || is_recorded(launch)) {
    return;
  }
  settle_finished();
  launch->device = device;
  launch->launches = unmeasured;
  start_timing(launch);
  unmeasured = 0;
  activity_ns = now_ns;
}

void hami_launches_begin(struct hami_launch *launch, int device, uint64_t what, void *stream) {
  *launch = (struct hami_launch){
      .device = HAMI_NO_DEVICE, .key = hami_estimates_mix(0, what), .stream = stream, .launches = 1};
  if (device == HAMI_NO_DEVICE || hami_vendor.timer == NULL) {
    return;
  }
  if (hami_core_paces(device)) {
    begin_limited(launch, device);
  } else {
    begin_unlimited(launch, device);
  }
}

void hami_launches_end(struct hami_launch *launch, bool done) {
  if (launch->device == HAMI_NO_DEVICE) {
    return;
  }
  struct hami_measured measured = {.device = launch->device,
                                   .key = launch->key,
                                   .charged_ns = launch->charged_ns,
                                   .launches = launch->launches,
                                   .alone = launch->alone};
  if (launch->measure != NULL && done) {
    hami_measures_end(launch->measure, launch->stream, &measured);
  } else if (launch->began_ns != 0 && done) {
    measured.measured_ns = hami_effects_system.now_ns() - launch->began_ns;
    measured.least_ns = measured.measured_ns;
    hami_learning_settle(&learning, &measured);
  } else {
    if (launch->measure != NULL) {
      hami_measures_cancel(launch->measure);
    }
    if (launch->limited) {
      hami_core_settle(launch->device, launch->charged_ns, done ? launch->charged_ns : 0, done ? 1 : 0);
    }
  }
}

void hami_launches_after_fork_in_child(void) {
  hami_learning_after_fork_in_child();
  for (int i = 0; i < WATCHED_DEVICES; i++) {
    crowds[i] = (struct crowd){0};
  }
  hami_measures_after_fork_in_child();
}
