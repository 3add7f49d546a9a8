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

#include "vendor.h"

struct hami_probe;

struct hami_pace {
  int device; /* HAMI_NO_DEVICE: nothing to settle */
  bool limited;
  bool alone;          /* it was its turn, and earlier work of the container is over */
  unsigned int weight; /* launches the measurement stands for */
  uint64_t key;
  uint64_t charged_ns;
  struct hami_probe *probe; /* NULL: not measured */
};

/* Before the launch. `key` tells launches of different length apart, see estimates.h. */
void hami_pace_begin(struct hami_pace *pace, uint64_t key, CUstream stream, bool per_thread);

/* After it, with the driver's answer. */
void hami_pace_end(struct hami_pace *pace, CUresult result);

void hami_pace_after_fork_in_child(void);

#endif
