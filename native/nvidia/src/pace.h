/*
 * One launch under the container's share of device time: waits for its turn, is measured now and then, and is settled
 * by what it took. Outside a limit nothing waits and few launches are measured, so that activity is known. A launch
 * into a stream under capture costs nothing now; its graph does when it is launched. No lock is held while waiting and
 * no synchronising driver call is made. Callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_PACE_H
#define HAMI_NVIDIA_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/effects.h"
#include "vendor.h"

struct hami_probe;

struct hami_pace {
  int device; /* HAMI_NO_DEVICE: nothing to settle */
  bool limited;
  bool measure;      /* this one is to tell how long its kind takes */
  bool alone;        /* it was its turn, and earlier work of the container is over */
  uint32_t launches; /* that the measurement stands for */
  CUcontext context;
  uint64_t key;
  uint64_t charged_ns;
  uint64_t taken_ns;        /* from what the thread was given in advance, see advance.h; 0: nothing */
  struct hami_probe *probe; /* NULL: not measured */
};

/* The clock tick in which this thread found that no device is limited and nothing is to be measured; 0: it did not. */
extern __thread uint64_t hami_pace_calm_ns __attribute__((tls_model("initial-exec")));
extern __thread unsigned int hami_pace_unmeasured __attribute__((tls_model("initial-exec")));

/* True where a launch has nothing to wait for: no more than a look at a cheap clock, for most launches of most
 * programs. The launch is counted. */
static inline bool hami_pace_calm(void) {
  if (hami_pace_calm_ns == 0 || hami_effects_system.coarse_ns() != hami_pace_calm_ns) {
    return false;
  }
  hami_pace_unmeasured++;
  return true;
}

/* Before the launch: waits. `key` tells launches of different length apart, see estimates.h. */
void hami_pace_admit(struct hami_pace *pace, uint64_t key, CUstream stream, bool per_thread);

/* Right before it, in the same context. */
void hami_pace_mark(struct hami_pace *pace, CUstream stream, bool per_thread);

static inline void hami_pace_begin(struct hami_pace *pace, uint64_t key, CUstream stream, bool per_thread) {
  hami_pace_admit(pace, key, stream, per_thread);
  if (pace->measure) {
    hami_pace_mark(pace, stream, per_thread);
  }
}

/* After it, with the driver's answer. */
void hami_pace_end(struct hami_pace *pace, CUresult result);

/* Settles what has finished. After waiting for the device, too: other processes may be waiting for what it tells. */
void hami_pace_settle(void);

void hami_pace_after_fork_in_child(void);

#endif
