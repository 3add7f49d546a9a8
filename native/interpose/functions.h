/*
 * The table of vendor functions that a library wraps or calls, generated for each vendor, and the search over it.
 * Constant data but for the addresses; callable from anywhere, before any constructor.
 */
#ifndef HAMI_INTERPOSE_FUNCTIONS_H
#define HAMI_INTERPOSE_FUNCTIONS_H

#include <stdbool.h>

/* Generic function pointer: the one type every function pointer converts to and back without a warning. */
typedef void (*hami_any_function)(void);

struct hami_function_info {
  const char *name;          /* exported name, for example cuMemAllocAsync_ptsz */
  const char *base;          /* what a caller asks cuGetProcAddress for: cuMemAllocAsync */
  hami_any_function wrapper; /* NULL for a function the library only calls */
  int introduced;            /* CUDA version that introduced this ABI, 11020 for 11.2; 0 when unknown */
  int variant;               /* 1 for the unnumbered name, 2 for _v2 */
  bool per_thread;           /* acts on the per-thread default stream (_ptds, _ptsz) */
  int api;                   /* index into hami_vendor.libraries */
};

/* Indexed by the generated enum hami_function; the wrapped rows come first, sorted by name. */
extern const struct hami_function_info hami_functions[];

/* The driver's addresses, same index; NULL before binding and where the driver lacks the name. */
extern void *hami_reals[];

#define HAMI_WRAPPER(name) ((hami_any_function)(name))

/* Index of the wrapped function called `name`, or -1. */
int hami_functions_find_hook(const char *name);

#endif
