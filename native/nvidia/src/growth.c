#include "growth.h"

#include <errno.h>
#include <stdint.h>

#include "books.h"
#include "core/core.h"
#include "core/effects.h"
#include "own_memory.h"
#include "pools.h"
#include "sizes.h"

/* Unless something is expected. */
#define INTERVAL_NS 250000000ULL

/* A comparison is followed by this many times its own length without one. */
#define REST_FACTOR 50U

struct device {
  uint32_t contexts;
  bool lower; /* the last comparison found less held than charged */
  uint64_t extra_bytes;
};

static struct device devices[HAMI_LIMITS_MAX_DEVICES];
static bool watching;         /* some device has contexts */
static unsigned int expected; /* bits of HAMI_GROWTH_MORE and HAMI_GROWTH_LESS */
static bool blurred;
static bool comparing;
static uint64_t rested_ns; /* no comparison before */
static uint64_t due_ns;    /* none is needed before, if nothing is expected */

static bool in_range(int device) { return device >= 0 && device < HAMI_LIMITS_MAX_DEVICES; }

/* The caller compares, so nobody else changes `extra_bytes`; but a device's last context may end meanwhile. */
static void take(struct device *state, int device, uint64_t bytes) {
  hami_core_force(device, HAMI_CLASS_CONTEXT, bytes);
  (void)__atomic_add_fetch(&state->extra_bytes, bytes, __ATOMIC_ACQ_REL);
}

static void give_back(struct device *state, int device, uint64_t bytes) {
  uint64_t extra = __atomic_load_n(&state->extra_bytes, __ATOMIC_ACQUIRE);
  uint64_t given;
  do {
    given = bytes < extra ? bytes : extra;
  } while (!__atomic_compare_exchange_n(&state->extra_bytes, &extra, extra - given, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE));
  if (given != 0) {
    hami_core_release(device, HAMI_CLASS_CONTEXT, given);
  }
}

/* The books are asked first: memory that is given back in between then counts once too often, never too seldom; what is
 * taken in between, the caller knows. */
static uint64_t charged_on_card(int device) {
  uint64_t own = hami_core_own_bytes(device);
  return hami_sizes_subtract(own, hami_books_spilled_bytes(device));
}

/*
 * Every byte that the driver hands out is charged from before it exists until after it is gone. So at the moment NVML
 * answers no more is charged than was charged before the question, and what was taken since. What NVML says beyond
 * that is nobody's yet. Less may be right too, if nothing was taken or given back meanwhile; but an allocation that
 * the driver is at work on looks the same, so that must be seen twice unless something ended just now.
 */
static bool compare(int device, bool ended) {
  struct device *state = &devices[device];
  uint64_t held = 0;
  uint64_t taken_before = hami_core_taken_bytes(device);
  uint64_t charged = charged_on_card(device);
  if (!hami_own_memory_read(device, &held)) {
    return false;
  }
  uint64_t taken = hami_core_taken_bytes(device) - taken_before;
  uint64_t most = hami_sizes_add(charged, taken);
  if (held > most) {
    state->lower = false;
    if (!__atomic_load_n(&blurred, __ATOMIC_RELAXED)) {
      take(state, device, held - most);
    }
    return false;
  }
  bool lower = held < charged && taken == 0 && charged_on_card(device) == charged &&
               __atomic_load_n(&state->extra_bytes, __ATOMIC_RELAXED) != 0;
  bool certain = lower && (ended || state->lower);
  state->lower = lower && !certain;
  if (certain) {
    give_back(state, device, charged - held);
  }
  return certain;
}

static bool compare_all(bool ended) {
  bool shrank = false;
  if (__atomic_exchange_n(&comparing, true, __ATOMIC_ACQUIRE)) {
    return false; /* another thread is at it: its result is good enough */
  }
  int saved = errno;
  uint64_t start_ns = hami_effects_system.now_ns();
  ended = (__atomic_exchange_n(&expected, 0, __ATOMIC_ACQ_REL) & HAMI_GROWTH_LESS) != 0 || ended;
  (void)hami_pools_refresh();
  int count = hami_core_device_count();
  for (int device = 0; device < count && in_range(device); device++) {
    if (__atomic_load_n(&devices[device].contexts, __ATOMIC_ACQUIRE) != 0) {
      shrank = compare(device, ended) || shrank;
      if (__atomic_load_n(&devices[device].contexts, __ATOMIC_ACQUIRE) == 0) {
        give_back(&devices[device], device, UINT64_MAX);
      }
    }
  }
  uint64_t end_ns = hami_effects_system.now_ns();
  __atomic_store_n(&rested_ns, end_ns + REST_FACTOR * (end_ns - start_ns), __ATOMIC_RELAXED);
  __atomic_store_n(&due_ns, end_ns + INTERVAL_NS, __ATOMIC_RELAXED);
  errno = saved;
  __atomic_store_n(&comparing, false, __ATOMIC_RELEASE);
  return shrank;
}

static bool is_watching(void) { return __atomic_load_n(&watching, __ATOMIC_RELAXED); }

static bool is_expected(void) { return __atomic_load_n(&expected, __ATOMIC_RELAXED) != 0; }

static bool has_come(const uint64_t *time_ns) {
  return hami_effects_system.coarse_ns() >= __atomic_load_n(time_ns, __ATOMIC_RELAXED);
}

void hami_growth_expect(unsigned int changes) {
  if (is_watching()) {
    (void)__atomic_or_fetch(&expected, changes, __ATOMIC_RELEASE);
  }
}

void hami_growth_check(void) {
  if (is_watching() && has_come(is_expected() ? &rested_ns : &due_ns) && has_come(&rested_ns)) {
    (void)compare_all(false);
  }
}

void hami_growth_look(void) {
  if (is_watching() && (is_expected() || has_come(&rested_ns))) {
    (void)compare_all(false);
  }
}

bool hami_growth_reclaim(void) { return is_watching() && (is_expected() || has_come(&rested_ns)) && compare_all(true); }

void hami_growth_context_made(int device) {
  if (in_range(device)) {
    (void)__atomic_add_fetch(&devices[device].contexts, 1, __ATOMIC_ACQ_REL);
    __atomic_store_n(&watching, true, __ATOMIC_RELEASE);
    hami_growth_expect(HAMI_GROWTH_MORE);
  }
}

void hami_growth_context_ended(int device) {
  if (!in_range(device)) {
    return;
  }
  struct device *state = &devices[device];
  uint32_t contexts = __atomic_load_n(&state->contexts, __ATOMIC_ACQUIRE);
  while (contexts != 0 && !__atomic_compare_exchange_n(&state->contexts, &contexts, contexts - 1, false,
                                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
  if (contexts <= 1) {
    give_back(state, device, UINT64_MAX);
  }
  hami_growth_expect(HAMI_GROWTH_LESS);
  hami_growth_check();
}

void hami_growth_blur(void) { __atomic_store_n(&blurred, true, __ATOMIC_RELAXED); }

void hami_growth_after_fork_in_child(void) {
  for (int device = 0; device < HAMI_LIMITS_MAX_DEVICES; device++) {
    devices[device] = (struct device){.contexts = 0};
  }
  __atomic_store_n(&watching, false, __ATOMIC_RELAXED);
  __atomic_store_n(&expected, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&blurred, false, __ATOMIC_RELAXED);
  __atomic_store_n(&comparing, false, __ATOMIC_RELEASE);
}
