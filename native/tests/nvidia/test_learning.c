/* What the processes of a container learn from each other's launches. In a share of 50 percent of each card. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hami_region_layout.h"
#include "share.h"

#define KERNEL_NS 20000000ULL

/* The region's record of a device, as everybody sees it. */
static const struct hami_region_device *record_of(int device) {
  static const char *region;
  if (region == NULL) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s", getenv("HAMI_LIMITS_FILE"));
    strcpy(strrchr(path, '/'), "/region");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    region = mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(region != MAP_FAILED);
    (void)close(fd);
  }
  uint32_t distance = ((const struct hami_region_header *)(const void *)region)->device_bytes;
  return (const void *)(region + HAMI_REGION_DEVICE_OFFSET + (size_t)device * distance);
}

static void who_has_waited_for_the_device_has_told_the_others(void) {
  CUfunction kernel = share_kernel(KERNEL_NS);
  CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, NULL));
  CHECK_EQUAL(0, record_of(0)->typical_ns);
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(NULL));
  CHECK(record_of(0)->typical_ns >= KERNEL_NS);
  CHECK(record_of(0)->busy_ns >= KERNEL_NS);
}

static void each_card_pays_for_its_part_of_a_launch_on_several(void) {
  CUDA_LAUNCH_PARAMS parts[2];
  uint64_t before_ns[2];
  CUcontext contexts[2];
  for (unsigned int i = 0; i < 2; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&contexts[i], (int)i));
    CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(contexts[i]));
    parts[i] = (CUDA_LAUNCH_PARAMS){.function = share_kernel(KERNEL_NS * (i + 1U)),
                                    .gridDimX = 1,
                                    .gridDimY = 1,
                                    .gridDimZ = 1,
                                    .blockDimX = 32,
                                    .blockDimY = 1,
                                    .blockDimZ = 1};
    CHECK_EQUAL(CUDA_SUCCESS, cuStreamCreate(&parts[i].hStream, CU_STREAM_NON_BLOCKING));
    before_ns[i] = record_of((int)i)->busy_ns;
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(contexts[0]));
  CHECK_EQUAL(CUDA_SUCCESS, cuLaunchCooperativeKernelMultiDevice(parts, 2, 0));
  CUcontext current = NULL;
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxGetCurrent(&current));
  CHECK(current == contexts[0]);
  for (unsigned int i = 0; i < 2; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(parts[i].hStream));
  }
  for (unsigned int i = 0; i < 2; i++) {
    uint64_t used_ns = record_of((int)i)->busy_ns - before_ns[i];
    CHECK(used_ns >= KERNEL_NS * (i + 1U));
    CHECK(used_ns < KERNEL_NS * (i + 2U));
  }
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuLaunchCooperativeKernelMultiDevice(NULL, 2, 0));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuLaunchCooperativeKernelMultiDevice(parts, 0, 0));
}

int main(void) {
  (void)share_open();
  RUN(who_has_waited_for_the_device_has_told_the_others);
  RUN(each_card_pays_for_its_part_of_a_launch_on_several);
  return 0;
}
