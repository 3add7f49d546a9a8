/*
 * Memory of other processes. Whoever made it is charged for it, in whichever container that is, so an import costs
 * nothing. When its maker has given it up or has died and this process holds it still, NVML's figure for this process
 * contains it, and it is charged here like all that comes unseen, see growth.h.
 *
 * Some driver may list what is imported with the importer from the start: then growth cannot be told from imports. The
 * first import shows which it is, by NVML's figure before and after. Callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_IMPORTS_H
#define HAMI_NVIDIA_IMPORTS_H

#include <stdbool.h>
#include <stdint.h>

struct hami_import {
  int device; /* HAMI_NO_DEVICE: nothing to be learnt */
  uint64_t held_bytes;
  uint64_t taken_bytes;
};

/* Around a call that imports memory; `ordinal` is the device it turned out to lie on, -1 where it came to nothing. */
void hami_imports_begin(struct hami_import *import);
void hami_imports_end(const struct hami_import *import, int ordinal);

/* Imported memory was let go of. */
void hami_imports_dropped(void);

void hami_imports_after_fork_in_child(void);

#endif
