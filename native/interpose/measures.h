/*
 * Launches that are being measured, by pairs of the vendor's events, which are kept and used again. The driver is asked
 * without a lock, and never to wait. An event whose context is gone never comes: it keeps its place until no other is
 * left. Callable inside wrappers only.
 */
#ifndef HAMI_INTERPOSE_MEASURES_H
#define HAMI_INTERPOSE_MEASURES_H

#include <stdbool.h>
#include <stdint.h>

#include "learning.h"

struct hami_measure;

/* Marks the beginning in the stream. NULL: no event can be had there now. */
struct hami_measure *hami_measures_start(int device, void *stream);

/* The launch that was to be measured did not come. */
void hami_measures_cancel(struct hami_measure *measure);

/* Marks the end; `expected` says all but what was measured. */
void hami_measures_end(struct hami_measure *measure, void *stream, const struct hami_measured *expected);

/* One launch that has ended; false when none has, as far as was looked. */
bool hami_measures_collect(struct hami_measured *result);

/* True while a launch of this key is on its way; how long the oldest has been. */
bool hami_measures_pending(uint64_t key, uint64_t *age_ns);

/* The child's events are not the parent's. */
void hami_measures_after_fork_in_child(void);

#endif
