/*
 * A container gets its share of a device's time, whatever the vendor, its kernels and its processes: one load for all
 * suites, over the simulated device clock.
 */
#ifndef HAMI_TESTS_PACING_H
#define HAMI_TESTS_PACING_H

#include <stdint.h>

struct pacing_vendor {
  /* Starts a kernel of that device time on the default stream; answers with the vendor's code. The number stays where
   * it is for the life of the process. */
  int (*launch)(const uint64_t *duration_ns);
  void (*synchronise)(void); /* waits for all that was started */
};

/*
 * Arguments: NANOSECONDS PROCESSES sync|async SECONDS [LEAST MOST]. That many processes launch kernels of that length
 * as fast as they may for SECONDS of the device's clock; prints the percent of the device's time that they got. With
 * "sync" each waits for its kernel before the next. LEAST and MOST, if given, make it a test: the answer is the exit
 * status. WARM_UP_S seconds before are not counted.
 */
int pacing_load(int argc, char **argv, const struct pacing_vendor *vendor);

#endif
