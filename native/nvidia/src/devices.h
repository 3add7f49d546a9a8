/*
 * Which lease a device belongs to. Devices are known by the UUID the driver reports (of the MIG instance where there
 * is one), never by an index or by CUDA_VISIBLE_DEVICES. Answers are cached without locks; callable inside wrappers
 * only. HAMI_NO_DEVICE: no lease, nothing to count.
 */
#ifndef HAMI_NVIDIA_DEVICES_H
#define HAMI_NVIDIA_DEVICES_H

#include <stdbool.h>

#include "vendor.h"

/* Ledger index of a CUDA ordinal. */
int hami_devices_of_ordinal(CUdevice ordinal);

/* CUDA ordinal of the device whose memory a location means, all of it or a part; -1 for host memory. */
CUdevice hami_devices_ordinal_of_location(const CUmemLocation *location);

/* Ledger index of the device of the context current in this thread; the context goes to `context` unless NULL. */
int hami_devices_current(CUcontext *context);

/* A context was destroyed: its address may come back on another device. */
void hami_devices_forget_contexts(void);

/* CUDA ordinal of the device a stream works on; false without a context. */
bool hami_devices_ordinal_of_stream(CUstream stream, bool per_thread, CUdevice *ordinal);

/* Ledger index of the device whose default pool this is; HAMI_NO_DEVICE when it is nobody's. */
int hami_devices_of_default_pool(CUmemoryPool pool);

/* Ledger index of an NVML handle. */
int hami_devices_of_nvml(nvmlDevice_t device);

/* NVML handle of a ledger index; false when NVML is absent or does not know the device. Starts NVML if need be. */
bool hami_devices_nvml_handle(int device, nvmlDevice_t *handle);

/* For what a question of the library's own got: tells hosts whether NVML answers. True for NVML_SUCCESS. */
bool hami_devices_nvml_answered(nvmlReturn_t result);

void hami_devices_after_fork_in_child(void);

#endif
