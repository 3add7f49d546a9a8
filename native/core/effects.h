/*
 * Everything the core asks of the outside world, in one struct, so that unit tests run it on a made-up clock and a
 * made-up process table. The default is the real thing. None of these changes errno, allocates or takes a lock.
 */
#ifndef HAMI_CORE_EFFECTS_H
#define HAMI_CORE_EFFECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What tells one version of a file from the next. */
struct hami_file_version {
  uint64_t device;
  uint64_t inode;
  uint64_t size_bytes;
  int64_t modified_ns;
  int64_t changed_ns;
};

struct hami_effects {
  uint64_t (*now_ns)(void);       /* CLOCK_MONOTONIC, exact */
  uint64_t (*coarse_ns)(void);    /* the same clock, a few ms late and a few ns cheap */
  uint64_t (*suspended_ns)(void); /* time that the boot's clock, by which /proc tells starts, is ahead of it */
  void (*sleep_ns)(uint64_t duration_ns);
  uint32_t (*pid)(void);
  bool (*pid_exists)(uint32_t pid); /* a process of that number exists, whoever owns it, zombies included */
  /* Reads at most `size` bytes of a small file; the count read, or a negative errno. */
  ssize_t (*read_file)(const char *path, char *buffer, size_t size);
  bool (*file_version)(const char *path, struct hami_file_version *version);
  /* True for a file this process cannot change: it lies outside the reach of what it limits. */
  bool (*beyond_reach)(const char *path);
};

extern const struct hami_effects hami_effects_system;

#endif
