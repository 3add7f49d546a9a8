/*
 * The driver refuses the call named on the command line (HAMI_FAKE_FAULTS makes it fail): the program gets the driver's
 * own code, and the books are as before. Run inside a share of 1000 MiB.
 */
#include "share.h"

static CUresult refused(const char *call) {
  CUdeviceptr pointer = 0;
  CUmemGenericAllocationHandle handle;
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUDA_ARRAY_DESCRIPTOR shape = {.Width = 1024, .Height = 1024, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
  CUarray array;
  size_t pitch;
  if (strcmp(call, "cuMemAlloc_v2") == 0) {
    return cuMemAlloc_v2(&pointer, 10 * MIB);
  }
  if (strcmp(call, "cuMemAllocManaged") == 0) {
    return cuMemAllocManaged(&pointer, 10 * MIB, CU_MEM_ATTACH_GLOBAL);
  }
  if (strcmp(call, "cuMemAllocPitch_v2") == 0) {
    return cuMemAllocPitch_v2(&pointer, &pitch, 1000, 1000, 4);
  }
  if (strcmp(call, "cuMemAllocAsync") == 0) {
    return cuMemAllocAsync(&pointer, 10 * MIB, NULL);
  }
  if (strcmp(call, "cuMemCreate") == 0) {
    return cuMemCreate(&handle, 10 * MIB, &props, 0);
  }
  if (strcmp(call, "cuArrayCreate_v2") == 0) {
    return cuArrayCreate_v2(&array, &shape);
  }
  if (strcmp(call, "cuMemFree_v2") == 0) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 10 * MIB));
    uint64_t held = share_used();
    CUresult result = cuMemFree_v2(pointer);
    CHECK_EQUAL(held, share_used()); /* not freed, so still counted */
    CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
    return result;
  }
  if (strcmp(call, "cuMemRelease") == 0) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemCreate(&handle, 10 * MIB, &props, 0));
    uint64_t held = share_used();
    CUresult result = cuMemRelease(handle);
    CHECK_EQUAL(held, share_used());
    CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
    return result;
  }
  fprintf(stderr, "%s: no such call here\n", call);
  exit(2);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  (void)share_open();
  uint64_t before = share_used();
  uint64_t held_before = device_used();
  CHECK_EQUAL(strtoul(argv[2], NULL, 10), refused(argv[1]));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(held_before, device_used());
  return 0;
}
