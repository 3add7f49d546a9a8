/*
 * A simulated device for tests of pacing: kernels run one after the other, in the order they were launched, and
 * processes launch as fast as they are let. Time is an event queue, so hours pass in a moment and results are exact.
 */
#ifndef HAMI_TESTS_PACING_WORLD_H
#define HAMI_TESTS_PACING_WORLD_H

#include "check.h"
#include "core/pacing.h"
#include "world.h"

#define US 1000ULL
#define MS 1000000ULL
#define S 1000000000ULL

#define MOST_IN_FLIGHT 64

struct kernel {
  uint64_t end_ns;
  uint64_t charged_ns;
};

struct worker {
  struct world_process *process;
  uint64_t wake_ns;
  uint64_t kernel_ns;
  bool knows; /* estimates its own kernels, once one has run */
  bool measured;
  uint32_t depth; /* launches in flight at most; 1 is a program that waits for each */
  uint32_t head;
  uint32_t count;
  bool asking;
  struct hami_pacing_launch launch;
  struct kernel flight[MOST_IN_FLIGHT];
  uint64_t busy_ns; /* device time inside the window */
};

extern struct worker workers[];
extern uint32_t worker_count;
extern uint64_t horizon_ns; /* kernels count up to here, or to the end of the window if that is later */

void clear_workers(void);

/* A world with one container, limited by `line`. */
void begin(const char *line);

void write_limits(const char *name, const char *line);

/* The line that limits a container to `percent` of device 0, valid until the next call. */
const char *share(uint32_t percent);

/* A process of the container that is described by world_limits. */
struct worker *add_worker(uint64_t kernel_ns, uint32_t depth, bool knows);

void simulate(uint64_t duration_ns);

/* Hundredths of a percent of the device that workers [first, last) used. */
uint64_t used(uint32_t first, uint32_t last, uint64_t duration_ns);

#endif
