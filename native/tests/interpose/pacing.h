/*
 * A container gets its share of a device's time, whatever the vendor, its kernels and its processes: one load for all
 * suites, over the simulated device clock.
 */
#ifndef HAMI_TESTS_PACING_H
#define HAMI_TESTS_PACING_H

#include <stdint.h>

struct pacing_vendor {
  /* May be NULL: in each process, before its first launch. */
  void (*open)(const uint64_t *duration_ns);
  /* Starts a kernel of that device time on the default stream; answers with the vendor's code. The number stays where
   * it is for the life of the process. */
  int (*launch)(const uint64_t *duration_ns);
  void (*synchronise)(void); /* waits for all that was started */
  /* May be NULL: makes this process one of a second container with that core limit, before anything has read the
   * limits. */
  void (*move_to_second)(unsigned int percent);
};

/*
 * Arguments: NANOSECONDS PROCESSES sync|async SECONDS [LEAST MOST]. That many processes launch kernels of that length
 * as fast as they may for SECONDS of the device's clock. With "sync" each waits for its kernel before the next; with
 * "async" it only keeps from running ahead by more than the driver's queue. Prints, in percent of the device's time,
 * what they got in those seconds ("share") and since they were let loose ("from_start"), WARM_UP_S seconds before. With
 * SECOND_PERCENT as many processes again run in a second container with that core limit, and "second" is what those
 * got. LEAST and MOST, if given, make it a test of "share": the answer is the exit status.
 */
int pacing_load(int argc, char **argv, const struct pacing_vendor *vendor);

#endif
