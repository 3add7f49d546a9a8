/*
 * Launches under the container's share of device time, for vendors with events on streams: each waits for its turn, is
 * measured by two events where that is worth while, and is settled by what it took once a later launch finds it
 * finished. Outside a limit one launch in 20 ms is measured: that is how activity is told to the host. No lock is held
 * while waiting and no synchronising driver call is made. Without events nothing happens. Callable inside wrappers
 * only.
 */
#ifndef HAMI_INTERPOSE_LAUNCHES_H
#define HAMI_INTERPOSE_LAUNCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A vendor's events, all asked through its own driver. */
struct hami_timer {
  void *(*create)(void); /* NULL: none can be had now */
  void (*destroy)(void *event);
  bool (*record)(void *event, void *stream);
  bool (*reached)(void *event);
  /* Device time between two reached events; 0 when it cannot be told. */
  uint64_t (*between_ns)(void *begin, void *end);
  /* True while launches into the stream are recorded, not run: they cost nothing now. */
  bool (*recording)(void *stream);
};

struct hami_measure;

struct hami_launch {
  int device; /* HAMI_NO_DEVICE: nothing to settle */
  uint64_t key;
  uint64_t charged_ns;
  void *stream;
  struct hami_measure *measure; /* NULL: not measured by events */
  uint64_t began_ns;            /* of a launch that is timed by the host */
  uint32_t launches;            /* that a measurement stands for */
  bool limited;
  bool alone;
};

/* Where a launch goes whose stream is not known. */
#define HAMI_UNKNOWN_STREAM ((void *)(uintptr_t)-1)

/* A call that returns when its work is done: what it takes by the host's clock is the most that the work takes. */
#define HAMI_HOST_TIMED ((void *)(uintptr_t)-2)

/* Before a launch. `what` tells launches of different length apart. On HAMI_UNKNOWN_STREAM it is paced by what is known
 * of `what`, else of the container's launches, and never measured. */
void hami_launches_begin(struct hami_launch *launch, int device, uint64_t what, void *stream);

/* After it; `done`: the driver took it. */
void hami_launches_end(struct hami_launch *launch, bool done);

/* One number for a function and the numbers that tell how large its launch is. */
uint64_t hami_launches_shape(uint64_t function, const uint64_t *sizes, size_t count);

/* The same, for the rows of a table: HAMI_SHAPE(f,gridDimX,gridDimY). */
#define HAMI_SHAPE(function, ...)                                                                                      \
  hami_launches_shape((uint64_t)(uintptr_t)(function), (const uint64_t[]){__VA_ARGS__},                                \
                      sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* The child's events are not the parent's. */
void hami_launches_after_fork_in_child(void);

#endif
