/* The libcuda double: where managed memory lies, and what its use costs on a bus of 1000 MiB/s. Time stands still
 * unless somebody waits, so every duration is exact. */
#include <dlfcn.h>

#include "common/machine.h"
#include "tests/core/check.h"

#define __CUDA_API_VERSION_INTERNAL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cuda.h>
#pragma GCC diagnostic pop

static void *driver;
static CUfunction kernel;

#define REAL(name) ((__typeof__(&(name)))(uintptr_t)dlsym(driver, #name))
#define OK(call) CHECK_EQUAL(CUDA_SUCCESS, (call))

static size_t free_mib(void) {
  size_t free_now = 0;
  OK(REAL(cuMemGetInfo_v2)(&free_now, NULL));
  return free_now / FAKE_MIB;
}

static CUdeviceptr managed(size_t mib) {
  CUdeviceptr pointer = 0;
  OK(REAL(cuMemAllocManaged)(&pointer, mib * FAKE_MIB, CU_MEM_ATTACH_GLOBAL));
  return pointer;
}

static CUresult launch(CUdeviceptr data) {
  void *arguments[] = {&data};
  return REAL(cuLaunchKernel)(kernel, 1, 1, 1, 32, 1, 1, 0, NULL, arguments, NULL);
}

/* What crosses the bus for a kernel that uses the block. */
static uint64_t crossing_mib(CUdeviceptr data) {
  uint64_t (*now_ns)(void) = (uint64_t (*)(void))(uintptr_t)dlsym(driver, "hami_fake_now_ns");
  OK(REAL(cuCtxSynchronize)());
  uint64_t began_ns = now_ns();
  OK(launch(data));
  OK(REAL(cuCtxSynchronize)());
  return (now_ns() - began_ns) / 1000000; /* one MiB takes a millisecond; the kernel itself a microsecond */
}

static void test_memory_on_the_card_costs_nothing(void) {
  CUdeviceptr block = managed(100);
  CHECK_EQUAL(0, crossing_mib(block));
  CHECK_EQUAL(0, crossing_mib(block + 4096)); /* a pointer into it means it, too */
  OK(REAL(cuMemFree_v2)(block));
}

static void test_memory_moves_to_the_card_and_pushes_out_what_was_used_longest_ago(void) {
  size_t room = free_mib();
  CUdeviceptr first = managed(room - 100);
  CUdeviceptr second = managed(100);
  CUdeviceptr third = managed(50);
  CHECK_EQUAL(0, free_mib());
  CHECK_EQUAL(0, crossing_mib(first));
  CHECK_EQUAL(150, crossing_mib(third)); /* it comes, the second goes */
  CHECK_EQUAL(50, free_mib());
  CHECK_EQUAL(100 + room - 100, crossing_mib(second));
  CHECK_EQUAL(0, crossing_mib(third));
  CHECK_EQUAL(0, crossing_mib(second));
  OK(REAL(cuMemFree_v2)(first));
  OK(REAL(cuMemFree_v2)(second));
  OK(REAL(cuMemFree_v2)(third));
  CHECK_EQUAL(room, free_mib());
}

static void test_a_block_larger_than_its_room_crosses_twice_each_time(void) {
  size_t room = free_mib();
  CUdeviceptr block = managed(room + 200);
  CHECK_EQUAL(2 * (room + 200), crossing_mib(block));
  CHECK_EQUAL(2 * (room + 200), crossing_mib(block));
  OK(REAL(cuMemFree_v2)(block));
}

static void test_memory_that_prefers_the_host_stays_there(void) {
  size_t room = free_mib();
  CUdeviceptr filling = 0;
  CUdeviceptr block = managed(100);
  OK(REAL(cuMemAdvise)(block, 100 * FAKE_MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, CU_DEVICE_CPU));
  OK(REAL(cuMemAdvise)(block, 100 * FAKE_MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0));
  CHECK_EQUAL(room, free_mib());
  OK(REAL(cuMemAlloc_v2)(&filling, room * FAKE_MIB));
  CHECK_EQUAL(100, crossing_mib(block));
  CHECK_EQUAL(100, crossing_mib(block));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE,
              REAL(cuMemAdvise)(filling, FAKE_MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0)); /* no managed memory */
  OK(REAL(cuMemFree_v2)(filling));
  OK(REAL(cuMemAdvise)(block, 100 * FAKE_MIB, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION, CU_DEVICE_CPU));
  CHECK_EQUAL(100, crossing_mib(block)); /* comes to the card */
  CHECK_EQUAL(0, crossing_mib(block));
  OK(REAL(cuMemFree_v2)(block));
}

