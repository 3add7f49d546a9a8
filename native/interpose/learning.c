#include "learning.h"

#include "core/core.h"
#include "core/effects.h"
#include "estimates.h"

/* A launch of unknown length waits at most this long for the result of one before it. */
#define LEARNING_NS 100000000ULL
#define LEARNING_STEP_NS 200000ULL

/* No launch is charged with more than this for the time that another has been out: that one may never end. */
#define MOST_AGE_NS 1000000000ULL

static uint32_t anything_known; /* some launch of this process was measured */

/* Of a launch whose time may be mostly waits: what was charged, or what launches here take in general if that is more.
 */
static uint64_t believable(const struct hami_measured *measured) {
  uint64_t typical_ns = hami_core_typical_ns(measured->device);
  uint64_t likely_ns = measured->charged_ns > typical_ns ? measured->charged_ns : typical_ns;
  return likely_ns != 0 && likely_ns < measured->measured_ns ? likely_ns : measured->measured_ns;
}

/*
 * Device time of one measured launch. While others work on the device too, the measured time contains waits for them.
 * Then the smallest of several counts.
 */
static uint64_t learn(const struct hami_learning *learning, const struct hami_measured *measured) {
  bool contended = learning->contended(measured->device);
  uint64_t likely_ns = hami_estimates_add(measured->key, measured->least_ns, measured->measured_ns,
                                          measured->alone || !contended, hami_effects_system.coarse_ns());
  __atomic_store_n(&anything_known, 1, __ATOMIC_RELAXED);
  if (!contended) {
    return likely_ns;
  }
  uint64_t known_ns = hami_estimates_get(measured->key, true);
  return known_ns != 0 ? known_ns : believable(measured);
}

void hami_learning_settle(const struct hami_learning *learning, const struct hami_measured *measured) {
  uint64_t took_ns = measured->measured_ns == 0 ? measured->charged_ns : learn(learning, measured) * measured->launches;
  hami_core_settle(measured->device, measured->charged_ns, took_ns, measured->launches);
}

void hami_learning_settle_finished(const struct hami_learning *learning) {
  struct hami_measured measured;
  while (learning->collect(&measured)) {
    hami_learning_settle(learning, &measured);
  }
}

/*
 * The best guess about a launch while one before it, of the same kind, is still out after `age_ns`: part of that may
 * have been waits for the others' work, who get their turns too.
 */
static uint64_t guess(const struct hami_learning *learning, int device, uint64_t age_ns) {
  uint64_t typical_ns = hami_core_typical_ns(device);
  uint64_t least_ns = (age_ns < MOST_AGE_NS ? age_ns : MOST_AGE_NS) / learning->contenders(device);
  return typical_ns > least_ns ? typical_ns : least_ns;
}

uint64_t hami_learning_expect(const struct hami_learning *learning, int device, uint64_t key) {
  bool contended = learning->contended(device);
  uint64_t expected_ns = hami_estimates_get(key, contended);
  uint64_t begun_ns = 0;
  uint64_t age_ns = 0;
  uint64_t awaited = __atomic_load_n(&anything_known, __ATOMIC_RELAXED) != 0 ? key : HAMI_ANY_KEY;
  while (expected_ns == 0 && learning->pending(awaited, &age_ns)) {
    uint64_t now_ns = hami_effects_system.now_ns();
    begun_ns = begun_ns == 0 ? now_ns : begun_ns;
    if (now_ns - begun_ns >= LEARNING_NS) {
      return guess(learning, device, age_ns);
    }
    hami_effects_system.sleep_ns(LEARNING_STEP_NS);
    hami_learning_settle_finished(learning);
    expected_ns = hami_estimates_get(key, contended);
  }
  return expected_ns;
}

void hami_learning_after_fork_in_child(void) { __atomic_store_n(&anything_known, 0, __ATOMIC_RELAXED); }
