/* Green contexts: what is allocated in one is the primary context's, lives on after it, and ends with that. */
#include "share.h"

static CUgreenCtx make(CUcontext *context) {
  CUgreenCtx green;
  CHECK_EQUAL(CUDA_SUCCESS, cuGreenCtxCreate(&green, NULL, 0, CU_GREEN_CTX_DEFAULT_STREAM));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxFromGreenCtx(context, green));
  return green;
}

static void memory_outlives_the_green_context_and_ends_with_the_primary_one(void) {
  CUcontext primary;
  CUcontext inner;
  CUdeviceptr pointer;
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxGetCurrent(&primary));
  uint64_t before = share_used();
  CUgreenCtx green = make(&inner);
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(inner));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 100 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(primary));
  CHECK_EQUAL(CUDA_SUCCESS, cuGreenCtxDestroy(green));
  CHECK_EQUAL(before + 100 * MIB, share_used());
  CHECK_EQUAL(device_used(), share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxReset_v2(0));
  CHECK_EQUAL(0, device_used());
  CHECK_EQUAL(0, share_used());
}

int main(void) {
  (void)share_open();
  RUN(memory_outlives_the_green_context_and_ends_with_the_primary_one);
  return 0;
}
