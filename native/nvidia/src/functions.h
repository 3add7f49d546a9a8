/*
 * The table of vendor functions this library wraps or calls, generated from the vendor's headers (gen/), and the
 * searches over it. Constant data; callable from anywhere, before any constructor.
 */
#ifndef HAMI_NVIDIA_FUNCTIONS_TABLE_H
#define HAMI_NVIDIA_FUNCTIONS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hami_functions.h"

enum hami_api { HAMI_API_CUDA, HAMI_API_NVML, HAMI_API_COUNT };

/* Generic function pointer: the one type every function pointer converts to and back without a warning. */
typedef void (*hami_any_function)(void);

struct hami_function_info {
  const char *name;          /* exported name, for example cuMemAllocAsync_ptsz */
  const char *base;          /* what a caller asks cuGetProcAddress for: cuMemAllocAsync */
  hami_any_function wrapper; /* NULL for a function the library only calls */
  int introduced;            /* CUDA version that introduced this ABI, 11020 for 11.2; 0 when unknown */
  int variant;               /* 1 for the unnumbered name, 2 for _v2 */
  bool per_thread;           /* acts on the per-thread default stream (_ptds, _ptsz) */
  enum hami_api api;
};

/* Indexed by enum hami_function; the first HAMI_HOOK_COUNT rows are the wrapped ones, sorted by name. */
extern const struct hami_function_info hami_functions[HAMI_FUNCTION_COUNT];

#define HAMI_WRAPPER(name) ((hami_any_function)(name))

/* Index of the wrapped function called `name`, or -1. */
int hami_functions_find_hook(const char *name);

/*
 * Index of the wrapper with the ABI of the pointer the driver returned for a cuGetProcAddress request, or -1 when
 * that function is not wrapped. `reals` holds the driver's own addresses by index (NULL where it lacks one).
 * The address decides; where a driver hands out an address that is not its export's, the rule by which it chose
 * does: the newest variant not newer than `cuda_version`, of the stream kind asked for.
 */
int hami_functions_match(const char *symbol, const void *answer, int cuda_version, bool per_thread,
                         void *const reals[HAMI_FUNCTION_COUNT]);

#endif
