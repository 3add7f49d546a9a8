#include "core/region_create.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/syscalls.h"
#include "core/test_point.h"
#include "hami_region_layout.h"

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37 /* Linux 3.15; headers of the oldest supported C library do not name it */
#endif

#define LOCK_STEP_NS 2000000ULL
#define LOCK_STEPS 125U /* a quarter of a second: those who hold the lock need some microseconds */
#define LEAST_DEVICES 8U
#define DRAFT_SIZE 4160
#define MOST_WIPED_BYTES (1LL << 30) /* more than any machine's processes need */

bool hami_region_stat(int fd, struct stat *found) { return syscall(SYS_newfstatat, fd, "", found, AT_EMPTY_PATH) == 0; }

static uint32_t round_up(uint32_t value, uint32_t step) { return (value + step - 1) / step * step; }

static int set_lock(int fd, short type) {
  struct flock whole = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
  int result = fcntl(fd, F_OFD_SETLK, &whole);
  /* Kernels and sandboxes that know the older kind only. */
  return result != 0 && errno == EINVAL ? fcntl(fd, F_SETLK, &whole) : result;
}

bool hami_region_lock(const struct hami_effects *effects, int fd) {
  for (unsigned int step = 0; step < LOCK_STEPS; step++) {
    if (set_lock(fd, F_WRLCK) == 0) {
      return true;
    }
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
      return false;
    }
    effects->sleep_ns(LOCK_STEP_NS);
  }
  return false;
}

void hami_region_unlock(int fd) { (void)set_lock(fd, F_UNLCK); }

/* Whether the last call failed because the file system cannot do it, which is no reason to give up. */
static bool unsupported(void) { return errno == EOPNOTSUPP || errno == ENOSYS; }

/* The kernel ends a program by a signal that makes a file longer than its limit (ulimit -f). */
static bool beyond_limit(off_t size) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && (rlim_t)size > limit.rlim_cur;
}

/* For file systems without fallocate, by whoever is alone with the file. */
static bool lengthen(int fd, off_t size) {
  struct stat found;
  return hami_region_stat(fd, &found) && (found.st_size >= size || ftruncate(fd, size) == 0);
}

bool hami_region_extend(const struct hami_effects *effects, int fd, off_t size) {
  if (beyond_limit(size)) {
    return false;
  }
  if (hami_sys_fallocate(fd, size) == 0) {
    return true;
  }
  if (!unsupported() || !hami_region_lock(effects, fd)) {
    return false;
  }
  bool done = lengthen(fd, size);
  hami_region_unlock(fd);
  return done;
}

/* Fills a file with zeros and never shortens it: whoever has it mapped would fault. */
static bool wipe(int fd) {
  static const char zeros[4096];
  struct stat found;
  if (!hami_region_stat(fd, &found) || found.st_size > MOST_WIPED_BYTES || beyond_limit(found.st_size)) {
    return false;
  }
  for (off_t at = 0; at < found.st_size; at += (off_t)sizeof zeros) {
    off_t left = found.st_size - at;
    size_t length = left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros;
    if (hami_sys_pwrite(fd, zeros, length, at) != (ssize_t)length) {
      return false;
    }
  }
  return true;
}

bool hami_region_lay_out(int fd, uint32_t device_count, const unsigned char boot_id[16]) {
  uint32_t capacity = round_up(device_count < LEAST_DEVICES ? LEAST_DEVICES : device_count, 8);
  struct hami_region_header header = {
      .major = HAMI_REGION_VERSION_MAJOR,
      .minor = HAMI_REGION_VERSION_MINOR,
      .head_bytes = round_up(HAMI_REGION_DEVICE_OFFSET + capacity * (uint32_t)sizeof(struct hami_region_device),
                             HAMI_REGION_ALIGNMENT),
      .device_bytes = sizeof(struct hami_region_device),
      .device_capacity = capacity,
      .segment_bytes =
          round_up(HAMI_REGION_SEGMENT_COLUMNS + capacity * HAMI_REGION_COLUMN_BYTES, HAMI_REGION_ALIGNMENT),
      .segment_count = 1,
  };
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  header.created_unix_ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
  memcpy(header.boot_id, boot_id, sizeof header.boot_id);
  off_t size = (off_t)header.head_bytes + header.segment_bytes;
  if (beyond_limit(size) || !wipe(fd)) {
    return false;
  }
  HAMI_TEST_POINT("region.wiped");
  if (hami_sys_fallocate(fd, size) != 0 && (!unsupported() || !lengthen(fd, size))) {
    return false;
  }
  HAMI_TEST_POINT("region.laid_out_empty");
  const uint64_t magic = HAMI_REGION_MAGIC;
  if (hami_sys_pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header) {
    return false;
  }
  HAMI_TEST_POINT("region.laid_out_without_magic");
  return hami_sys_pwrite(fd, &magic, sizeof magic, 0) == (ssize_t)sizeof magic;
}

/* Whoever may write in the folder may join: the mode follows the folder's, whatever the umask is. */
static void set_mode(const char *path, int fd) {
  char folder[4096];
  const char *slash = strrchr(path, '/');
  size_t length = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
  memcpy(folder, slash == NULL ? "." : path, length);
  folder[length] = '\0';
  struct stat found;
  if (syscall(SYS_newfstatat, AT_FDCWD, folder, &found, 0) == 0) {
    (void)fchmod(fd, found.st_mode & 0666U);
  }
}

/* A name beside `path` for a file under construction, not used by any other process now. */
static bool name_draft(const struct hami_effects *effects, const char *path, char draft[DRAFT_SIZE]) {
  int length = snprintf(draft, DRAFT_SIZE, "%s.%u.%llu", path, effects->pid(), (unsigned long long)effects->now_ns());
  return length > 0 && length < DRAFT_SIZE;
}

void hami_region_create(const struct hami_effects *effects, const char *path, uint32_t device_count,
                        const unsigned char boot_id[16]) {
  char draft[DRAFT_SIZE];
  if (!name_draft(effects, path, draft)) {
    return;
  }
  int fd = hami_sys_open(draft, HAMI_REGION_OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
  if (fd < 0) {
    return;
  }
  HAMI_TEST_POINT("region.draft_made");
  set_mode(path, fd);
  if (hami_region_lay_out(fd, device_count, boot_id)) {
    HAMI_TEST_POINT("region.drafted");
    if (link(draft, path) != 0 && errno != EEXIST) {
      /* No hard links here: an empty file, which is then filled under the lock. */
      int empty = hami_sys_open(path, HAMI_REGION_OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
      if (empty >= 0) {
        set_mode(path, empty);
        (void)hami_sys_close(empty);
      }
    }
  }
  HAMI_TEST_POINT("region.linked");
  (void)unlink(draft);
  (void)hami_sys_close(fd);
}
