/* CUDA's table over a driver that lacks most of it, and NVML's names out of libixml. Run inside a share of 1000 MiB. */
#include <dlfcn.h>
#include <unistd.h>

#include "nvidia/src/vendor.h"

#include "fake/card/card.h"
#include "tests/interpose/paths.h"

static int get_plain(uint64_t bytes, struct held *held) { return cuMemAlloc_v2((CUdeviceptr *)&held->pointer, bytes); }
static int put_plain(struct held *held) { return cuMemFree_v2((CUdeviceptr)(uintptr_t)held->pointer); }

static int get_managed(uint64_t bytes, struct held *held) {
  return cuMemAllocManaged((CUdeviceptr *)&held->pointer, bytes, CU_MEM_ATTACH_GLOBAL);
}

static int get_pitched(uint64_t bytes, struct held *held) {
  size_t pitch = 0;
  return cuMemAllocPitch_v2((CUdeviceptr *)&held->pointer, &pitch, 1000, bytes / 1024 + 1, 4);
}

static const struct path paths[] = {
    {"cuMemAlloc", get_plain, put_plain},
    {"cuMemAllocManaged", get_managed, put_plain},
    {"cuMemAllocPitch", get_pitched, put_plain},
};

static void info(uint64_t *free_bytes, uint64_t *total_bytes) {
  nvmlDevice_t device = NULL;
  nvmlMemory_t memory;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(free_bytes, total_bytes));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(0, &device));
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetMemoryInfo(device, &memory));
  CHECK_EQUAL(*total_bytes, memory.total);
  CHECK_EQUAL(*total_bytes - *free_bytes, memory.used);
}

static void processes_are_the_containers_own(void) {
  CUdeviceptr pointer;
  nvmlDevice_t device = NULL;
  unsigned int count = 4;
  nvmlProcessInfo_v1_t processes[4];
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 100 * MIB));
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(0, &device));
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetComputeRunningProcesses(device, &count, processes));
  CHECK_EQUAL(1, count);
  CHECK_EQUAL(getpid(), processes[0].pid);
  CHECK_EQUAL(100 * MIB, processes[0].usedGpuMemory);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
}

static void what_the_driver_lacks_stays_missing(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  CHECK(library != NULL);
  CHECK(dlsym(library, "cuMemCreate") == NULL);
  CHECK(dlsym(library, "cuGetProcAddress_v2") == NULL);
}

int main(int argc, char **argv) {
  const struct vendor_under_test vendor = {.paths = paths,
                                           .count = sizeof paths / sizeof paths[0],
                                           .out_of_memory = CUDA_ERROR_OUT_OF_MEMORY,
                                           .refused = CUDA_ERROR_UNKNOWN,
                                           .info = info};
  if (argc > 1) {
    return schedules_of_paths(&vendor, argc, argv);
  }
  paths_check(&vendor);
  races_check(&vendor);
  RUN(processes_are_the_containers_own);
  RUN(what_the_driver_lacks_stays_missing);
  return 0;
}
