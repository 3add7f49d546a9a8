/*
 * Holds a container to its share of a device's time. One bucket per device, common to the container's processes, in
 * nanoseconds of device time.
 *
 * The bucket is a queue position: the moment at which the work admitted so far has been earned at the share's rate.
 * A launch takes the next position, moves the queue's end by its estimated cost over the share, and waits for its
 * position to come. What the work really took is settled afterwards and moves the queue, waiting launches included.
 * Every state is a single word changed atomically, so a process killed or stopped at any point blocks nobody; a
 * position whose owner died passes by itself. As long as nothing is known about what launches take, one at a time is
 * let through; after a second without a result another, charged with what the one before may have taken by then.
 *
 * While the device is otherwise idle, policy "default" lets everything through; activity is counted all the same.
 * Works without a region, for this process alone. No lock is held while waiting; callable in wrappers only.
 */
#ifndef HAMI_CORE_PACING_H
#define HAMI_CORE_PACING_H

#include "core/effects.h"
#include "core/live_limits.h"
#include "core/region.h"

struct hami_pacing {
  const struct hami_effects *effects;
  struct hami_live_limits *limits;
  struct hami_region *region;
  struct hami_region_device *local; /* used where the region has no record of a device */
};

bool hami_pacing_open(struct hami_pacing *pacing, const struct hami_effects *effects, struct hami_live_limits *limits,
                      struct hami_region *region);

void hami_pacing_close(struct hami_pacing *pacing);

/* True while a launch on `device` may have to wait: then its device time must be measured or estimated well. */
bool hami_pacing_limits(struct hami_pacing *pacing, int device, uint64_t coarse_ns);

/* A launch on its way: what hami_pacing_admit does, without the sleeping. */
struct hami_pacing_launch {
  int device;
  bool learning; /* nobody knows what launches take: waits to be the one who finds out, or for the result */
  uint64_t began_ns;
  uint64_t charged_ns; /* 0: not limited, nothing queued */
  uint64_t cost_ns;    /* what the queue grew by */
  uint64_t start_ns;   /* its position */
  int64_t shift_ns;    /* corrections made before it was given out */
  uint64_t allowance_ns;
};

/* Queues a launch. */
void hami_pacing_enqueue(struct hami_pacing *pacing, int device, uint64_t estimate_ns, uint64_t now_ns,
                         struct hami_pacing_launch *launch);

/* Time to sleep before asking again, at most 10 ms; 0: go. */
uint64_t hami_pacing_remaining(struct hami_pacing *pacing, struct hami_pacing_launch *launch, uint64_t now_ns);

/*
 * Before a launch: waits until the container's share has room for it. `estimate_ns` is the device time the launch
 * is expected to take, 0 when nothing is known (the container's recent average is used). Returns the time charged,
 * to be handed to hami_pacing_settle; 0 when nothing was. Sleeps in steps of 10 ms at most and returns early once the
 * limit is lifted. `meanwhile`, if not NULL, is called after each step, to settle what has finished: others may be
 * waiting for what it tells.
 */
uint64_t hami_pacing_admit(struct hami_pacing *pacing, int device, uint64_t estimate_ns, void (*meanwhile)(int device));

/*
 * After `launches` launches, together: what they took. `charged_ns` is the sum of hami_pacing_admit's answers. Call it
 * for unlimited launches too: it is how activity is counted. Launches the driver refused settle as 0 ns of 0 launches.
 */
void hami_pacing_settle(struct hami_pacing *pacing, int device, uint64_t charged_ns, uint64_t measured_ns,
                        uint32_t launches);

/* Tells whether others work on `device`, as far as the vendor's counters show. Wanted about every 100 ms while
 * launching; the host's word in the limits file, where there is one, counts more. */
void hami_pacing_observe_others(struct hami_pacing *pacing, int device, bool busy);

/* True where the host's word is that other containers work on `device`. */
bool hami_pacing_contended(const struct hami_pacing *pacing, int device);

/* Device time counted so far for the container, to be subtracted from the device's own counters. */
uint64_t hami_pacing_busy_ns(struct hami_pacing *pacing, int device);

/* What launches of the container took lately, each; 0 before any was settled. */
uint64_t hami_pacing_typical_ns(struct hami_pacing *pacing, int device);

#endif
