/*
 * The first lines of every wrapper. A wrapper is always the same: guard, decide, call the driver, settle.
 *
 * errno, the driver's return codes and its treatment of NULL pointers are never changed by a wrapper. One that is
 * entered from inside another (the driver calling its own exports) or without limits only forwards.
 */
#ifndef HAMI_INTERPOSE_HOOK_H
#define HAMI_INTERPOSE_HOOK_H

#include <stddef.h>

#include "guard.h"
#include "real.h"
#include "session.h"

/* Declares `real`; returns at once where there is nothing to decide. The wrapper must end with HAMI_LEAVE. */
#define HAMI_ENTER(missing, name, ...)                                                                                 \
  __typeof__(&(name)) real = HAMI_REAL(name);                                                                          \
  if (__builtin_expect(real == NULL, 0)) {                                                                             \
    return (missing);                                                                                                  \
  }                                                                                                                    \
  if (!hami_session_active() || !hami_guard_enter()) {                                                                 \
    return real(__VA_ARGS__);                                                                                          \
  }

#define HAMI_LEAVE(result)                                                                                             \
  do {                                                                                                                 \
    __typeof__(result) hami_answer = (result);                                                                         \
    hami_guard_leave();                                                                                                \
    return hami_answer;                                                                                                \
  } while (0)

#endif
