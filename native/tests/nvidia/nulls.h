/* A word of the traces: calls with NULL for everything. */
#ifndef HAMI_TESTS_NVIDIA_NULLS_H
#define HAMI_TESTS_NVIDIA_NULLS_H

#include "share.h"

/* Prints each call with the code that it gave. */
CUresult say_nulls(void);

#endif
