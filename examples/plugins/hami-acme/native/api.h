/* The functions of libacme.so that the library wraps or calls. A real vendor's facts come with a source: its header. */
#ifndef HAMI_ACME_API_H
#define HAMI_ACME_API_H

#include <stddef.h>

typedef int acmeStatus;

#define ACME_SUCCESS 0
#define ACME_INVALID 1
#define ACME_NO_MEMORY 2
#define ACME_NO_DEVICE 3

/* What the generated wrappers answer: past the share, and where the driver lacks the function. */
#define HAMI_SUCCESS ACME_SUCCESS
#define HAMI_OUT_OF_MEMORY ACME_NO_MEMORY
#define HAMI_MISSING ACME_NO_DEVICE

#pragma GCC visibility push(default)

acmeStatus acmeMalloc(void **address, size_t bytes);
acmeStatus acmeMallocPinned(void **address, size_t bytes);
acmeStatus acmeFree(void *address);
acmeStatus acmeMemInfo(size_t *free, size_t *total);
acmeStatus acmeGetDevice(int *ordinal);
acmeStatus acmeSetDevice(int ordinal);

#pragma GCC visibility pop

#endif
