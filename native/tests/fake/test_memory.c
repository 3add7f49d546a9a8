/* The libcuda double as a client sees it: memory of every kind is counted, and given back. */
#include <dlfcn.h>

#include "common/machine.h"
#include "tests/core/check.h"

#define __CUDA_API_VERSION_INTERNAL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cuda.h>
#pragma GCC diagnostic pop

static void *driver;

#define REAL(name) ((__typeof__(&(name)))(uintptr_t)dlsym(driver, #name))
#define OK(call) CHECK_EQUAL(CUDA_SUCCESS, (call))

static size_t free_bytes(void) {
  size_t free_now = 0;
  OK(REAL(cuMemGetInfo_v2)(&free_now, NULL));
  return free_now;
}

static void test_an_allocation_takes_its_size_and_a_free_gives_it_back(void) {
  CUdeviceptr pointer = 0;
  size_t before = free_bytes();
  OK(REAL(cuMemAlloc_v2)(&pointer, 1000));
  CHECK_EQUAL(before - 1024, free_bytes());
  OK(REAL(cuMemFree_v2)(pointer));
  CHECK_EQUAL(before, free_bytes());
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, REAL(cuMemFree_v2)(pointer));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, REAL(cuMemFree_v2)(0x1234));
  OK(REAL(cuMemFree_v2)(0));
}

static void test_more_than_the_card_has_is_refused_and_changes_nothing(void) {
  CUdeviceptr pointer = 7;
  size_t before = free_bytes();
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, REAL(cuMemAlloc_v2)(&pointer, before + 1));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, REAL(cuMemAlloc_v2)(&pointer, SIZE_MAX));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, REAL(cuMemAlloc_v2)(&pointer, 0));
  CHECK_EQUAL(7, pointer);
  CHECK_EQUAL(before, free_bytes());
  OK(REAL(cuMemAlloc_v2)(&pointer, before));
  CHECK_EQUAL(0, free_bytes());
  OK(REAL(cuMemFree_v2)(pointer));
}

static void test_data_arrives_and_bounds_are_kept(void) {
  CUdeviceptr pointer = 0;
  unsigned char out[64];
  OK(REAL(cuMemAlloc_v2)(&pointer, 64));
  OK(REAL(cuMemsetD8_v2)(pointer, 0xAB, 64));
  OK(REAL(cuMemsetD32_v2)(pointer + 4, 0x01020304, 1));
  OK(REAL(cuMemcpyDtoH_v2)(out, pointer, 64));
  CHECK_EQUAL(0xAB, out[0]);
  CHECK_EQUAL(0x04, out[4]);
  CHECK_EQUAL(0x01, out[7]);
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, REAL(cuMemcpyDtoH_v2)(out, pointer + 1, 64));
  OK(REAL(cuMemFree_v2)(pointer));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, REAL(cuMemcpyDtoH_v2)(out, pointer, 1));
}

static void test_many_live_pointers_are_all_found_again(void) {
  enum { COUNT = 20000 };
  static CUdeviceptr pointers[COUNT];
  size_t before = free_bytes();
  for (size_t i = 0; i < COUNT; i++) {
    OK(REAL(cuMemAlloc_v2)(&pointers[i], 1 + i % 5000));
  }
  for (size_t i = 0; i < COUNT; i++) {
    CUdeviceptr base = 0;
    size_t size = 0;
    OK(REAL(cuMemGetAddressRange_v2)(&base, &size, pointers[i] + i % 5000));
    CHECK_EQUAL(pointers[i], base);
    CHECK_EQUAL(1 + i % 5000, size);
  }
  for (size_t i = 0; i < COUNT; i++) {
    OK(REAL(cuMemFree_v2)(pointers[(i * 7919) % COUNT]));
  }
  CHECK_EQUAL(before, free_bytes());
}

