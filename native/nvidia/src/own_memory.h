/*
 * What NVML says that this process holds on a device. NVML lists processes, under the numbers they have for the host
 * or for the caller's PID namespace, as the driver pleases; which row is this process's is learnt when its first
 * context appears there. Callable inside wrappers only.
 *
 * What the figure is made of, by the driver's open kernel modules (_gpuCollectMemInfo in subdevice_ctrl_gpu_kernel.c):
 * all device memory of the process's own clients. Managed memory belongs to a client of the kernel and is not in it.
 * Memory imported from another process is in it once nobody else holds it any more.
 */
#ifndef HAMI_NVIDIA_OWN_MEMORY_H
#define HAMI_NVIDIA_OWN_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "vendor.h"

#define HAMI_OWN_MEMORY_MAX_PROCESSES 512

/* The device's processes at one moment. */
struct hami_own_memory_list {
  unsigned int count;
  nvmlProcessInfo_v2_t rows[HAMI_OWN_MEMORY_MAX_PROCESSES];
};

/* Reads the list of a ledger index; empty when NVML cannot say. */
void hami_own_memory_list(int device, struct hami_own_memory_list *list);

/* How much this process grew between two lists, the first context of it having been made meanwhile or not. `held`: it
 * had memory on the device before. 0 when its row cannot be told from others'. */
uint64_t hami_own_memory_growth(const struct hami_own_memory_list *before, const struct hami_own_memory_list *after,
                                bool held);

/* The figure now; false when NVML cannot say, does not know this process, or another thread is asking. */
bool hami_own_memory_read(int device, uint64_t *bytes);

/* Host's number of this process as far as known from NVML; 0 when not. */
unsigned int hami_own_memory_host_pid(void);

void hami_own_memory_after_fork_in_child(void);

#endif
