/*
 * Memory pools: what a stream-ordered pool holds from the device is what it costs, not what is handed out of it. The
 * pool is asked (reserved-current attribute) after every call that may change it, and before any refusal, since a
 * pool shrinks by itself when a stream is synchronised. One process-local lock; callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_POOLS_H
#define HAMI_NVIDIA_POOLS_H

#include "books.h"

/* Learns which device a pool belongs to when it is created; HAMI_NO_DEVICE for pools of host memory. `special`: the
 * program wants more of it than memory, handles for other processes or a size of its own. */
void hami_pools_created(CUmemoryPool pool, int device, bool special);
bool hami_pools_special(CUmemoryPool pool);

/* The pool that cuMemAllocAsync on `stream` takes from; NULL when unknown. */
CUmemoryPool hami_pools_of_stream(CUstream stream, bool per_thread);

/* The pool that memory nodes of graphs take from on a device; NULL when there is no memory to remember it. */
CUmemoryPool hami_pools_of_graphs(CUdevice ordinal);

/* Reserves the growth that `bytes` more may cause. False: no room; the caller reports out of memory. */
bool hami_pools_reserve(CUmemoryPool pool, uint64_t bytes, struct hami_charge *charge);

/* Settles by the driver's answer; `pointer` is 0 for graphs. False when the pool grew past the limit or the pointer
 * cannot be remembered: the caller then frees the pointer and reports out of memory. */
bool hami_pools_settle(CUmemoryPool pool, CUresult result, CUdeviceptr pointer, uint64_t bytes,
                       struct hami_charge *charge);

/* A pointer of a pool was freed; `entry` is what hami_books_take gave. */
void hami_pools_freed(const struct hami_charge *entry);

/* The pool is gone, or will be once its outstanding pointers are freed. `used_bytes` was outstanding just before. */
void hami_pools_destroyed(CUmemoryPool pool, uint64_t used_bytes);

/* Bytes handed out of the pool and not freed; 0 when the driver cannot say. */
uint64_t hami_pools_used_bytes(CUmemoryPool pool);

/* Asks every pool what it holds now. True when any shrank. */
bool hami_pools_refresh(void);

void hami_pools_after_fork_in_child(void);

#endif
