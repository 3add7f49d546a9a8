/* A share larger than the card (60000 MiB on 45416): what does not fit on the card lives in managed memory. */
#include "share.h"

int main(void) {
  CUdeviceptr first;
  CUdeviceptr second;
  CUdeviceptr third;
  size_t available;
  size_t total;
  (void)share_open();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  CHECK_EQUAL(60000 * MIB, total);
  uint64_t before = share_used();
  CHECK_EQUAL(total - before, available);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&first, 28000 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&second, 28000 * MIB));
  CHECK_EQUAL(before + 56000 * MIB, share_used());
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&third, 28000 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(second));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(first));
  CHECK_EQUAL(before, share_used());
  return 0;
}
