/*
 * The device clock. Each unit is one serial engine in simulated time: work is placed at its tail in the order in which
 * processes submit it, and a process with too much ahead waits, as it does for a full queue of a real card.
 */
#ifndef HAMI_FAKE_ENGINE_H
#define HAMI_FAKE_ENGINE_H

#include "state.h"

#define FAKE_SLICE_NS 50000000u /* of a bucket */
#define FAKE_WINDOW_SLICES 20u  /* utilisation is over the last second, like NVML's */
#define FAKE_QUEUE_DEPTH 128u   /* accepted and unfinished, per process and unit */

uint64_t fake_clock_now(const struct fake_state *state);

/* Sleeps until simulated time `when_ns`; moves the clock there instead where the time scale is 0. */
void fake_clock_wait(struct fake_state *state, uint64_t when_ns);

/* Places `duration_ns` of work of this process and returns when it ends. */
uint64_t fake_engine_submit(struct fake_state *state, int unit, uint64_t duration_ns);

/* Device time used up to now by one process (0: by all that are alive). Takes the lock. */
uint64_t fake_engine_busy_ns(struct fake_state *state, int32_t pid, int unit);

/* Percent of the last second that the unit was busy, with anybody's work or with that of one slot. Needs the lock. */
unsigned fake_engine_utilisation(struct fake_state *state, int unit);
unsigned fake_engine_process_utilisation(struct fake_state *state, uint32_t slot, int unit);

#endif
