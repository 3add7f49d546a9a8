/* The container's processes on a device, under the numbers they have inside the container. Callable inside wrappers. */
#ifndef HAMI_NVIDIA_PROCESSES_H
#define HAMI_NVIDIA_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/core.h"
#include "vendor.h"

#define HAMI_PROCESSES_MAX 512

struct hami_processes {
  size_t count;
  unsigned int gpu_instance; /* of a MIG device; HAMI_NO_INSTANCE otherwise */
  unsigned int compute_instance;
  struct hami_ledger_row rows[HAMI_PROCESSES_MAX];
};

#define HAMI_NO_INSTANCE 0xFFFFFFFFU /* NVML's own value */

/* Lists those that hold memory on a device. False: the device is not part of the share, the driver's list stands. */
bool hami_processes_list(nvmlDevice_t handle, struct hami_processes *processes);

/* Whether a process NVML names is one of them; `pid` becomes its number inside the container. */
bool hami_processes_own(const struct hami_processes *processes, unsigned int *pid);

#endif
