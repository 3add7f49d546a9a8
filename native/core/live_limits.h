/*
 * The limits now in force: found once, then re-read when their file changes, so that a host can raise or lower them
 * under a running program. A device keeps its index for the life of the process; one that leaves the file keeps its
 * last limits. A file that becomes unreadable or names no device changes nothing.
 *
 * Readers take no lock and see single values change, never a half-written one. Order of sources: /run/hami/limits
 * if this process cannot change it, the file named by HAMI_LIMITS_FILE, /run/hami/limits, the environment. When a
 * file is named or there, but unusable, and the environment says nothing, the strictest limits hold.
 */
#ifndef HAMI_CORE_LIVE_LIMITS_H
#define HAMI_CORE_LIVE_LIMITS_H

#include "core/dmem.h"
#include "core/effects.h"
#include "core/limits.h"

#define HAMI_LIMITS_FIXED_PATH "/run/hami/limits"
#define HAMI_LIMITS_FILE_VARIABLE "HAMI_LIMITS_FILE"

struct hami_live_limits {
  const struct hami_effects *effects;
  char path[HAMI_PATH_SIZE];     /* empty when the limits came from the environment */
  char region[HAMI_PATH_SIZE];   /* fixed at the first reading */
  struct hami_file_version seen; /* only touched under `refreshing` */
  uint64_t checked_ns;
  uint32_t refreshing; /* a turn, see turn.h */
  uint32_t device_count;
  uint32_t policy;
  uint32_t priority;
  uint32_t oversubscribe;
  uint32_t named[HAMI_LIMITS_MAX_DEVICES]; /* the uuid is complete */
  char uuids[HAMI_LIMITS_MAX_DEVICES][HAMI_UUID_SIZE];
  uint64_t memory_bytes[HAMI_LIMITS_MAX_DEVICES];
  uint64_t kernel_bytes[HAMI_LIMITS_MAX_DEVICES]; /* what the kernel lets us have, see dmem.h */
  uint32_t core_percent[HAMI_LIMITS_MAX_DEVICES];
  uint32_t contention[HAMI_LIMITS_MAX_DEVICES];
  uint32_t yields[HAMI_LIMITS_MAX_DEVICES];
  struct hami_limits scratch; /* only touched under `refreshing`, like the text */
  char text[HAMI_LIMITS_MAX_FILE_BYTES];
  struct hami_dmem_space kernel_space;
};

/* Finds and reads the limits. False: none are set anywhere, and the library has nothing to do. Called once, before
 * any other thread uses `live`. */
bool hami_live_limits_open(struct hami_live_limits *live, const struct hami_effects *effects,
                           const struct hami_env_names *names, const char *(*get)(const char *name));

/* Looks at the file if the last look is more than 50 ms old; `coarse_ns` is the clock of that name. */
void hami_live_limits_poll(struct hami_live_limits *live, uint64_t coarse_ns);

/* Looks at the file now: before a refusal, so that a raised limit counts at once. */
void hami_live_limits_check(struct hami_live_limits *live);

/* Index of a uuid, see hami_limits_find, or -1. */
int hami_live_limits_find(const struct hami_live_limits *live, const char *uuid);

/* The memory limit in force: the file's, or the kernel's where that is less. Oversubscribed memory is host memory for
 * the most part, of which the kernel's says nothing. HAMI_UNLIMITED: none. */
uint64_t hami_live_limits_memory(const struct hami_live_limits *live, uint32_t device);

/* Finds the kernel's limit of the device at PCI address `bus_id`. */
void hami_live_limits_find_kernel(struct hami_live_limits *live, uint32_t device, const char *bus_id);

/* Gives device `device`, known so far by its number only, its uuid. False when it has one already. */
bool hami_live_limits_name(struct hami_live_limits *live, int device, const char *uuid);

#endif
