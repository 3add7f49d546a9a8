/*
 * Green contexts: a part of a card under a context of its own, whose work and memory are the primary context's. How
 * large the part is makes no difference here. By the header: creating one retains the primary context, destroying it
 * releases that, and the context handle ends with it.
 */
#include <stdlib.h>

#include "driver.h"

struct green {
  struct fake_context *context;
  CUdevice device;
};

CUresult cuGreenCtxCreate(CUgreenCtx *out, CUdevResourceDesc description, CUdevice device, unsigned flags) {
  FAKE_ENTER(cuGreenCtxCreate);
  (void)description;
  if (out == NULL || (flags & ~(unsigned)CU_GREEN_CTX_DEFAULT_STREAM) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  struct fake_context *primary;
  FAKE_TRY(fake_primary_retain(device, &primary));
  struct green *green = calloc(1, sizeof *green);
  if (green == NULL || fake_context_derive(device, &green->context) != CUDA_SUCCESS) {
    free(green);
    (void)cuDevicePrimaryCtxRelease_v2(device);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  green->device = device;
  *out = (CUgreenCtx)green;
  return CUDA_SUCCESS;
}

CUresult cuCtxFromGreenCtx(CUcontext *out, CUgreenCtx handle) {
  FAKE_ENTER(cuCtxFromGreenCtx);
  if (out == NULL || handle == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUcontext)((struct green *)handle)->context;
  return CUDA_SUCCESS;
}

CUresult cuGreenCtxDestroy(CUgreenCtx handle) {
  FAKE_ENTER(cuGreenCtxDestroy);
  struct green *green = (struct green *)handle;
  if (green == NULL) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  fake_context_merge(green->context, green->device);
  CUdevice device = green->device;
  free(green);
  return cuDevicePrimaryCtxRelease_v2(device);
}
