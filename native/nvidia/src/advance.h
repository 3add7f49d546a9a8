/*
 * Device time that a thread was given in advance. Short launches queue for the share several at a time, so that most of
 * them touch nothing that other threads touch. What a thread has left when it stops launching is lost to the share: at
 * most HAMI_ADVANCE_NS, once.
 */
#ifndef HAMI_NVIDIA_ADVANCE_H
#define HAMI_NVIDIA_ADVANCE_H

#include <stdbool.h>
#include <stdint.h>

#define HAMI_ADVANCE_NS 16000U

/* How many launches of this length to queue for at once: 1 where the length is unknown or not short. */
uint32_t hami_advance_launches(uint64_t expected_ns);

/* Takes a launch's time from what this thread has left on the device; false when that is not enough. */
bool hami_advance_take(int device, uint64_t expected_ns);

/* What became of a launch whose time was taken: counted as used, or returned. */
void hami_advance_end(uint64_t taken_ns, bool launched);

/* Settles what was used so far, and keeps `ns` on `device` for later launches. What is left on another device is given
 * back. */
void hami_advance_renew(int device, uint64_t ns);

void hami_advance_after_fork_in_child(void);

#endif
