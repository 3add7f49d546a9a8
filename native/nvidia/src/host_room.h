/*
 * How much host memory the container has left. A container's limit on memory is kept by the kernel, which kills a
 * process when pages cannot be had; programs know what to do with a driver's out-of-memory code instead. So the limit
 * of the container's memory cgroup is looked at before host memory is given for device memory. Pages are taken when
 * they are touched, so this is a look and no reservation. No state; callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_HOST_ROOM_H
#define HAMI_NVIDIA_HOST_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/effects.h"

/* Whether `bytes` more have room, beside `held_bytes` that this process was given already, touched or not. Page cache
 * counts as room. True as well where there is no limit, or none that can be read. */
bool hami_host_room(const struct hami_effects *effects, uint64_t bytes, uint64_t held_bytes);

#endif
