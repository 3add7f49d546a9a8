/*
 * What contexts cost. The driver does not say how much memory a context takes; NVML's process list does, so it is read
 * before and after one is made and the difference is counted, whatever the limit. Where NVML cannot tell this process
 * from others, a context counts as nothing. Process-local, no lock; callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_CONTEXTS_H
#define HAMI_NVIDIA_CONTEXTS_H

#include <stdbool.h>
#include <stdint.h>

#include "books.h"

#define HAMI_CONTEXTS_MAX_PROCESSES 512

struct hami_contexts_snapshot {
  int device;         /* HAMI_NO_DEVICE: nothing to compare */
  uint64_t own_bytes; /* counted by the ledger */
  unsigned int count;
  nvmlProcessInfo_v2_t rows[HAMI_CONTEXTS_MAX_PROCESSES];
};

/* Before a context is made on `ordinal`. */
void hami_contexts_look(struct hami_contexts_snapshot *before, CUdevice ordinal);

/* After it was made: charges it. */
void hami_contexts_made(const struct hami_contexts_snapshot *before, CUcontext context);

/* Around the end of a context: what it owns is set aside, then dropped or put back by the driver's answer. `token` is
 * any address of the caller's own. */
void hami_contexts_ending(CUcontext context, const void *token);
void hami_contexts_ended(CUcontext context, const void *token, bool destroyed);

/* Host's number of this process as far as known from NVML; 0 when not. */
unsigned int hami_contexts_host_pid(void);

void hami_contexts_after_fork_in_child(void);

#endif
