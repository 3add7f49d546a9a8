/* What the generated wrappers of this library ask besides interpose/wrap.h. Pure, but for the device. */
#ifndef HAMI_DEVICES_H
#define HAMI_DEVICES_H

#include "api.h"
#include "interpose/sizes.h"

/* Ledger index for physical memory; HAMI_NO_DEVICE when it is not a card's. */
int hami_device_of_prop(const hipMemAllocationProp *prop);

static inline void **hami_pointer_of(hipPitchedPtr *pitched) { return pitched == NULL ? NULL : &pitched->ptr; }

static inline uint64_t hami_volume_guess(hipExtent extent) {
  return hami_sizes_multiply(hami_pitched_guess(extent.width, extent.height), extent.depth);
}

static inline uint64_t hami_volume_bytes(const hipPitchedPtr *pitched, hipExtent extent) {
  return hami_sizes_multiply(hami_sizes_multiply(pitched->pitch, extent.height), extent.depth);
}

/* A flat array has depth 0, one of a single row height 0 as well. */
uint64_t hami_array_bytes(const hipChannelFormatDesc *desc, size_t width, size_t height, size_t depth);

/* One number for a kernel launched in this size. */
#define HAMI_GRID(function, blocks, threads)                                                                           \
  HAMI_SHAPE(function, (blocks).x, (blocks).y, (blocks).z, (threads).x, (threads).y, (threads).z)

/* The stream that a call of the per-thread kind means. */
static inline hipStream_t hami_own_stream(hipStream_t stream) { return stream == NULL ? hipStreamPerThread : stream; }

#endif
