/* What the generated wrappers of this library ask besides interpose/wrap.h. */
#ifndef HAMI_ASCEND_DEVICES_H
#define HAMI_ASCEND_DEVICES_H

#include <stdint.h>

/* Ledger index for a question about one kind of memory: the current device, or HAMI_NO_DEVICE for DDR, which no share
 * divides. */
int hami_device_of_memory(int32_t kind);

#endif
