/* What the generated wrappers of this library ask besides interpose/wrap.h. */
#ifndef HAMI_ASCEND_DEVICES_H
#define HAMI_ASCEND_DEVICES_H

#include <stdint.h>

/* Ledger index for a question about one kind of memory: the current device, or HAMI_NO_DEVICE for DDR, which no share
 * divides. */
int hami_device_of_memory(int32_t kind);

/* Of a call of rtGeneralCtrl: the device if it launches something, else HAMI_NO_DEVICE; its stream; what it launches.
 */
int hami_control_device(const uintptr_t *ctrl, uint32_t num, uint32_t type);
void *hami_control_stream(const uintptr_t *ctrl, uint32_t num, uint32_t type);
uintptr_t hami_control_what(const uintptr_t *ctrl, uint32_t num);

#endif
