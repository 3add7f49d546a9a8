/* The first lines of every wrapper, see interpose/hook.h, with what CUDA and NVML answer for a function they lack. */
#ifndef HAMI_NVIDIA_HOOK_H
#define HAMI_NVIDIA_HOOK_H

#include "interpose/hook.h"
#include "real.h"

/* A wrapper can be reached without its driver function only by direct linkage against a newer driver's names. */
#define HAMI_CUDA_MISSING CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND
#define HAMI_NVML_MISSING NVML_ERROR_FUNCTION_NOT_FOUND

#define HAMI_CUDA_ENTER(name, ...) HAMI_ENTER(HAMI_CUDA_MISSING, name, __VA_ARGS__)
#define HAMI_NVML_ENTER(name, ...) HAMI_ENTER(HAMI_NVML_MISSING, name, __VA_ARGS__)

#endif
