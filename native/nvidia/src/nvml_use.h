/*
 * Whose NVML it is. NVML counts who started it and ends with the last nvmlShutdown. The library starts it for its own
 * questions, at the first; with the program's last nvmlShutdown its own start ends too, so that NVML is down then, as
 * the program expects, until the library has the next question. No lock; callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_NVML_USE_H
#define HAMI_NVIDIA_NVML_USE_H

#include <stdbool.h>

#include "vendor.h"

/* Starts NVML for the library's own questions; false where there is none. */
bool hami_nvml_start(void);

/* The program started NVML once more. */
void hami_nvml_program_started(void);

typedef __typeof__(&nvmlShutdown) hami_nvml_shutdown_function;

/* The program's nvmlShutdown; returns the driver's answer. */
nvmlReturn_t hami_nvml_program_ends(hami_nvml_shutdown_function shutdown);

#endif
