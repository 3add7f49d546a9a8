/*
 * What dlsym and dlvsym answer in a process with this library preloaded: the wrapper where the driver's function
 * would have been found, exactly the C library's answer for everything else.
 */
#ifndef HAMI_NVIDIA_SYMBOL_LOOKUP_H
#define HAMI_NVIDIA_SYMBOL_LOOKUP_H

#include <stddef.h>

/* Returned in two registers to the trampolines: a result, and whether there is one. */
struct hami_lookup {
  void *result;
  size_t answered; /* 0: jump to the C library's function, as if this library were not there */
};

/* Called by the trampolines of symbol_lookup.S before anything else of this library may have run. */
struct hami_lookup hami_lookup_dlsym(void *handle, const char *name);
struct hami_lookup hami_lookup_dlvsym(void *handle, const char *name, const char *version);

/*
 * The pointer a caller of cuGetProcAddress gets in place of the driver's `answer`: the wrapper of exactly the same
 * ABI, or `answer` itself.
 */
void *hami_lookup_substitute(const char *symbol, void *answer, int cuda_version, unsigned long long flags);

#endif
