/* In a control group with a limit on device memory. The argument is what the share has then, in MiB. */
#include "share.h"

static CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  return cuMemCreate(handle, bytes, &props, 0);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  size_t expected = strtoull(argv[1], NULL, 10) * MIB;
  size_t total;
  CUmemGenericAllocationHandle handle;
  CUmemGenericAllocationHandle more;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  CHECK_EQUAL(CUDA_SUCCESS, cuDeviceTotalMem_v2(&total, 0));
  CHECK_EQUAL(expected, total);
  CHECK_EQUAL(expected, share_total());
  CHECK_EQUAL(CUDA_SUCCESS, create(&handle, expected));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&more, 2 * MIB));
  CHECK_EQUAL(0, share_free());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
  return 0;
}
