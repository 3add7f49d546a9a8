/* What a program is told about memory: the share, the same from every side. Run inside a share of 1000 MiB. */
#include <unistd.h>

#include "share.h"

static void null_pointers_are_the_drivers_business(void) {
  size_t available = 0;
  size_t total = 0;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  size_t alone = 0;
  CUresult without_total = cuMemGetInfo_v2(&alone, NULL);
  CHECK(without_total != CUDA_SUCCESS || alone == available);
  CUresult without_free = cuMemGetInfo_v2(NULL, &alone);
  CHECK(without_free != CUDA_SUCCESS || alone == total);
  (void)cuMemGetInfo_v2(NULL, NULL);
  CHECK(cuDeviceTotalMem_v2(NULL, 0) != CUDA_SUCCESS);
  CHECK(cuMemAlloc_v2(NULL, 512) != CUDA_SUCCESS);
  CHECK(cuMemAllocAsync(NULL, 512, NULL) != CUDA_SUCCESS);
  CHECK(cuMemCreate(NULL, 2 * MIB, NULL, 0) != CUDA_SUCCESS);
  CHECK(cuArrayCreate_v2(NULL, NULL) != CUDA_SUCCESS);
  CHECK(cuMemAllocManaged(NULL, 512, CU_MEM_ATTACH_GLOBAL) != CUDA_SUCCESS);
  CHECK(nvmlDeviceGetMemoryInfo(NULL, NULL) != NVML_SUCCESS);
}

static void every_side_shows_the_same(void) {
  CUdeviceptr pointer;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 300 * MIB));
  size_t available;
  size_t total;
  size_t device_total;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  CHECK_EQUAL(CUDA_SUCCESS, cuDeviceTotalMem_v2(&device_total, 0));
  CHECK_EQUAL(1000 * MIB, total);
  CHECK_EQUAL(total, device_total);
  CHECK_EQUAL(total, share_total());
  CHECK_EQUAL(available, share_free());
  CHECK_EQUAL(total - available, share_used());
  nvmlDevice_t device;
  nvmlMemory_v2_t memory = {.version = nvmlMemory_v2};
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(0, &device));
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetMemoryInfo_v2(device, &memory));
  CHECK_EQUAL(total, memory.total);
  CHECK_EQUAL(available, memory.free);
  CHECK_EQUAL(memory.total, memory.reserved + memory.used + memory.free);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
}

static void an_unknown_struct_version_is_the_drivers_business(void) {
  nvmlDevice_t device;
  nvmlMemory_v2_t memory = {.version = 77};
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(0, &device));
  CHECK_EQUAL(NVML_ERROR_ARGUMENT_VERSION_MISMATCH, nvmlDeviceGetMemoryInfo_v2(device, &memory));
}

static void huge_sizes_are_refused_and_wrap_nothing(void) {
  CUdeviceptr pointer;
  size_t pitch;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&pointer, SIZE_MAX));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&pointer, SIZE_MAX - 511));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocPitch_v2(&pointer, &pitch, SIZE_MAX, SIZE_MAX, 4));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocPitch_v2(&pointer, &pitch, 1ULL << 40, 1ULL << 40, 4));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocAsync(&pointer, SIZE_MAX, NULL));
  CHECK_EQUAL(before, share_used());
}

static void wrong_frees_get_the_drivers_answer(void) {
  CUdeviceptr pointer;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(pointer));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(pointer + 1));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(12345));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(0));
  CHECK_EQUAL(before, share_used());
}

static void process_lists_hold_this_containers_processes(void) {
  nvmlDevice_t device;
  nvmlProcessInfo_t infos[8];
  nvmlProcessInfo_v1_t old_infos[8];
  unsigned int count = 8;
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(0, &device));
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetComputeRunningProcesses_v3(device, &count, infos));
  CHECK_EQUAL(1, count);
  CHECK_EQUAL(getpid(), infos[0].pid);
  CHECK_EQUAL(share_used(), infos[0].usedGpuMemory);
  CHECK_EQUAL(0xFFFFFFFF, infos[0].gpuInstanceId);
  count = 8;
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetComputeRunningProcesses(device, &count, old_infos));
  CHECK_EQUAL(getpid(), old_infos[0].pid);
  count = 0;
  CHECK_EQUAL(NVML_ERROR_INSUFFICIENT_SIZE, nvmlDeviceGetComputeRunningProcesses_v2(device, &count, NULL));
  CHECK_EQUAL(1, count);
  count = 8;
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetGraphicsRunningProcesses_v3(device, &count, infos));
  CHECK_EQUAL(0, count);
  CHECK_EQUAL(NVML_ERROR_INVALID_ARGUMENT, nvmlDeviceGetComputeRunningProcesses_v3(device, NULL, infos));
}

static void a_context_is_counted_and_takes_what_it_owns_with_it(void) {
  CUcontext context;
  CUdeviceptr pointer;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxCreate_v2(&context, 0, 0));
  uint64_t with_context = share_used();
  CHECK(with_context > before);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 100 * MIB));
  CHECK_EQUAL(with_context + 100 * MIB, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxDestroy_v2(context));
  CHECK_EQUAL(before, share_used());
}

static void resetting_the_primary_context_gives_all_of_it_back(void) {
  CUcontext context;
  CUdeviceptr pointer;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 100 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxReset_v2(0));
  CHECK_EQUAL(0, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&context, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
  CHECK(share_used() > 0);
}

static void a_primary_context_retained_again_after_a_reset_ends_with_its_release(void) {
  CUcontext context;
  CUdeviceptr pointer;
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxReset_v2(0)); /* and with it what was retained before */
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&context, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 100 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRelease_v2(0));
  CHECK_EQUAL(0, device_used());
  CHECK_EQUAL(0, share_used());
}

int main(void) {
  (void)share_open();
  RUN(null_pointers_are_the_drivers_business);
  RUN(every_side_shows_the_same);
  RUN(an_unknown_struct_version_is_the_drivers_business);
  RUN(huge_sizes_are_refused_and_wrap_nothing);
  RUN(wrong_frees_get_the_drivers_answer);
  RUN(process_lists_hold_this_containers_processes);
  RUN(a_context_is_counted_and_takes_what_it_owns_with_it);
  RUN(resetting_the_primary_context_gives_all_of_it_back);
  RUN(a_primary_context_retained_again_after_a_reset_ends_with_its_release);
  return 0;
}
