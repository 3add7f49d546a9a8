/*
 * What holds for every way to launch work, whatever the vendor: the container is charged with what it took, once, and
 * the driver gets the arguments as they were. Run in a share of device time, or with no limit on it: then activity is
 * counted all the same.
 */
#ifndef HAMI_TESTS_LAUNCHES_H
#define HAMI_TESTS_LAUNCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum launch_kind {
  LAUNCH_MEASURED,
  LAUNCH_ESTIMATED, /* its stream is not known: charged by what other launches took, not at all without a limit */
  LAUNCH_SYNCHRONOUS,
};

/* Starts a kernel of that device time; answers with the vendor's code. */
struct launch_path {
  const char *name;
  int (*launch)(const uint64_t *duration_ns);
  enum launch_kind kind;
};

/* The first path is measured. `synchronise` waits for all that was started. */
void launches_check(const struct launch_path *paths, size_t count, void (*synchronise)(void));

#endif