static void test_a_pool_keeps_memory_until_it_is_trimmed(void) {
  CUdeviceptr pointer = 0;
  CUmemoryPool pool = NULL;
  uint64_t value = UINT64_MAX;
  size_t before = free_bytes();
  OK(REAL(cuDeviceGetDefaultMemPool)(&pool, 0));
  OK(REAL(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &value));
  OK(REAL(cuMemAllocAsync)(&pointer, 3 << 20, NULL));
  CHECK_EQUAL(before - (4 << 20), free_bytes());
  OK(REAL(cuMemFreeAsync)(pointer, NULL));
  OK(REAL(cuStreamSynchronize)(NULL));
  CHECK_EQUAL(before - (4 << 20), free_bytes());
  OK(REAL(cuMemPoolGetAttribute)(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &value));
  CHECK_EQUAL(4 << 20, value);
  OK(REAL(cuMemPoolTrimTo)(pool, 0));
  CHECK_EQUAL(before, free_bytes());
  value = 0;
  OK(REAL(cuMemPoolSetAttribute)(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &value));
}

static void test_physical_memory_lives_while_anybody_holds_it(void) {
  const CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                          .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  const CUmemAccessDesc access = {.location = properties.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  const size_t size = 4 << 20;
  CUmemGenericAllocationHandle handle = 0;
  CUdeviceptr address = 0;
  size_t before = free_bytes();
  OK(REAL(cuMemCreate)(&handle, size, &properties, 0));
  CHECK_EQUAL(before - size, free_bytes());
  OK(REAL(cuMemAddressReserve)(&address, 2 * size, 0, 0, 0));
  OK(REAL(cuMemMap)(address, size, 0, handle, 0));
  OK(REAL(cuMemMap)(address + size, size, 0, handle, 0));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, REAL(cuMemsetD8_v2)(address, 1, 1)); /* nobody may yet */
  OK(REAL(cuMemSetAccess)(address, 2 * size, &access, 1));
  unsigned char byte = 0;
  OK(REAL(cuMemsetD8_v2)(address + 5, 77, 1));
  OK(REAL(cuMemcpyDtoH_v2)(&byte, address + size + 5, 1)); /* one memory under two addresses */
  CHECK_EQUAL(77, byte);
  OK(REAL(cuMemRelease)(handle));
  CHECK_EQUAL(before - size, free_bytes());
  OK(REAL(cuMemUnmap)(address, size));
  CHECK_EQUAL(before - size, free_bytes());
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, REAL(cuMemAddressFree)(address, 2 * size));
  OK(REAL(cuMemUnmap)(address + size, size));
  CHECK_EQUAL(before, free_bytes());
  OK(REAL(cuMemAddressFree)(address, 2 * size));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, REAL(cuMemRelease)(handle));
}

static void test_managed_memory_may_exceed_the_card(void) {
  CUdeviceptr pointer = 0;
  size_t before = free_bytes();
  OK(REAL(cuMemAllocManaged)(&pointer, before + (1 << 20), CU_MEM_ATTACH_GLOBAL));
  CHECK_EQUAL(0, free_bytes());
  *(volatile char *)(uintptr_t)pointer = 1; /* the host may write to it */
  OK(REAL(cuMemFree_v2)(pointer));
  CHECK_EQUAL(before, free_bytes());
}

static void test_an_array_takes_what_its_requirements_say(void) {
  const CUDA_ARRAY3D_DESCRIPTOR shape = {
      .Width = 100, .Height = 50, .Depth = 3, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 2};
  CUDA_ARRAY_MEMORY_REQUIREMENTS needs = {0};
  CUmipmappedArray mipmap = NULL;
  CUarray array = NULL;
  size_t before = free_bytes();
  OK(REAL(cuArray3DCreate_v2)(&array, &shape));
  OK(REAL(cuArrayGetMemoryRequirements)(&needs, array, 0));
  CHECK_EQUAL(before - needs.size, free_bytes());
  OK(REAL(cuArrayDestroy)(array));
  CHECK_EQUAL(before, free_bytes());
  OK(REAL(cuMipmappedArrayCreate)(&mipmap, &shape, 3));
  OK(REAL(cuMipmappedArrayGetMemoryRequirements)(&needs, mipmap, 0));
  CHECK_EQUAL(before - needs.size, free_bytes());
  OK(REAL(cuMipmappedArrayDestroy)(mipmap));
  CHECK_EQUAL(before, free_bytes());
}

