#include "core/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/test_point.h"
#include "core/turn.h"

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37 /* Linux 3.15; headers of the oldest supported C library do not name it */
#endif

#define LOCK_STEP_NS 2000000ULL
#define LOCK_STEPS 125U /* a quarter of a second: those who hold the lock need some microseconds */
#define LEAST_DEVICES 8U
#define DRAFT_SIZE 4160
#define OPEN_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
#define MOST_AREA_BYTES (64U << 20)
#define MOST_CAPACITY 4096U

static bool stat_fd(int fd, struct stat *found) { return syscall(SYS_newfstatat, fd, "", found, AT_EMPTY_PATH) == 0; }

static uint32_t round_up(uint32_t value, uint32_t step) { return (value + step - 1) / step * step; }

static int set_lock(int fd, short type) {
  struct flock whole = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
  int result = fcntl(fd, F_OFD_SETLK, &whole);
  /* Kernels and sandboxes that know the older kind only. */
  return result != 0 && errno == EINVAL ? fcntl(fd, F_SETLK, &whole) : result;
}

/* Released by the kernel when the holder dies. */
static bool lock_file(const struct hami_effects *effects, int fd) {
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

/* Closing would not do: a mapping made from the descriptor keeps the open file, and its lock, alive. */
static void unlock_file(int fd) { (void)set_lock(fd, F_UNLCK); }

/*
 * Gives the file real blocks up to `size`: touching a hole on a full disk would kill the program. Changes no byte that
 * is there, so it needs no lock; where a file system cannot do that, it only makes the file longer, which does.
 */
static bool extend(const struct hami_effects *effects, int fd, off_t size) {
  if (fallocate(fd, 0, 0, size) == 0) {
    return true;
  }
  struct stat found;
  if ((errno != EOPNOTSUPP && errno != ENOSYS) || !lock_file(effects, fd)) {
    return false;
  }
  bool done = stat_fd(fd, &found) && (found.st_size >= size || ftruncate(fd, size) == 0);
  unlock_file(fd);
  return done;
}

static void *map(int fd, size_t bytes, off_t at) {
  void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
  return mapped == MAP_FAILED ? NULL : mapped;
}

static void read_boot_id(const struct hami_effects *effects, unsigned char id[16]) {
  char text[64];
  memset(id, 0, 16);
  ssize_t length = effects->read_file("/proc/sys/kernel/random/boot_id", text, sizeof text);
  unsigned int digits = 0;
  for (ssize_t i = 0; i < length && digits < 32; i++) {
    char c = (char)(text[i] | 0x20);
    bool letter = c >= 'a' && c <= 'f';
    if (letter || (text[i] >= '0' && text[i] <= '9')) {
      unsigned int value = letter ? (unsigned int)(c - 'a') + 10U : (unsigned int)(text[i] - '0');
      id[digits / 2] = (unsigned char)((unsigned int)id[digits / 2] << 4 | value);
      digits++;
    }
  }
}

static bool same_boot(const unsigned char left[16], const unsigned char right[16]) {
  static const unsigned char unknown[16];
  return memcmp(left, unknown, 16) == 0 || memcmp(right, unknown, 16) == 0 || memcmp(left, right, 16) == 0;
}

/* Lays out a file that nobody else uses yet. */
static bool lay_out(const struct hami_effects *effects, int fd, uint32_t device_count,
                    const unsigned char boot_id[16]) {
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
  if (ftruncate(fd, 0) != 0 || !extend(effects, fd, (off_t)header.head_bytes + header.segment_bytes)) {
    return false;
  }
  HAMI_TEST_POINT("region.laid_out_empty");
  const uint64_t magic = HAMI_REGION_MAGIC;
  if (pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header) {
    return false;
  }
  HAMI_TEST_POINT("region.laid_out_without_magic");
  return pwrite(fd, &magic, sizeof magic, 0) == (ssize_t)sizeof magic;
}

/* What a header says about its file, given the file's true size. */
static enum hami_region_result check(const struct hami_region_header *header, uint64_t size) {
  if (header->magic != HAMI_REGION_MAGIC || header->major != HAMI_REGION_VERSION_MAJOR) {
    return HAMI_REGION_FOREIGN;
  }
  bool sane = header->device_bytes >= sizeof(struct hami_region_device) && header->device_bytes % 8 == 0 &&
              header->device_bytes <= HAMI_REGION_ALIGNMENT && header->device_capacity > 0 &&
              header->device_capacity <= MOST_CAPACITY && header->head_bytes % HAMI_REGION_ALIGNMENT == 0 &&
              header->head_bytes <= MOST_AREA_BYTES && header->segment_bytes % HAMI_REGION_ALIGNMENT == 0 &&
              header->segment_bytes <= MOST_AREA_BYTES && header->segment_count > 0 &&
              header->segment_count <= HAMI_REGION_MAX_SEGMENTS;
  if (!sane) {
    return HAMI_REGION_DAMAGED;
  }
  uint64_t head = HAMI_REGION_DEVICE_OFFSET + (uint64_t)header->device_capacity * header->device_bytes;
  uint64_t segment = HAMI_REGION_SEGMENT_COLUMNS + (uint64_t)header->device_capacity * HAMI_REGION_COLUMN_BYTES;
  uint64_t whole = header->head_bytes + (uint64_t)header->segment_count * header->segment_bytes;
  bool fits = header->head_bytes >= head && header->segment_bytes >= segment && size >= whole;
  return fits ? HAMI_REGION_OK : HAMI_REGION_DAMAGED;
}

/* Reads the header of an open file. HAMI_REGION_BUSY: it has none yet, or an outlived one, and must be created. */
static enum hami_region_result read_header(int fd, const unsigned char boot_id[16], struct hami_region_header *header,
                                           struct stat *found) {
  if (!stat_fd(fd, found) || !S_ISREG(found->st_mode)) {
    return HAMI_REGION_UNREACHABLE;
  }
  memset(header, 0, sizeof *header);
  ssize_t length = pread(fd, header, sizeof *header, 0);
  if (length < 0) {
    return HAMI_REGION_UNREACHABLE;
  }
  if (length == 0 || header->magic == 0) {
    return HAMI_REGION_BUSY;
  }
  enum hami_region_result result = check(header, (uint64_t)found->st_size);
  return result == HAMI_REGION_OK && !same_boot(header->boot_id, boot_id) ? HAMI_REGION_BUSY : result;
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

/* Makes the file appear under its name complete, or not at all: a creator that is killed or stopped is in nobody's way.
 * Whoever comes second finds the first one's. */
static void create(const struct hami_effects *effects, const char *path, uint32_t device_count,
                   const unsigned char boot_id[16]) {
  char draft[DRAFT_SIZE];
  if (!name_draft(effects, path, draft)) {
    return;
  }
  int fd = open(draft, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
  if (fd < 0) {
    return;
  }
  set_mode(path, fd);
  if (lay_out(effects, fd, device_count, boot_id)) {
    HAMI_TEST_POINT("region.drafted");
    if (link(draft, path) != 0 && errno != EEXIST) {
      /* No hard links here: an empty file, which is then filled under the lock. */
      int empty = open(path, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
      if (empty >= 0) {
        set_mode(path, empty);
        (void)close(empty);
      }
    }
  }
  (void)unlink(draft);
  (void)close(fd);
}

static enum hami_region_result map_file(struct hami_region *region, int fd, const struct hami_region_header *header,
                                        const struct stat *found) {
  region->device_capacity = header->device_capacity;
  region->device_bytes = header->device_bytes;
  region->head_bytes = header->head_bytes;
  region->segment_bytes = header->segment_bytes;
  region->file_device = found->st_dev;
  region->file_inode = found->st_ino;
  char *head = map(fd, region->head_bytes, 0);
  if (head == NULL) {
    return HAMI_REGION_UNREACHABLE;
  }
  for (uint32_t i = 0; i < header->segment_count; i++) {
    region->segments[i] = map(fd, region->segment_bytes, (off_t)region->head_bytes + (off_t)i * region->segment_bytes);
    if (region->segments[i] == NULL) {
      while (i-- > 0) {
        (void)munmap(region->segments[i], region->segment_bytes);
      }
      (void)munmap(head, region->head_bytes);
      return HAMI_REGION_UNREACHABLE;
    }
  }
  __atomic_store_n(&region->segment_count, header->segment_count, __ATOMIC_RELEASE);
  region->devices = (struct hami_region_device *)(void *)(head + HAMI_REGION_DEVICE_OFFSET);
  __atomic_store_n(&region->header, (struct hami_region_header *)(void *)head, __ATOMIC_RELEASE);
  return HAMI_REGION_OK;
}

/* Fills a file that is empty, unfinished or outlived, in place. */
static enum hami_region_result refill(const struct hami_effects *effects, int fd, uint32_t device_count,
                                      const unsigned char boot_id[16], struct hami_region_header *header,
                                      struct stat *found) {
  if (!lock_file(effects, fd)) {
    return HAMI_REGION_BUSY;
  }
  enum hami_region_result result = read_header(fd, boot_id, header, found); /* someone may have been quicker */
  if (result == HAMI_REGION_BUSY) {
    result =
        lay_out(effects, fd, device_count, boot_id) ? read_header(fd, boot_id, header, found) : HAMI_REGION_UNREACHABLE;
  }
  unlock_file(fd);
  return result;
}

static enum hami_region_result attach_open(struct hami_region *region, int fd, uint32_t device_count,
                                           const unsigned char boot_id[16]) {
  struct hami_region_header header;
  struct stat found;
  enum hami_region_result result = read_header(fd, boot_id, &header, &found);
  if (result == HAMI_REGION_BUSY) {
    result = refill(region->effects, fd, device_count, boot_id, &header, &found);
  }
  return result == HAMI_REGION_OK ? map_file(region, fd, &header, &found) : result;
}

static int open_or_create(const struct hami_effects *effects, const char *path, uint32_t device_count,
                          const unsigned char boot_id[16]) {
  int fd = open(path, OPEN_FLAGS);
  if (fd < 0 && errno == ENOENT) {
    create(effects, path, device_count, boot_id);
    fd = open(path, OPEN_FLAGS);
  }
  return fd;
}

enum hami_region_result hami_region_attach(struct hami_region *region, const struct hami_effects *effects,
                                           const char *path, uint32_t device_count) {
  int saved = errno;
  region->effects = effects;
  size_t length = strlen(path);
  unsigned char boot_id[16];
  read_boot_id(effects, boot_id);
  int fd = -1;
  if (length > 0 && length < sizeof region->path && device_count <= HAMI_REGION_MAX_DEVICES) {
    memcpy(region->path, path, length + 1);
    fd = open_or_create(effects, path, device_count, boot_id);
  }
  enum hami_region_result result = fd < 0 ? HAMI_REGION_UNREACHABLE : attach_open(region, fd, device_count, boot_id);
  if (fd >= 0) {
    (void)close(fd);
  }
  errno = saved;
  return result;
}

void hami_region_detach(struct hami_region *region) {
  if (!hami_region_ready(region)) {
    return;
  }
  for (uint32_t i = 0; i < region->segment_count; i++) {
    (void)munmap(region->segments[i], region->segment_bytes);
  }
  (void)munmap(region->header, region->head_bytes);
  region->header = NULL;
  region->devices = NULL;
  region->segment_count = 0;
}

/* Opens the file again; -1 when the path leads to another one by now. */
static int reopen(const struct hami_region *region, struct stat *found) {
  int fd = open(region->path, OPEN_FLAGS);
  if (fd >= 0 && (!stat_fd(fd, found) || found->st_dev != region->file_device || found->st_ino != region->file_inode)) {
    (void)close(fd);
    return -1;
  }
  return fd;
}

/* Segments that the header announces, and that the file is long enough to hold. */
static uint32_t announced(const struct hami_region *region) {
  uint32_t count = __atomic_load_n(&region->header->segment_count, __ATOMIC_ACQUIRE);
  return count < HAMI_REGION_MAX_SEGMENTS ? count : HAMI_REGION_MAX_SEGMENTS;
}

static bool map_announced(struct hami_region *region) {
  struct stat found;
  int fd = reopen(region, &found);
  if (fd < 0) {
    return false;
  }
  uint64_t room = (uint64_t)found.st_size <= region->head_bytes
                      ? 0
                      : ((uint64_t)found.st_size - region->head_bytes) / region->segment_bytes;
  uint32_t count = announced(region) < room ? announced(region) : (uint32_t)room;
  bool mapped = true;
  for (uint32_t i = region->segment_count; i < count && mapped; i++) {
    char *segment = map(fd, region->segment_bytes, (off_t)region->head_bytes + (off_t)i * region->segment_bytes);
    mapped = segment != NULL;
    if (mapped) {
      region->segments[i] = segment;
      __atomic_store_n(&region->segment_count, i + 1, __ATOMIC_RELEASE);
    }
  }
  (void)close(fd);
  return mapped;
}

bool hami_region_map_new(struct hami_region *region) {
  if (announced(region) <= __atomic_load_n(&region->segment_count, __ATOMIC_ACQUIRE)) {
    return true;
  }
  int saved = errno;
  hami_turn_take(&region->mapping, region->effects->pid(), region->effects);
  bool mapped = announced(region) <= region->segment_count || map_announced(region);
  hami_turn_end(&region->mapping);
  errno = saved;
  return mapped;
}

bool hami_region_grow(struct hami_region *region, uint32_t seen_count) {
  int saved = errno;
  struct stat found;
  bool grown = false;
  int fd = __atomic_load_n(&region->lost, __ATOMIC_RELAXED) != 0 ? -1 : reopen(region, &found);
  if (fd >= 0) {
    uint32_t count = seen_count;
    off_t size = (off_t)region->head_bytes + (off_t)(seen_count + 1) * region->segment_bytes;
    if (announced(region) > seen_count) {
      grown = true;
    } else if (seen_count < HAMI_REGION_MAX_SEGMENTS && extend(region->effects, fd, size)) {
      HAMI_TEST_POINT("region.extended");
      /* Losing to another process is as good: it announced the same segment. */
      (void)__atomic_compare_exchange_n(&region->header->segment_count, &count, seen_count + 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED);
      grown = announced(region) > seen_count;
    }
    (void)close(fd);
  }
  errno = saved;
  return grown;
}

static void make_private(void *area, size_t bytes) {
  (void)mmap(area, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

bool hami_region_intact(struct hami_region *region) {
  struct hami_file_version version;
  uint32_t count = __atomic_load_n(&region->segment_count, __ATOMIC_ACQUIRE);
  if (__atomic_load_n(&region->lost, __ATOMIC_RELAXED) != 0) {
    return false;
  }
  if (!region->effects->file_version(region->path, &version) || version.device != region->file_device ||
      version.inode != region->file_inode ||
      version.size_bytes >= region->head_bytes + (uint64_t)count * region->segment_bytes) {
    return true; /* a removed file is still whole for those who map it */
  }
  __atomic_store_n(&region->lost, 1U, __ATOMIC_RELAXED);
  make_private(region->header, region->head_bytes);
  for (uint32_t i = 0; i < count; i++) {
    make_private(region->segments[i], region->segment_bytes);
  }
  HAMI_LOG(HAMI_LOG_ERROR, "region %s was cut short; keeping books for this process alone", region->path);
  return false;
}

struct hami_region_device *hami_region_device_at(const struct hami_region *region, uint32_t device) {
  if (!hami_region_ready(region) || device >= region->device_capacity) {
    return NULL;
  }
  return (struct hami_region_device *)(void *)((char *)region->devices + (size_t)device * region->device_bytes);
}
