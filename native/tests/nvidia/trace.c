/*
 * A fixed sequence of calls with every answer printed, handles and addresses as the order in which they first appeared.
 * Two runs that print the same saw the same driver.
 */
#include <errno.h>
#include <sys/stat.h>

#include "share.h"

static void say(const char *what, CUresult result, uint64_t value) {
  printf("%s %d %llu errno %d\n", what, (int)result, (unsigned long long)value, errno);
}

static void memory(void) {
  CUdeviceptr pointer = 0;
  size_t available = 0;
  size_t total = 0;
  size_t pitch = 0;
  const size_t sizes[] = {0, 1, 512, 2 * MIB, 40000 * MIB, SIZE_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    CUresult result = cuMemAlloc_v2(&pointer, sizes[i]);
    say("cuMemAlloc", result, sizes[i]);
    say("cuMemGetInfo", cuMemGetInfo_v2(&available, &total), available);
    if (result == CUDA_SUCCESS) {
      say("cuMemFree", cuMemFree_v2(pointer), total);
      say("cuMemFree again", cuMemFree_v2(pointer), 0);
    }
  }
  say("cuMemAllocPitch", cuMemAllocPitch_v2(&pointer, &pitch, 1000, 10, 4), pitch);
  say("cuMemFree", cuMemFree_v2(pointer), 0);
  say("cuMemAllocAsync", cuMemAllocAsync(&pointer, 3 * MIB, NULL), 0);
  say("cuMemFreeAsync", cuMemFreeAsync(pointer, NULL), 0);
  say("cuStreamSynchronize", cuStreamSynchronize(NULL), 0);
  say("cuDeviceTotalMem", cuDeviceTotalMem_v2(&total, 0), total);
  say("cuDeviceTotalMem of none", cuDeviceTotalMem_v2(&total, 77), 0);
}

static void lookups(void) {
  const char *const symbols[] = {"cuMemAlloc", "cuLaunchKernel", "cuCtxCreate", "cuNoSuchFunction"};
  for (size_t i = 0; i < 4; i++) {
    void *found = NULL;
    CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
    CUresult result = cuGetProcAddress_v2(symbols[i], &found, 12000, 0, &status);
    say(symbols[i], result, (uint64_t)status * 2 + (found != NULL));
  }
}

static void nvml(void) {
  nvmlDevice_t device;
  nvmlMemory_v2_t info = {.version = nvmlMemory_v2};
  unsigned int count = 0;
  printf("%d %d\n", (int)nvmlInit_v2(), (int)nvmlDeviceGetHandleByIndex_v2(0, &device));
  printf("%d %llu %llu\n", (int)nvmlDeviceGetMemoryInfo_v2(device, &info), info.total, info.reserved);
  printf("%d %u\n", (int)nvmlDeviceGetComputeRunningProcesses_v3(device, &count, NULL), count);
}

int main(void) {
  mode_t mask = umask(077);
  printf("umask %o\n", (unsigned int)mask);
  (void)umask(mask);
  errno = 0;
  (void)share_open();
  memory();
  lookups();
  nvml();
  CUfunction kernel = share_kernel(1000);
  say("launch", share_launch(kernel, NULL), 0);
  say("launch of nothing", cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), 0);
  say("synchronise", cuCtxSynchronize(), 0);
  mask = umask(077);
  printf("umask %o\n", (unsigned int)mask);
  return 0;
}
