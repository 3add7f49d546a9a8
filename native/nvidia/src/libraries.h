/* Where the driver is and how limits are passed: what differs between vendors whose drivers have CUDA's ABI. */
#ifndef HAMI_NVIDIA_LIBRARIES_H
#define HAMI_NVIDIA_LIBRARIES_H

#include "core/limits.h"

/* File names by enum hami_api. */
extern const char *const *const hami_libraries[];

extern const struct hami_env_names hami_environment;

#endif
