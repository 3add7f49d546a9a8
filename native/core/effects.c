#include "core/effects.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/syscalls.h"

#define NS_PER_S 1000000000ULL

static uint64_t read_clock(clockid_t clock) {
  struct timespec now = {0};
  (void)clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

#ifdef HAMI_TESTS
/* Real seconds per second of the clock: the test doubles' own variable, so that a library and a simulated device whose
 * time runs faster agree. */
static double time_scale(void) {
  static double known;
  double scale;
  __atomic_load(&known, &scale, __ATOMIC_RELAXED);
  if (scale == 0.0) {
    const char *text = getenv("HAMI_FAKE_TIME_SCALE");
    scale = text == NULL ? 1.0 : strtod(text, NULL);
    scale = scale > 0.0 ? scale : 1.0;
    __atomic_store(&known, &scale, __ATOMIC_RELAXED);
  }
  return scale;
}

static uint64_t now_ns(void) { return (uint64_t)((double)read_clock(CLOCK_MONOTONIC) / time_scale()); }

/* The coarse clock's ticks would be seconds long. */
static uint64_t coarse_ns(void) { return time_scale() < 1.0 ? now_ns() : read_clock(CLOCK_MONOTONIC_COARSE); }

static uint64_t real_duration_ns(uint64_t duration_ns) { return (uint64_t)((double)duration_ns * time_scale()); }
#else
static uint64_t now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

static uint64_t coarse_ns(void) { return read_clock(CLOCK_MONOTONIC_COARSE); }

static uint64_t real_duration_ns(uint64_t duration_ns) { return duration_ns; }
#endif

static uint64_t suspended_ns(void) {
  uint64_t monotonic = read_clock(CLOCK_MONOTONIC);
  uint64_t boot = read_clock(CLOCK_BOOTTIME);
  return boot > monotonic ? boot - monotonic : 0;
}

static void sleep_ns(uint64_t duration_ns) {
  int saved = errno;
  duration_ns = real_duration_ns(duration_ns);
  struct timespec duration = {.tv_sec = (time_t)(duration_ns / NS_PER_S), .tv_nsec = (long)(duration_ns % NS_PER_S)};
  (void)hami_sys_sleep(&duration); /* a signal may cut it short: every caller looks at the clock again */
  errno = saved;
}

static uint32_t pid(void) { return (uint32_t)getpid(); }

static bool pid_exists(uint32_t process) {
  int saved = errno;
  bool exists = kill((pid_t)process, 0) == 0 || errno != ESRCH;
  errno = saved;
  return exists;
}

static ssize_t read_file(const char *path, char *buffer, size_t size) {
  int saved = errno;
  int fd = hami_sys_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
  ssize_t total = fd < 0 ? -errno : 0;
  while (fd >= 0 && (size_t)total < size) {
    ssize_t count = hami_sys_read(fd, buffer + total, size - (size_t)total);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      total = count < 0 ? -errno : total;
      break;
    }
    total += count;
  }
  if (fd >= 0) {
    (void)hami_sys_close(fd);
  }
  errno = saved;
  return total;
}

static bool file_version(const char *path, struct hami_file_version *version) {
  int saved = errno;
  struct stat found;
  /* The call by number: the C library's stat functions carry a symbol version that older systems lack. */
  bool known = syscall(SYS_newfstatat, AT_FDCWD, path, &found, 0) == 0;
  errno = saved;
  if (known) {
    *version = (struct hami_file_version){
        .device = found.st_dev,
        .inode = found.st_ino,
        .size_bytes = (uint64_t)found.st_size,
        .modified_ns = found.st_mtim.tv_sec * (int64_t)NS_PER_S + found.st_mtim.tv_nsec,
        .changed_ns = found.st_ctim.tv_sec * (int64_t)NS_PER_S + found.st_ctim.tv_nsec,
    };
  }
  return known;
}

static bool beyond_reach(const char *path) {
  int saved = errno;
  struct stat found;
  bool beyond =
      syscall(SYS_newfstatat, AT_FDCWD, path, &found, 0) == 0 && found.st_uid != geteuid() && access(path, W_OK) != 0;
  /* Root could write any file, except on a mount that is read-only for it too. */
  beyond = beyond || (access(path, F_OK) == 0 && access(path, W_OK) != 0 && errno == EROFS);
  errno = saved;
  return beyond;
}

const struct hami_effects hami_effects_system = {
    .now_ns = now_ns,
    .coarse_ns = coarse_ns,
    .suspended_ns = suspended_ns,
    .sleep_ns = sleep_ns,
    .pid = pid,
    .pid_exists = pid_exists,
    .read_file = read_file,
    .file_version = file_version,
    .beyond_reach = beyond_reach,
};