static void test_memory_of_graph_nodes_is_taken_at_launch(void) {
  CUDA_MEM_ALLOC_NODE_PARAMS allocation = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                         .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}},
                                           .bytesize = 2 << 20};
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  CUgraphNode first = NULL;
  CUgraphNode second = NULL;
  uint64_t reserved = 0;
  size_t before = free_bytes();
  OK(REAL(cuGraphCreate)(&graph, 0));
  OK(REAL(cuGraphAddMemAllocNode)(&first, graph, NULL, 0, &allocation));
  OK(REAL(cuGraphAddMemFreeNode)(&second, graph, &first, 1, allocation.dptr));
  OK(REAL(cuGraphInstantiateWithFlags)(&exec, graph, 0));
  CHECK_EQUAL(before, free_bytes());
  OK(REAL(cuGraphLaunch)(exec, NULL));
  OK(REAL(cuGraphLaunch)(exec, NULL));
  OK(REAL(cuDeviceGetGraphMemAttribute)(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &reserved));
  CHECK_EQUAL(2 << 20, reserved);
  CHECK_EQUAL(before - (2 << 20), free_bytes());
  OK(REAL(cuDeviceGraphMemTrim)(0));
  CHECK_EQUAL(before, free_bytes());
  OK(REAL(cuGraphExecDestroy)(exec));
  OK(REAL(cuGraphDestroy)(graph));
}

static void test_a_context_takes_memory_and_leaves_nothing(void) {
  CUcontext context = NULL;
  CUdeviceptr pointer = 0;
  size_t before = free_bytes();
  OK(REAL(cuCtxCreate_v2)(&context, 0, 0));
  CHECK_EQUAL(before - 50 * FAKE_MIB, free_bytes());
  OK(REAL(cuMemAlloc_v2)(&pointer, 1 << 20));
  OK(REAL(cuCtxDestroy_v2)(context));
  CHECK_EQUAL(before, free_bytes());
}

int main(void) {
  char path[] = "/tmp/hami-fake-machine-XXXXXX";
  int fd = mkstemp(path);
  FILE *file = fdopen(fd, "w");
  fputs("{\"devices\": [{\"uuid\": \"GPU-1\", \"model\": \"M\", \"memory_mib\": 1000, \"context_mib\": 50,"
        " \"multiprocessors\": 4, \"compute_capability\": [8, 6]}]}",
        file);
  fclose(file);
  setenv("HAMI_FAKE_MACHINE", path, 1);
  unsetenv("HAMI_FAKE_STATE");
  driver = dlopen(FAKE_CUDA, RTLD_NOW);
  CHECK(driver != NULL);
  CUcontext context = NULL;
  CHECK_EQUAL(CUDA_ERROR_NOT_INITIALIZED, REAL(cuDevicePrimaryCtxRetain)(&context, 0));
  OK(REAL(cuInit)(0));
  remove(path);
  OK(REAL(cuDevicePrimaryCtxRetain)(&context, 0));
  OK(REAL(cuCtxSetCurrent)(context));
  RUN(test_an_allocation_takes_its_size_and_a_free_gives_it_back);
  RUN(test_more_than_the_card_has_is_refused_and_changes_nothing);
  RUN(test_data_arrives_and_bounds_are_kept);
  RUN(test_many_live_pointers_are_all_found_again);
  RUN(test_a_pool_keeps_memory_until_it_is_trimmed);
  RUN(test_physical_memory_lives_while_anybody_holds_it);
  RUN(test_managed_memory_may_exceed_the_card);
  RUN(test_an_array_takes_what_its_requirements_say);
  RUN(test_memory_of_graph_nodes_is_taken_at_launch);
  RUN(test_a_context_takes_memory_and_leaves_nothing);
  return 0;
}