static void test_a_card_without_a_page_for_it_ends_the_kernel(void) {
  CUdeviceptr filling = 0;
  OK(REAL(cuMemAlloc_v2)(&filling, free_mib() * FAKE_MIB));
  CUdeviceptr block = managed(100);
  CHECK_EQUAL(CUDA_ERROR_ILLEGAL_ADDRESS, launch(block));
  OK(REAL(cuMemFree_v2)(filling));
  CHECK_EQUAL(100, crossing_mib(block));
  OK(REAL(cuMemFree_v2)(block));
}

static void test_mapped_host_memory_crosses_each_time(void) {
  const size_t bytes = 64 * FAKE_MIB;
  CUmemAllocationProp host = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                              .location = {.type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = 0}};
  CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CUmemGenericAllocationHandle handle = 0;
  CUdeviceptr address = 0;
  size_t room = free_mib();
  OK(REAL(cuMemCreate)(&handle, bytes, &host, 0));
  OK(REAL(cuMemAddressReserve)(&address, bytes, 0, 0, 0));
  OK(REAL(cuMemMap)(address, bytes, 0, handle, 0));
  OK(REAL(cuMemSetAccess)(address, bytes, &access, 1));
  CHECK_EQUAL(room, free_mib());
  CHECK_EQUAL(64, crossing_mib(address));
  OK(REAL(cuMemUnmap)(address, bytes));
  OK(REAL(cuMemRelease)(handle));
  OK(REAL(cuMemAddressFree)(address, bytes));
}

static void test_a_stream_frees_no_managed_memory(void) {
  CUdeviceptr block = managed(1);
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, REAL(cuMemFreeAsync)(block, NULL));
  OK(REAL(cuMemFree_v2)(block));
}

static void test_an_allocation_ends_a_global_capture_unless_the_thread_is_relaxed(void) {
  CUstream stream = NULL;
  CUgraph graph = NULL;
  CUdeviceptr pointer = 0;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  OK(REAL(cuStreamCreate)(&stream, CU_STREAM_NON_BLOCKING));
  OK(REAL(cuStreamBeginCapture_v2)(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  OK(REAL(cuThreadExchangeStreamCaptureMode)(&mode));
  OK(REAL(cuMemAlloc_v2)(&pointer, FAKE_MIB));
  OK(REAL(cuMemFree_v2)(pointer));
  OK(REAL(cuThreadExchangeStreamCaptureMode)(&mode));
  OK(REAL(cuStreamEndCapture)(stream, &graph));
  OK(REAL(cuGraphDestroy)(graph));
  OK(REAL(cuStreamBeginCapture_v2)(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  CHECK_EQUAL(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, REAL(cuMemAllocManaged)(&pointer, 1, CU_MEM_ATTACH_GLOBAL));
  CHECK(REAL(cuStreamEndCapture)(stream, &graph) != CUDA_SUCCESS);
  OK(REAL(cuStreamDestroy_v2)(stream));
}

int main(void) {
  static const char ptx[] =
      ".version 8.0\n.target sm_80\n// hami-fake: ns=1000\n.visible .entry use(.param .u64 data) { ret; }\n";
  char path[] = "/tmp/hami-fake-machine-XXXXXX";
  int fd = mkstemp(path);
  FILE *file = fdopen(fd, "w");
  CUcontext context = NULL;
  CUmodule module = NULL;
  fputs("{\"cuda_version\": 13000, \"devices\": [{\"uuid\": \"GPU-1\", \"model\": \"M\", \"memory_mib\": 1000,"
        " \"context_mib\": 50, \"multiprocessors\": 4, \"compute_capability\": [8, 6]}]}",
        file);
  fclose(file);
  setenv("HAMI_FAKE_MACHINE", path, 1);
  setenv("HAMI_FAKE_TIME_SCALE", "0", 1);
  setenv("HAMI_FAKE_BUS_MIB_PER_S", "1000", 1);
  unsetenv("HAMI_FAKE_STATE");
  driver = dlopen(FAKE_CUDA, RTLD_NOW);
  CHECK(driver != NULL);
  OK(REAL(cuInit)(0));
  remove(path);
  OK(REAL(cuDevicePrimaryCtxRetain)(&context, 0));
  OK(REAL(cuCtxSetCurrent)(context));
  OK(REAL(cuModuleLoadData)(&module, ptx));
  OK(REAL(cuModuleGetFunction)(&kernel, module, "use"));
  RUN(test_memory_on_the_card_costs_nothing);
  RUN(test_memory_moves_to_the_card_and_pushes_out_what_was_used_longest_ago);
  RUN(test_a_block_larger_than_its_room_crosses_twice_each_time);
  RUN(test_memory_that_prefers_the_host_stays_there);
  RUN(test_a_card_without_a_page_for_it_ends_the_kernel);
  RUN(test_mapped_host_memory_crosses_each_time);
  RUN(test_a_stream_frees_no_managed_memory);
  RUN(test_an_allocation_ends_a_global_capture_unless_the_thread_is_relaxed);
  return 0;
}
