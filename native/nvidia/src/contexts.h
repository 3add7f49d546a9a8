/*
 * What contexts cost. The driver does not say how much memory a context takes; NVML's process list does, so it is read
 * before and after one is made and the difference is counted, whatever the limit. Where NVML cannot tell this process
 * from others, a context counts as nothing. What it takes later: growth.h. Process-local; callable inside wrappers
 * only.
 */
#ifndef HAMI_NVIDIA_CONTEXTS_H
#define HAMI_NVIDIA_CONTEXTS_H

#include <stdbool.h>
#include <stdint.h>

#include "books.h"
#include "own_memory.h"

struct hami_contexts_snapshot {
  int device;         /* HAMI_NO_DEVICE: nothing to compare */
  uint64_t own_bytes; /* counted by the ledger */
  struct hami_own_memory_list list;
};

/* Before a context is made on `ordinal`. */
void hami_contexts_look(struct hami_contexts_snapshot *before, CUdevice ordinal);

/* After it was made: charges it. `context` is any handle by which its end will be known. */
void hami_contexts_made(const struct hami_contexts_snapshot *before, const void *context);

/* A context that was there before this process asked for it: nothing is charged for it, and its end counts. */
void hami_contexts_joined(CUdevice ordinal, const void *context);

/* Around the end of a context: what it owns is set aside, then dropped or put back by the driver's answer. `token` is
 * any address of the caller's own. */
void hami_contexts_ending(const void *context, const void *token);
void hami_contexts_ended(const void *context, const void *token, bool destroyed);

void hami_contexts_after_fork_in_child(void);

#endif
