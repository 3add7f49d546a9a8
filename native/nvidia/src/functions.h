/* The generated names of the table, and the search that cuGetProcAddress needs. Callable from anywhere. */
#ifndef HAMI_NVIDIA_FUNCTIONS_TABLE_H
#define HAMI_NVIDIA_FUNCTIONS_TABLE_H

#include "hami_functions.h"
#include "interpose/functions.h"

enum hami_api { HAMI_API_CUDA, HAMI_API_NVML, HAMI_API_COUNT };

/*
 * Index of the wrapper with the ABI of the pointer the driver returned for a cuGetProcAddress request, or -1 when
 * that function is not wrapped. `reals` holds the driver's own addresses by index (NULL where it lacks one).
 * The address decides; where a driver hands out an address that is not its export's, the rule by which it chose
 * does: the newest variant not newer than `cuda_version`, of the stream kind asked for.
 */
int hami_functions_match(const char *symbol, const void *answer, int cuda_version, bool per_thread,
                         void *const reals[HAMI_FUNCTION_COUNT]);

#endif
