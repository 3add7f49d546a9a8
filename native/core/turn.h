/*
 * A lock word for threads of one process that no fork can leave locked: it holds the owner's pid, so a child sees
 * that the holder is not among its threads and takes over. Guards short sections only; what it guards must be usable,
 * or be reset, when such a takeover happens.
 */
#ifndef HAMI_CORE_TURN_H
#define HAMI_CORE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/effects.h"

#define HAMI_TURN_SPINS 100U
#define HAMI_TURN_FIRST_PAUSE_NS 20000ULL
#define HAMI_TURN_LONGEST_PAUSE_NS 320000ULL

/* One try. */
static inline bool hami_turn_try(uint32_t *word, uint32_t pid) {
  uint32_t holder = 0;
  if (__atomic_compare_exchange_n(word, &holder, pid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    return true;
  }
  return holder != pid && __atomic_compare_exchange_n(word, &holder, pid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void hami_turn_take(uint32_t *word, uint32_t pid, const struct hami_effects *effects) {
  uint64_t pause_ns = HAMI_TURN_FIRST_PAUSE_NS;
  for (unsigned int tries = 0; !hami_turn_try(word, pid); tries++) {
    if (tries > HAMI_TURN_SPINS) { /* the holder lost its processor, or waits for other processes */
      effects->sleep_ns(pause_ns);
      pause_ns = pause_ns < HAMI_TURN_LONGEST_PAUSE_NS ? 2 * pause_ns : pause_ns;
    }
  }
}

static inline void hami_turn_end(uint32_t *word) { __atomic_store_n(word, 0, __ATOMIC_RELEASE); }

#endif
