/*
 * The kernel's own limit on device memory: the control group controller dmem (Linux 6.14, described in the kernel's
 * Documentation/admin-guide/cgroup-v2.rst). Where a driver takes part, the kernel refuses past it whatever we do; we
 * read it so that a program sees no more memory than it can get. Read only, pure but for the reading, no state.
 */
#ifndef HAMI_CORE_DMEM_H
#define HAMI_CORE_DMEM_H

#include "core/effects.h"
#include "core/limits.h"

/*
 * The limit that `text`, the content of a dmem.max, sets on the memory of the device at PCI address `bus_id`
 * ("0000:03:00.0", in any case): lines "drm/0000:03:00.0/vram0 1073741824", or "max". Several regions of one device's
 * memory count together; others of its regions, such as stolen system memory, do not. HAMI_UNLIMITED: none.
 */
uint64_t hami_dmem_limit_in(const char *text, size_t length, const char *bus_id);

/* Too much for a stack that may be small. */
struct hami_dmem_space {
  char path[HAMI_PATH_SIZE];
  char text[HAMI_PATH_SIZE];
};

/* The same for this process's own control group; limits of the groups above it are not looked at. */
uint64_t hami_dmem_limit(const struct hami_effects *effects, const char *bus_id, struct hami_dmem_space *space);

#endif
