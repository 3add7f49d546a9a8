/*
 * The limits come from a file that the program cannot change, HAMI_LIMITS_FIXED_PATH. Whatever it writes where it can
 * write, and whatever it leaves out of its environment, it is held to 1000 MiB. FOLDER is where the region is.
 *
 * With the argument "stripped" the program replaces itself by one that the loader starts with nothing of the share in
 * its environment, as /etc/ld.so.preload does in a container.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/live_limits.h"
#include "hami_region_layout.h"
#include "share.h"

static char region[512];

static CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  return cuMemCreate(handle, bytes, &props, 0);
}

static void be_held(void) {
  CUmemGenericAllocationHandle first;
  CUmemGenericAllocationHandle second;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(CUDA_SUCCESS, create(&first, 600 * MIB));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&second, 600 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(first));
  CHECK_EQUAL(CUDA_SUCCESS, create(&first, 1000 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(first));
}

static void in_child(void (*work)(void)) {
  int status;
  (void)fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    work();
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(0, status);
}

static void the_limits_file_cannot_be_changed_or_replaced(void) {
  char other[560];
  CHECK(open(HAMI_LIMITS_FIXED_PATH, O_RDWR) < 0);
  CHECK(truncate(HAMI_LIMITS_FIXED_PATH, 0) != 0);
  CHECK(chmod(HAMI_LIMITS_FIXED_PATH, 0666) != 0);
  (void)snprintf(other, sizeof other, "%s.other", region);
  FILE *file = fopen(other, "w");
  CHECK(file != NULL && fputs("hami-limits 1\n", file) >= 0 && fclose(file) == 0);
  CHECK(rename(other, HAMI_LIMITS_FIXED_PATH) != 0);
  CHECK(unlink(HAMI_LIMITS_FIXED_PATH) != 0);
  in_child(be_held);
}

static void name_other_limits(void) {
  char other[560];
  (void)snprintf(other, sizeof other, "%s.limits", region);
  FILE *file = fopen(other, "w");
  CHECK(file != NULL);
  (void)fprintf(file, "hami-limits 1\ncore-policy disable\ndevice %s memory_mib=40000\n", getenv("DEVICE"));
  CHECK(fclose(file) == 0);
  (void)setenv("HAMI_LIMITS_FILE", other, 1);
  (void)setenv("CUDA_DEVICE_MEMORY_LIMIT", "40000m", 1);
  (void)setenv("CUDA_DEVICE_MEMORY_LIMIT_0", "0", 1);
  (void)setenv("CUDA_OVERSUBSCRIBE", "true", 1);
  (void)setenv("CUDA_DISABLE_CONTROL", "true", 1);
  be_held();
}

static void the_environment_raises_nothing(void) { in_child(name_other_limits); }

static void hold_and_overwrite(unsigned char byte) {
  CUmemGenericAllocationHandle held;
  CUmemGenericAllocationHandle more;
  struct stat found;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(CUDA_SUCCESS, create(&held, 600 * MIB));
  int fd = open(region, O_RDWR);
  CHECK(fd >= 0 && fstat(fd, &found) == 0);
  char *bytes = mmap(NULL, (size_t)found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(bytes != MAP_FAILED);
  memset(bytes + sizeof(struct hami_region_header), byte, (size_t)found.st_size - sizeof(struct hami_region_header));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&more, 600 * MIB));
  memset(bytes, byte, (size_t)found.st_size);
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&more, 600 * MIB));
  CHECK(unlink(region) == 0);
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&more, 600 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(held));
}

static void overwrite_with_zeros(void) { hold_and_overwrite(0); }
static void overwrite_with_ones(void) { hold_and_overwrite(0xff); }

static void the_region_raises_nothing(void) {
  in_child(overwrite_with_zeros);
  in_child(overwrite_with_ones);
  in_child(be_held);
}

/* The same program, started by the loader with the machine in its environment and nothing else. */
static void strip(const char *program) {
  Dl_info loader;
  char machine[600];
  char state[600];
  char sanitizer[600];
  char leaks[600];
  CHECK(dladdr((void *)(uintptr_t)getauxval(AT_BASE), &loader) != 0);
  (void)snprintf(machine, sizeof machine, "HAMI_FAKE_MACHINE=%s", getenv("HAMI_FAKE_MACHINE"));
  (void)snprintf(state, sizeof state, "HAMI_FAKE_STATE=%s", getenv("HAMI_FAKE_STATE"));
  /* Nothing of the share: what run.py sets for programs built with a sanitizer. */
  (void)snprintf(sanitizer, sizeof sanitizer, "ASAN_OPTIONS=%s", getenv("ASAN_OPTIONS"));
  (void)snprintf(leaks, sizeof leaks, "LSAN_OPTIONS=%s", getenv("LSAN_OPTIONS"));
  char *const environment[] = {machine, state, sanitizer, leaks, NULL};
  (void)execle(loader.dli_fname, loader.dli_fname, "--library-path", getenv("LD_LIBRARY_PATH"), "--preload",
               getenv("LD_PRELOAD"), program, "held", (char *)NULL, environment);
  fprintf(stderr, "%s: %s\n", loader.dli_fname, strerror(errno));
  exit(1);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "stripped") == 0) {
    strip(argv[0]);
  }
  if (argc > 1 && strcmp(argv[1], "held") == 0) {
    CHECK(getenv("LD_PRELOAD") == NULL && getenv("HAMI_LIMITS_FILE") == NULL);
    be_held();
    return 0;
  }
  CHECK(getenv("FOLDER") != NULL && getenv("DEVICE") != NULL);
  (void)snprintf(region, sizeof region, "%s/region", getenv("FOLDER"));
  RUN(the_limits_file_cannot_be_changed_or_replaced);
  RUN(the_environment_raises_nothing);
  RUN(the_region_raises_nothing);
  return 0;
}
