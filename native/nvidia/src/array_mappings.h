/*
 * Physical memory behind sparse arrays: each part of an array that a handle is mapped into keeps the memory alive, as
 * a mapped address does (physical.h), until that part is unmapped or mapped anew, or the array ends. Streams are not
 * waited for: a part counts as the calls are made. One process-local lock; callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_ARRAY_MAPPINGS_H
#define HAMI_NVIDIA_ARRAY_MAPPINGS_H

#include <stdbool.h>

#include "vendor.h"

struct hami_array_change; /* opaque: what one call is about to do */

/* Before the driver is asked for `count` operations, at least one. NULL without memory to follow them. */
struct hami_array_change *hami_array_mappings_begin(const CUarrayMapInfo *list, unsigned int count);

/* After it has answered. */
void hami_array_mappings_end(struct hami_array_change *change, bool done);

/* Around the end of an array or mipmapped array, whose address may be another's at once: what is mapped into it is set
 * aside under `token`, any address of the caller's own, then dropped or put back by the driver's answer. */
void hami_array_mappings_ending(const void *array, const void *token);
void hami_array_mappings_ended(const void *array, const void *token, bool destroyed);

void hami_array_mappings_after_fork_in_child(void);

#endif
