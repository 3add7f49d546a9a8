/*
 * Memory beyond the card, for shares that may oversubscribe: when the driver has no room, host memory that the card
 * reaches over the bus, managed or, for the virtual memory API, pinned on the card's NUMA node.
 *
 * It stays in host memory: a preferred location there and a standing mapping on the card. Pages that move to the card
 * on access need room on it that nobody else holds, and where there is none the driver ends the program (nvidia-uvm
 * cancels faults it has no memory to serve: uvm_gpu_replayable_faults.c); they would push out the neighbours' managed
 * pages, too. No state; callable inside wrappers only, never for a stream under capture.
 */
#ifndef HAMI_NVIDIA_SPILL_H
#define HAMI_NVIDIA_SPILL_H

#include <stdbool.h>
#include <stddef.h>

#include "books.h"

/* Whether the driver's answer to an allocation charged on `device` means that host memory is to be tried. */
bool hami_spill_wanted(CUresult result, int device);

/* Instead of device memory of the current context. On success `charge`, which is reserved already, counts it as what it
 * is; otherwise nothing is changed and the answer is out of memory. */
CUresult hami_spill_allocate(CUdeviceptr *dptr, size_t bytes, struct hami_charge *charge);

/* The same with rows at the pitch that cuMemAllocPitch documents: what texture references need on the device. */
CUresult hami_spill_allocate_pitched(CUdeviceptr *dptr, size_t *pitch, size_t width_bytes, size_t height,
                                     struct hami_charge *charge);

/* Instead of a physical handle on a device. Only where nothing was asked for that host memory cannot be: no handle
 * types but file descriptors, no tile pool. */
CUresult hami_spill_create(CUmemGenericAllocationHandle *handle, size_t bytes, const CUmemAllocationProp *prop,
                           unsigned long long flags, struct hami_charge *charge);

#endif
