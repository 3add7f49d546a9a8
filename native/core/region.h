/*
 * The shared region: one file per container, mapped by all its processes. Owns opening, creating, growing and checking
 * it; the layout comes from region.toml (hami_region_layout.h, generated).
 *
 * File: header, device records, then segments of HAMI_REGION_SLOTS_PER_SEGMENT process slots each. Segments are only
 * ever added, each is mapped once, slots never move. All of it is lock-free: the file appears under its name complete,
 * and growing twice is growing once. Only a file found empty, unfinished or left from before the last boot is filled
 * under a record lock, which the kernel releases when its holder dies and which is waited for a bounded time.
 *
 * The file may hold anything: nothing read from it is used as an index, size or pointer without a check, and what was
 * checked is kept in private memory. A file that is not ours, of another major version, too short or not reachable is
 * left as it is: attaching fails and the caller keeps books for itself alone.
 */
#ifndef HAMI_CORE_REGION_H
#define HAMI_CORE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/effects.h"
#include "hami_region_layout.h"

/* 64 slots each: more processes than a machine can have. */
#define HAMI_REGION_MAX_SEGMENTS 1024

struct hami_region {
  const struct hami_effects *effects;
  char path[4096];
  uint64_t file_device; /* identity of the file: no descriptor is kept, the program may close or reuse any number */
  uint64_t file_inode;
  struct hami_region_header *header;  /* NULL while not attached */
  struct hami_region_device *devices; /* records are device_bytes apart, see hami_region_device_at */
  uint32_t device_capacity;
  uint32_t device_bytes;
  uint32_t head_bytes; /* header and device records together, where the first segment starts */
  uint32_t segment_bytes;
  uint32_t segment_count; /* mapped so far */
  uint32_t mapping;       /* a turn, see turn.h */
  uint32_t lost;          /* the file was cut short; the mapping is private memory now */
  char *segments[HAMI_REGION_MAX_SEGMENTS];
};

/* Why attaching failed; for the log and tests. */
enum hami_region_result {
  HAMI_REGION_OK,
  HAMI_REGION_UNREACHABLE, /* no such folder, no permission, not a regular file */
  HAMI_REGION_BUSY,        /* someone is creating it and does not finish */
  HAMI_REGION_FOREIGN,     /* not a region, or of another major version */
  HAMI_REGION_DAMAGED,     /* sizes that cannot be true */
};

/*
 * Opens `path`, creating it with room for at least `device_count` devices if it does not exist or is empty, or dates
 * from before the last boot. The file's mode follows its folder's, so that whoever may write there can join. `region`
 * is all zeros before the first attempt; readers in other threads see it complete or not ready.
 */
enum hami_region_result hami_region_attach(struct hami_region *region, const struct hami_effects *effects,
                                           const char *path, uint32_t device_count);

void hami_region_detach(struct hami_region *region);

/* True once attached. */
static inline bool hami_region_ready(const struct hami_region *region) {
  return __atomic_load_n(&region->header, __ATOMIC_ACQUIRE) != NULL;
}

/* Maps segments added by others, whether or not the file can be opened again. False when the address space has no room:
 * sums over it would be too small. */
bool hami_region_map_new(struct hami_region *region);

/* Adds a segment, unless another process just did. False after a bounded wait, or when the disk is full. */
bool hami_region_grow(struct hami_region *region, uint32_t seen_count);

/* False when the file became shorter than what is mapped; the mapping is then replaced by private memory, so that
 * nothing faults, and the caller must stop using it. */
bool hami_region_intact(struct hami_region *region);

/* Record of a device, or NULL when the region has none of that number. */
struct hami_region_device *hami_region_device_at(const struct hami_region *region, uint32_t device);

#endif
