/* What the generated wrappers of this library ask besides interpose/wrap.h. */
#ifndef HAMI_DEVICES_H
#define HAMI_DEVICES_H

#include "api.h"
#include "interpose/launches.h"

/* Ledger index for physical memory; HAMI_NO_DEVICE when it is not a card's. */
int hami_device_of_prop(const MUmemAllocationProp *prop);

/* The stream that a call of the per-thread kind means: NULL is the thread's own, whose handle was not read. */
static inline void *hami_own_stream(MUstream stream) { return stream == NULL ? HAMI_UNKNOWN_STREAM : stream; }

#endif
