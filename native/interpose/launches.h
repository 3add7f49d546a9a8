/*
 * Launches under the container's share of device time, for vendors with events on streams: each waits for its turn, is
 * measured by two events, and is settled by what it took once a later launch finds it finished. No lock is held while
 * waiting and no synchronising driver call is made. Without a limit, or without events, nothing happens. Callable
 * inside wrappers only.
 */
#ifndef HAMI_INTERPOSE_LAUNCHES_H
#define HAMI_INTERPOSE_LAUNCHES_H

#include <stdbool.h>
#include <stdint.h>

/* A vendor's events, all asked through its own driver. */
struct hami_timer {
  /* An event recorded in the stream, or NULL: none can be had there now (out of events, a stream under capture). */
  void *(*mark)(void *stream);
  bool (*reached)(void *event);
  /* Device time between two reached events; 0 when it cannot be told. */
  uint64_t (*between_ns)(void *begin, void *end);
  void (*drop)(void *event);
  /* True while launches into the stream are recorded, not run: they cost nothing now. */
  bool (*recording)(void *stream);
};

struct hami_launch {
  int device; /* HAMI_NO_DEVICE: nothing to settle */
  uint64_t what;
  uint64_t charged_ns;
  void *stream;
  void *begin; /* NULL: not measured */
};

/* Before a launch. `what` tells launches of different length apart. */
void hami_launches_begin(struct hami_launch *launch, int device, uint64_t what, void *stream);

/* After it; `done`: the driver took it. */
void hami_launches_end(struct hami_launch *launch, bool done);

/* The child's events are not the parent's. */
void hami_launches_after_fork_in_child(void);

#endif
