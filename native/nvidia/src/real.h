/* The driver's own functions with the types of CUDA's and NVML's headers: HAMI_REAL(cuMemAlloc_v2). */
#ifndef HAMI_NVIDIA_REAL_H
#define HAMI_NVIDIA_REAL_H

#include "functions.h"
#include "interpose/real.h"
#include "vendor.h"

#endif
