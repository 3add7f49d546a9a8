#include "core/region.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log.h"
#include "core/region_create.h"
#include "core/syscalls.h"
#include "core/test_point.h"
#include "core/turn.h"

#define MOST_AREA_BYTES (64U << 20)
#define MOST_CAPACITY 4096U

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
  if (!hami_region_stat(fd, found) || !S_ISREG(found->st_mode)) {
    return HAMI_REGION_UNREACHABLE;
  }
  HAMI_TEST_POINT("region.opened");
  memset(header, 0, sizeof *header);
  ssize_t length = hami_sys_pread(fd, header, sizeof *header, 0);
  /* The size is taken after the header: the file may grow between the two, and a header must not seem to promise more
   * than there is. */
  if (length < 0 || !hami_region_stat(fd, found)) {
    return HAMI_REGION_UNREACHABLE;
  }
  if (length == 0 || header->magic == 0) {
    return HAMI_REGION_BUSY;
  }
  enum hami_region_result result = check(header, (uint64_t)found->st_size);
  return result == HAMI_REGION_OK && !same_boot(header->boot_id, boot_id) ? HAMI_REGION_BUSY : result;
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
  if (!hami_region_lock(effects, fd)) {
    return HAMI_REGION_BUSY;
  }
  HAMI_TEST_POINT("region.locked");
  enum hami_region_result result = read_header(fd, boot_id, header, found); /* someone may have been quicker */
  if (result == HAMI_REGION_BUSY) {
    result = hami_region_lay_out(fd, device_count, boot_id) ? read_header(fd, boot_id, header, found)
                                                            : HAMI_REGION_UNREACHABLE;
  }
  hami_region_unlock(fd);
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
  int fd = hami_sys_open(path, HAMI_REGION_OPEN_FLAGS, 0);
  if (fd < 0 && errno == ENOENT) {
    hami_region_create(effects, path, device_count, boot_id);
    fd = hami_sys_open(path, HAMI_REGION_OPEN_FLAGS, 0);
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
    (void)hami_sys_close(fd);
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
  int fd = hami_sys_open(region->path, HAMI_REGION_OPEN_FLAGS, 0);
  if (fd >= 0 &&
      (!hami_region_stat(fd, found) || found->st_dev != region->file_device || found->st_ino != region->file_inode)) {
    (void)hami_sys_close(fd);
    return -1;
  }
  return fd;
}

/* Segments that the header announces, and that the file is long enough to hold. */
static uint32_t announced(const struct hami_region *region) {
  uint32_t count = __atomic_load_n(&region->header->segment_count, __ATOMIC_SEQ_CST);
  return count < HAMI_REGION_MAX_SEGMENTS ? count : HAMI_REGION_MAX_SEGMENTS;
}

static void add_segment(struct hami_region *region, uint32_t index, char *segment) {
  region->segments[index] = segment;
  __atomic_store_n(&region->segment_count, index + 1, __ATOMIC_RELEASE);
}

/* Whether the file reaches as far as this mapping, without a fault if it does not: the kernel reads a mask from the
 * address, and refuses the call for its first argument otherwise. */
static bool readable(const char *address) {
  return syscall(SYS_rt_sigprocmask, -1, address, NULL, sizeof(uint64_t)) == -1 && errno != EFAULT;
}

/*
 * For a program that has no descriptor left, lives in another root by now, or whose file lost its name: the mapping of
 * the segment before is mapped once more, and longer. False when the address space has no room.
 */
static bool map_without_file(struct hami_region *region) {
  for (uint32_t i = region->segment_count; i < announced(region); i++) {
    char *both = mremap(region->segments[i - 1], 0, 2 * (size_t)region->segment_bytes, MREMAP_MAYMOVE);
    if (both == MAP_FAILED) {
      return false;
    }
    char *segment = both + region->segment_bytes;
    (void)munmap(both, region->segment_bytes);
    if (!readable(segment) || !readable(segment + region->segment_bytes - sizeof(uint64_t))) {
      (void)munmap(segment, region->segment_bytes);
      return true; /* announced, and not there */
    }
    add_segment(region, i, segment);
  }
  return true;
}

static bool map_announced(struct hami_region *region) {
  struct stat found;
  int fd = reopen(region, &found);
  if (fd < 0) {
    return map_without_file(region);
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
      add_segment(region, i, segment);
    }
  }
  (void)hami_sys_close(fd);
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
    } else if (seen_count < HAMI_REGION_MAX_SEGMENTS && hami_region_extend(region->effects, fd, size)) {
      HAMI_TEST_POINT("region.extended");
      /* Losing to another process is as good: it announced the same segment. */
      (void)__atomic_compare_exchange_n(&region->header->segment_count, &count, seen_count + 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED);
      HAMI_TEST_POINT("region.announced");
      grown = announced(region) > seen_count;
    }
    (void)hami_sys_close(fd);
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
