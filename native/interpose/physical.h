/*
 * Physical memory of the virtual memory API: a create call makes it, and it lives for as long as a handle or a mapping
 * refers to it, in whatever order they go. One process-local lock, never held while the driver is called; callable
 * inside wrappers only.
 */
#ifndef HAMI_INTERPOSE_PHYSICAL_H
#define HAMI_INTERPOSE_PHYSICAL_H

#include "books.h"

/* Opaque: one allocation. A pointer to it stays valid until the matching hami_physical_unpin. */
struct hami_physical;
struct hami_mapping;

/* Remembers a new allocation with one handle. False without memory to do so; the charge is refunded then. */
bool hami_physical_created(uint64_t handle, const struct hami_charge *charge);

/* Finds the allocation of a handle and keeps it while the driver is asked; NULL when unknown (imported, host memory).
 */
struct hami_physical *hami_physical_pin(uint64_t handle);

/* Ends a pin. `handles` and `mappings` are what the driver's answer added or took away. Safe on NULL. */
void hami_physical_unpin(struct hami_physical *physical, int handles, int mappings);

/* Changes the number of mappings of one that is mapped, and frees it when it was the last reference. */
void hami_physical_remap(struct hami_physical *physical, int mappings);

/* Remembers that `address` maps a pinned allocation. False without memory to do so. */
bool hami_physical_mapped(struct hami_physical *physical, uint64_t address, uint64_t bytes);

/* Takes out the mappings that lie in a range, before the driver unmaps them. */
struct hami_mapping *hami_physical_take_mappings(uint64_t address, uint64_t bytes);

/* Ends what hami_physical_take_mappings began: gone, or back where they were because the driver refused. */
void hami_physical_settle_mappings(struct hami_mapping *taken, bool unmapped);

void hami_physical_after_fork_in_child(void);

#endif
