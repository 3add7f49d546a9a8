/*
 * Whether somebody else works on a device, as far as NVML shows: the device's utilisation against what this container
 * used itself, and the number of processes at work against this container's. Asked at most ten times a second and
 * device, by whichever launching thread comes first. No lock; callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_NEIGHBOURS_H
#define HAMI_NVIDIA_NEIGHBOURS_H

#include <stdbool.h>
#include <stdint.h>

/* Looks if the last look is old enough, and tells the core. */
void hami_neighbours_watch(int device);

/* Processes of this container on the device, and one for everybody else if somebody works there: 1 when launches wait
 * for this process's own work only. As of the last look. */
uint32_t hami_neighbours_contenders(int device);

/* True when launches on the device may wait for work that is not this process's. */
static inline bool hami_neighbours_contended(int device) { return hami_neighbours_contenders(device) > 1; }

void hami_neighbours_after_fork_in_child(void);

#endif
