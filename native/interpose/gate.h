/*
 * Gates: wrappers of launches whose prototype is not certain. A gate passes every argument on as it came, whatever its
 * type: all registers that arguments may be in, and up to the table's number of words from the stack. What the launch
 * is and where it goes is read out of those words only where that is known; else it is paced by what the container's
 * launches take in general, and not measured.
 *
 * Not passed on are the upper halves of vector registers wider than 128 bits. A result is an int, and 0 is success. The
 * stack is read only as far as the table says, and not written.
 */
#ifndef HAMI_INTERPOSE_GATE_H
#define HAMI_INTERPOSE_GATE_H

#include <stddef.h>
#include <stdint.h>

struct hami_launch;

/* Returned in two registers to gate.S. */
struct hami_gated {
  void *real;
  size_t paced; /* 0: jump there, as if the gate were not there; else call it, and hami_gate_leave after it */
};

/* Called by gate.S. `function` is an index of the table; the 14 words are the registers for integers and the stack. */
struct hami_gated hami_gate_enter(size_t function, const uintptr_t *words, struct hami_launch *launch);
void hami_gate_leave(struct hami_launch *launch, int result);

/* Generated for each table with gates: what tells launches apart, and their stream. */
uint64_t hami_gate_key(size_t function, const uintptr_t *words, void **stream);

/* Generated: what a function answers that the driver lacks. */
int hami_gate_missing(void);

#endif
