/*
 * What launches take, learnt from those that were measured, and how a launch is charged until that is known. The same
 * for every vendor; how launches are measured and who else is on a device is the vendor's, see struct hami_learning.
 * Process-local, no lock; callable inside wrappers only.
 */
#ifndef HAMI_INTERPOSE_LEARNING_H
#define HAMI_INTERPOSE_LEARNING_H

#include <stdbool.h>
#include <stdint.h>

/* What came of a measured launch. */
struct hami_measured {
  int device;
  uint64_t key;
  uint64_t charged_ns;
  uint64_t measured_ns; /* what it took at most; 0: could not be told */
  uint64_t least_ns;    /* and at least: the host may have come late between the marks */
  uint32_t launches;    /* that this one stands for */
  bool alone;           /* nothing else of the container was on the device */
};

/* Any launch under way, in place of a key. */
#define HAMI_ANY_KEY 0

struct hami_learning {
  /* Takes one launch that has ended; false when none has. */
  bool (*collect)(struct hami_measured *measured);
  /* True while a launch of this key is on its way; how long the oldest has been. */
  bool (*pending)(uint64_t key, uint64_t *age_ns);
  /* True when measured times may contain waits for work that is not this process's. */
  bool (*contended)(int device);
  /* How many take turns on the device, this process included: at least 1. */
  uint32_t (*contenders)(int device);
};

/* Settles one launch by what was measured, and learns from it. */
void hami_learning_settle(const struct hami_learning *learning, const struct hami_measured *measured);

/* Settles all that has ended. */
void hami_learning_settle_finished(const struct hami_learning *learning);

/*
 * Expected device time, 0 when nothing is known. A program may queue hundreds of launches before the first has ended
 * and is known, so a launch of a kind that was never measured waits a little for the result.
 */
uint64_t hami_learning_expect(const struct hami_learning *learning, int device, uint64_t key);

void hami_learning_after_fork_in_child(void);

#endif
