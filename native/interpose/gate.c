#include "gate.h"

#include "guard.h"
#include "launches.h"
#include "real.h"
#include "session.h"
#include "wrap.h"

/* gate.S keeps that much room. */
_Static_assert(sizeof(struct hami_launch) <= 64, "change the frame of gate.S with struct hami_launch");

struct hami_gated hami_gate_enter(size_t function, const uintptr_t *words, struct hami_launch *launch) {
  void *real = hami_real((int)function);
  if (real == NULL) {
    return (struct hami_gated){(void *)(uintptr_t)hami_gate_missing, 0};
  }
  if (!hami_session_active() || !hami_guard_enter()) {
    return (struct hami_gated){real, 0};
  }
  void *stream = NULL;
  uint64_t key = hami_gate_key(function, words, &stream);
  hami_launches_begin(launch, hami_device_current(), key, stream);
  return (struct hami_gated){real, 1};
}

void hami_gate_leave(struct hami_launch *launch, int result) {
  hami_launches_end(launch, result == 0);
  hami_guard_leave();
}
