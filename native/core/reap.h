/* Frees the slots of dead processes, and with them their charges. Lock-free; reads /proc, so not for every call. */
#ifndef HAMI_CORE_REAP_H
#define HAMI_CORE_REAP_H

#include "core/slots.h"

/*
 * Frees every slot whose owner is known to be dead; returns their number. Another PID namespace's processes cannot be
 * looked up from here: their slots are freed when they were silent for 30 s and taken before this namespace's first
 * process started, as after a container's restart. A live owner freed in error notices and takes a new slot with all
 * its charges at its next operation.
 */
uint32_t hami_reap(const struct hami_region *region, const struct hami_effects *effects,
                   const struct hami_identity *self);

#endif
