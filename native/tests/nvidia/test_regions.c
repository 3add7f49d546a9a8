/*
 * Whatever lies where the region should be: no program is taken down by it, and every program is held to the share by
 * its own books at least. Run inside a share of 1000 MiB.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/region.h"
#include "share.h"

static const char *region(void) {
  static char path[512];
  (void)snprintf(path, sizeof path, "%s", getenv("HAMI_LIMITS_FILE"));
  strcpy(strrchr(path, '/'), "/region");
  return path;
}

static CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  return cuMemCreate(handle, bytes, &props, 0);
}

static void use_memory(void) {
  CUmemGenericAllocationHandle first;
  CUmemGenericAllocationHandle second;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  CHECK_EQUAL(CUDA_SUCCESS, create(&first, 600 * MIB));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&second, 600 * MIB));
  CHECK_EQUAL(600 * MIB, share_used());
  CHECK_EQUAL(1000 * MIB, share_total());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(first));
  CHECK_EQUAL(CUDA_SUCCESS, create(&second, 1000 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(second));
}

/* In a process of its own; it ends by itself, whatever it found. */
static void expect_held(void) {
  int status;
  (void)fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    use_memory();
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(0, status);
}

static void clear(void) {
  if (unlink(region()) != 0) {
    (void)rmdir(region());
  }
}

static void write_file(const void *bytes, size_t length) {
  clear();
  int fd = open(region(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CHECK(fd >= 0 && write(fd, bytes, length) == (ssize_t)length && close(fd) == 0);
}

/* A region that was in order until it was changed. */
static void change(size_t at, const void *bytes, size_t length) {
  clear();
  expect_held();
  int fd = open(region(), O_WRONLY);
  CHECK(fd >= 0 && pwrite(fd, bytes, length, (off_t)at) == (ssize_t)length && close(fd) == 0);
}

static void change_u32(size_t at, uint32_t value) { change(at, &value, sizeof value); }

static void something_else_in_its_place(void) {
  static const char zeros[1 << 18];
  static const char text[] = "a text of somebody's that is longer than a header's magic number";
  write_file("", 0);
  expect_held();
  write_file(text, sizeof text);
  expect_held();
  write_file(zeros, sizeof zeros);
  expect_held();
  clear();
  CHECK(mkdir(region(), 0700) == 0);
  expect_held();
  clear();
  CHECK(mkfifo(region(), 0600) == 0);
  expect_held();
  clear();
  CHECK(symlink("/etc/hostname", region()) == 0);
  expect_held();
}

static void a_region_cut_short(void) {
  struct stat found;
  clear();
  expect_held();
  CHECK(stat(region(), &found) == 0);
  for (off_t size = 0; size < found.st_size; size += found.st_size / 7) {
    CHECK(truncate(region(), size) == 0);
    expect_held();
    clear();
    expect_held();
  }
}

static void another_version(void) {
  change_u32(offsetof(struct hami_region_header, major), HAMI_REGION_VERSION_MAJOR + 1);
  expect_held();
  change_u32(offsetof(struct hami_region_header, major), 0);
  expect_held();
  change_u32(offsetof(struct hami_region_header, minor), 99);
  expect_held();
  change(offsetof(struct hami_region_header, boot_id), "another boot 16", 16);
  expect_held();
}

static void sizes_that_lie(void) {
  static const size_t fields[] = {
      offsetof(struct hami_region_header, head_bytes),      offsetof(struct hami_region_header, device_bytes),
      offsetof(struct hami_region_header, device_capacity), offsetof(struct hami_region_header, segment_bytes),
      offsetof(struct hami_region_header, segment_count),   offsetof(struct hami_region_header, device_count),
  };
  static const uint32_t lies[] = {0, 1, 4096, 65536, 0x7fffffff, UINT32_MAX};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    for (size_t j = 0; j < sizeof lies / sizeof *lies; j++) {
      change_u32(fields[i], lies[j]);
      expect_held();
    }
  }
}

/* Not for root, which may write any file: then this is one more region in order. */
static void a_region_that_may_not_be_written(void) {
  clear();
  expect_held();
  CHECK(chmod(region(), 0444) == 0);
  expect_held();
  CHECK(chmod(region(), 0) == 0);
  expect_held();
}

int main(void) {
  RUN(something_else_in_its_place);
  RUN(a_region_cut_short);
  RUN(another_version);
  RUN(sizes_that_lie);
  RUN(a_region_that_may_not_be_written);
  return 0;
}
