/*
 * Limits as values: what a container may use, read from the limits file's text or from environment variables. Pure
 * functions without state, for hostile input: they never fail as a whole, they say what they could not use.
 *
 * The text, one item a line (unknown words are ignored, so that newer files work):
 *   hami-limits 1
 *   region /path/to/region
 *   core-policy default            default | force | disable
 *   priority 0                     0 high, 1 low
 *   oversubscribe no               yes | no
 *   device GPU-<uuid> memory_mib=23034 core_percent=30 contended=yes yield=no
 * Only the uuid of a device line is required. No memory_mib: no memory limit. core_percent 0 or absent: no core limit.
 *
 * A value that was meant to limit and cannot be read becomes the strictest one (0 bytes, 1 percent) and marks the
 * limits damaged: a typing error must not hand out the whole card.
 */
#ifndef HAMI_CORE_LIMITS_H
#define HAMI_CORE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HAMI_LIMITS_MAX_DEVICES 256
#define HAMI_LIMITS_MAX_FILE_BYTES 65536
#define HAMI_UUID_SIZE 96
#define HAMI_PATH_SIZE 4096
#define HAMI_UNLIMITED UINT64_MAX

enum hami_policy { HAMI_POLICY_DEFAULT, HAMI_POLICY_FORCE, HAMI_POLICY_DISABLE };

/* Whether other containers work on the device, as the host sees it. */
enum hami_contention { HAMI_CONTENTION_UNKNOWN, HAMI_CONTENTION_NONE, HAMI_CONTENTION_SOME };

struct hami_device_limits {
  char uuid[HAMI_UUID_SIZE]; /* empty when only the device's number is known */
  uint64_t memory_bytes;     /* HAMI_UNLIMITED: no limit */
  uint32_t core_percent;     /* 1 to 99; 0: no limit */
  enum hami_contention contention;
  bool yields; /* a container of higher priority is at work: launches wait a bounded time */
};

struct hami_limits {
  uint32_t device_count;
  bool damaged;
  bool oversubscribe;
  enum hami_policy policy;
  uint32_t priority;
  char region[HAMI_PATH_SIZE]; /* empty: none named */
  struct hami_device_limits devices[HAMI_LIMITS_MAX_DEVICES];
};

/* The names under which a vendor's limits travel in the environment; NULL where the vendor has none. */
struct hami_env_names {
  const char *memory_limit; /* also <name>_<i> for device i, which wins */
  const char *core_limit;   /* also <name>_<i> */
  const char *region;
  const char *priority;
  const char *policy;
  const char *oversubscribe;
  const char *visible_devices; /* its uuids, if any, name the devices in the order of <i> */
  const char *log_level;
};

/* Reads a limits file's text. False when it names no device, so that the caller looks elsewhere. */
bool hami_limits_parse(const char *text, size_t length, struct hami_limits *limits);

/* Reads the environment through `get` (getenv's shape). False when no memory or core limit is set there. */
bool hami_limits_from_environment(const struct hami_env_names *names, const char *(*get)(const char *name),
                                  struct hami_limits *limits);

/* What holds where limits were meant and none can be read: nothing can be allocated on any device. */
void hami_limits_strictest(struct hami_limits *limits);

/* Compares the 36 characters of each uuid without its prefix ("GPU-", "MIG-"), in any case, when both have that form,
 * otherwise the whole texts. Empty texts equal nothing. */
bool hami_limits_same_uuid(const char *left, const char *right);

/* Index of the device with this uuid, or -1. */
int hami_limits_find(const struct hami_limits *limits, const char *uuid);

#endif
