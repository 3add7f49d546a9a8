/* How an allocation and a free end, the same for every call that makes or takes device memory. */
#ifndef HAMI_NVIDIA_SETTLE_H
#define HAMI_NVIDIA_SETTLE_H

#include "books.h"

/* Keeps or gives back a reservation by the driver's `result`; returns what the caller gets. */
CUresult hami_settle_allocation(CUresult result, const struct hami_charge *charge, CUdeviceptr pointer);

/* `known`: the entry was taken before the driver was asked. A refused free puts it back. */
void hami_settle_free(CUresult result, bool known, CUdeviceptr pointer, const struct hami_charge *charge);

/* The same for objects behind a handle, which means something only if the driver made one. False: it cannot be
 * remembered; the caller destroys it and reports out of memory. */
bool hami_settle_object(CUresult result, enum hami_books_kind kind, const void *handle,
                        const struct hami_charge *charge);
void hami_settle_destroy(CUresult result, bool known, enum hami_books_kind kind, const void *handle,
                         const struct hami_charge *charge);

#endif
