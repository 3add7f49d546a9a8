/*
 * Faults on request: HAMI_FAKE_FAULTS names calls that shall fail, hang, crash or be slow. See docs/fake-driver.md.
 * Rules are read once; counting calls needs no lock. Where none are asked for, a call costs one load and a branch.
 */
#ifndef HAMI_FAKE_FAULT_H
#define HAMI_FAKE_FAULT_H

#include <stdbool.h>

/* Counts this call of `name`; true with the code to return when a rule says that it fails. May not return. */
bool fake_fault_hits(const char *name, int *code);

extern int fake_fault_armed; /* -1: not read yet; 0: none; 1: some */

static inline bool fake_fault(const char *name, int *code) {
  return __builtin_expect(__atomic_load_n(&fake_fault_armed, __ATOMIC_ACQUIRE) != 0, 0) && fake_fault_hits(name, code);
}

#endif
