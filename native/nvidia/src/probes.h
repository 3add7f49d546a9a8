/*
 * Device time of single launches, by a pair of events around each. Nothing here waits: a probe is asked later whether
 * it is done, and given up with its context. One process-local lock, held for queries that return at once; callable
 * inside wrappers only, and never on a stream under capture.
 */
#ifndef HAMI_NVIDIA_PROBES_H
#define HAMI_NVIDIA_PROBES_H

#include <stdbool.h>
#include <stdint.h>

#include "learning.h"
#include "vendor.h"

struct hami_probe;

/* Marks the start in the stream; NULL when all probes are out or the driver refuses. */
struct hami_probe *hami_probes_start(CUcontext context, CUstream stream, bool per_thread);

/* Marks the end after the launch; from here the probe is finished by hami_probes_collect. */
void hami_probes_end(struct hami_probe *probe, const struct hami_measured *expected);

/* The driver refused the launch: the probe is free again. */
void hami_probes_cancel(struct hami_probe *probe);

/* Takes one finished probe; false when none is. */
bool hami_probes_collect(struct hami_measured *result);

/* True while a launch of this kind is out; `age_ns` is how long the oldest of them has been. */
bool hami_probes_pending(uint64_t key, uint64_t *age_ns);

/* The context's events die with it. */
void hami_probes_forget_context(CUcontext context);

void hami_probes_after_fork_in_child(void);

#endif
