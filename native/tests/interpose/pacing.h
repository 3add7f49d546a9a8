/* A container with 30 percent of a device gets no more than that of its time, whatever the vendor. */
#ifndef HAMI_TESTS_PACING_H
#define HAMI_TESTS_PACING_H

#include <stdint.h>

/* Launches kernels of 2 ms of device time for a while. `launch` starts one on the default stream, `synchronise` waits
 * for all. Run inside a share of 30 percent with policy "force". */
void pacing_check(int (*launch)(const uint64_t *duration_ns), void (*synchronise)(void));

#endif
