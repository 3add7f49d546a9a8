/*
 * Stream-ordered frees of memory that does not come from a pool. The driver documents cuMemFreeAsync for memory of
 * cuMemAlloc and of pools, not for managed memory, so such a free is an event in the stream, and the memory goes back
 * by cuMemFree once the event has passed. Until then it is charged, as a pool's is.
 *
 * cuMemFree may wait for all work of the card. So memory is given back only inside calls that may wait for it anyway:
 * plain allocations and frees, synchronising a context, trimming a pool, and a request that would else be refused.
 * Never while a stream or an event is synchronised: other streams may wait for what the program does next. One
 * process-local lock, held for queries that return at once; callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_DEFERRED_H
#define HAMI_NVIDIA_DEFERRED_H

#include <stdbool.h>

#include "books.h"

/* Frees `pointer` once the work in `stream` up to now is done; `charge` was taken out of the books. An answer other
 * than success is the driver's, and nothing was changed then but the books, which the caller puts back. */
CUresult hami_deferred_free(CUdeviceptr pointer, CUstream stream, bool per_thread, const struct hami_charge *charge);

/* True for memory that was freed, and has not gone back yet: to the program it is an unknown pointer. */
bool hami_deferred_holds(CUdeviceptr pointer);

/* Gives back what is done with. True when anything was. */
bool hami_deferred_poll(void);

/* The same; waits, for a second at most, while something is still in use. */
bool hami_deferred_reclaim(void);

/* Around the end of a context, which takes its memory and events with it; see hami_contexts_ending. */
void hami_deferred_context_ending(const void *context);
void hami_deferred_context_ended(const void *context, bool destroyed);

void hami_deferred_after_fork_in_child(void);

#endif
