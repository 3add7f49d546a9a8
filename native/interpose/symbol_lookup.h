/*
 * What dlsym and dlvsym answer in a process with this library preloaded: the wrapper where the driver's function
 * would have been found, exactly the C library's answer for everything else.
 */
#ifndef HAMI_INTERPOSE_SYMBOL_LOOKUP_H
#define HAMI_INTERPOSE_SYMBOL_LOOKUP_H

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
 * What a vendor's own lookup by name answers in place of `found`, a function of its table: the wrapper of that name, or
 * `found` itself. For tables where a name has one ABI.
 */
void *hami_lookup_substitute(const char *name, void *found);

/*
 * The same where one name stands for several functions, chosen by version or stream: the wrapper of the very function
 * that was found, if that is an export of the driver that is wrapped, else `found`.
 */
void *hami_lookup_substitute_address(void *found);

#endif
