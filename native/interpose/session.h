/*
 * Whether this process has a share to keep. Decided once, at the first vendor call or lookup, from the limits alone:
 * no driver is touched, and in a process without limits every wrapper only forwards. Also tells the parts that keep
 * state about fork. Callable from anywhere, other libraries' constructors included.
 */
#ifndef HAMI_INTERPOSE_SESSION_H
#define HAMI_INTERPOSE_SESSION_H

#include <stdbool.h>

#include "core/core.h"

enum hami_session_state { HAMI_SESSION_UNDECIDED, HAMI_SESSION_NONE, HAMI_SESSION_LIMITED };

extern enum hami_session_state hami_session_state;

/* Finds the limits; true when there are any. */
bool hami_session_decide(void);

/* Drops what was inherited from the parent process. */
void hami_session_forget_parent(void);

/* True when limits are set. */
static inline bool hami_session_configured(void) {
  enum hami_session_state state = __atomic_load_n(&hami_session_state, __ATOMIC_ACQUIRE);
  return state == HAMI_SESSION_LIMITED || (state == HAMI_SESSION_UNDECIDED && hami_session_decide());
}

/* True when a wrapper has work to do; makes sure that the state it finds is this process's own. */
static inline bool hami_session_active(void) {
  if (!hami_session_configured()) {
    return false;
  }
  if (__builtin_expect(hami_core_forked(), 0)) {
    hami_core_drop_inherited(hami_session_forget_parent);
  }
  return true;
}

#endif
