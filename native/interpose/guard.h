/*
 * The thread's "inside a wrapper" mark. Drivers call their own exported functions and run callbacks; what happens
 * below a wrapper is the driver's business and is passed through untouched. No lock; async-signal-safe.
 */
#ifndef HAMI_INTERPOSE_GUARD_H
#define HAMI_INTERPOSE_GUARD_H

#include <stdbool.h>

/* initial-exec: the library is loaded at start-up, and __tls_get_addr could allocate. */
extern __thread bool hami_guard_flag __attribute__((tls_model("initial-exec")));

static inline bool hami_guard_inside(void) { return hami_guard_flag; }

/* True when the caller is the outermost wrapper and must call hami_guard_leave. */
static inline bool hami_guard_enter(void) {
  if (hami_guard_flag) {
    return false;
  }
  hami_guard_flag = true;
  return true;
}

static inline void hami_guard_leave(void) { hami_guard_flag = false; }

#endif
