/*
 * Making a region's file, for region.c: locking, sizes, the first contents. Knows nothing of mappings.
 */
#ifndef HAMI_CORE_REGION_CREATE_H
#define HAMI_CORE_REGION_CREATE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/effects.h"

#define HAMI_REGION_OPEN_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

bool hami_region_stat(int fd, struct stat *found);

/* A record lock that the kernel releases when its holder dies, waited for a quarter of a second. To be released by
 * hand: closing would not do, since a mapping made from the descriptor keeps the open file, and its lock, alive. */
bool hami_region_lock(const struct hami_effects *effects, int fd);
void hami_region_unlock(int fd);

/*
 * Gives the file real blocks up to `size`: touching a hole on a full disk would kill the program. Changes no byte that
 * is there, so it needs no lock; where a file system cannot do that, it only makes the file longer, which does.
 */
bool hami_region_extend(const struct hami_effects *effects, int fd, off_t size);

/* Fills a new file, or one whose contents are no region that holds: processes that map it all the same do not fault. */
bool hami_region_lay_out(int fd, uint32_t device_count, const unsigned char boot_id[16]);

/* Makes the file appear under its name complete, or not at all: a creator that is killed or stopped is in nobody's way.
 * Whoever comes second finds the first one's. */
void hami_region_create(const struct hami_effects *effects, const char *path, uint32_t device_count,
                        const unsigned char boot_id[16]);

#endif
