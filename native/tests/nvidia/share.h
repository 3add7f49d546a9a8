/* What test programs inside a share have in common: a context, the numbers from inside, the truth from outside. */
#ifndef HAMI_TESTS_NVIDIA_SHARE_H
#define HAMI_TESTS_NVIDIA_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#define __CUDA_API_VERSION_INTERNAL
#define __NVML_API_VERSION_INTERNAL
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cuda.h>
#include <nvml.h>
#pragma GCC diagnostic pop

#include "fake/common/control.h"
#include "tests/core/check.h"

#define MIB (1024ULL * 1024ULL)

/* Initialises CUDA, makes device 0's primary context current, and starts NVML. */
CUcontext share_open(void);

/* As NVML shows device 0 from inside: by all processes of the share. */
uint64_t share_used(void);
uint64_t share_free(void);
uint64_t share_total(void);

/* What the simulated device 0 really holds for this process. */
uint64_t device_used(void);

/* A kernel of device 0's context that takes `nanoseconds` of device time; the same function for the same time. */
CUfunction share_kernel(uint64_t nanoseconds);
CUresult share_launch(CUfunction kernel, CUstream stream);

/* Makes this process one of a second container: limits and region of its own, everything as in the first but its core
 * limit. Before anything has read the limits. */
void share_move_to_second(unsigned int percent);

#endif
