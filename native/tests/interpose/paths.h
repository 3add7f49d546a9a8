/*
 * What holds for every way to get memory, whatever the vendor: it is counted, more than the share is refused with the
 * vendor's own code and leaves nothing behind, the driver's own refusal is passed on, and giving back balances to zero.
 * Run inside a share of 1000 MiB of device 0.
 */
#ifndef HAMI_TESTS_PATHS_H
#define HAMI_TESTS_PATHS_H

#include <stddef.h>
#include <stdint.h>

#include "tests/core/check.h"

#define MIB (1024ULL * 1024ULL)
#define SHARE_BYTES (1000 * MIB)

struct held {
  void *pointer;
  uint64_t number;
  uint64_t bytes;
};

/* One way; both answer with the vendor's code. `get` leaves in `held` what `put` needs. */
struct path {
  const char *name;
  int (*get)(uint64_t bytes, struct held *held);
  int (*put)(struct held *held);
};

struct vendor_under_test {
  const struct path *paths;
  size_t count;
  int out_of_memory;                             /* from the share */
  int refused;                                   /* from the double, when it has no room */
  void (*info)(uint64_t *free, uint64_t *total); /* as the vendor's API shows the device */
};

/* Where nothing was mapped yet. Thread-safe. */
uint64_t paths_fresh_address(void);

void paths_check(const struct vendor_under_test *vendor);

/* The same by many threads at once, across fork, and after a process that held memory was killed. */
void races_check(const struct vendor_under_test *vendor);

/* The same in random schedules (schedules.h), with the program's arguments; returns its exit status. */
int schedules_of_paths(const struct vendor_under_test *vendor, int count, char **arguments);

#endif
