/*
 * The vendor's headers, seen the way this library needs them: every exported variant declared under its exact name
 * (old ABIs and per-thread-stream twins included) and with default visibility, so that a wrapper whose signature
 * differs from the vendor's does not compile and one that matches is exported.
 */
#ifndef HAMI_NVIDIA_VENDOR_H
#define HAMI_NVIDIA_VENDOR_H

#define __CUDA_API_VERSION_INTERNAL
#define __NVML_API_VERSION_INTERNAL
#define NVML_NO_UNVERSIONED_FUNC_DEFS

#pragma GCC visibility push(default)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cuda.h>
#include <nvml.h>
#pragma GCC diagnostic pop
#pragma GCC visibility pop

#endif
