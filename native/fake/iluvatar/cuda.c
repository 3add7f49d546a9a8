/* A test double of CoreX's libcuda.so.1: the CUDA driver of years ago, which lacks most of what the table knows. */
#include <string.h>

#include "nvidia/src/vendor.h"

#include "card.h"

#define UNUSED(name) (void)(name)
#define PITCH 512

const char card_vendor[] = "iluvatar";
const char card_visible_variable[] = "CUDA_VISIBLE_DEVICES";

static int context;

static CUresult take(CUdeviceptr *out, uint64_t bytes) {
  uint64_t key = 0;
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!card_take(bytes, &key)) {
    return CUDA_ERROR_UNKNOWN; /* told apart from the share's own refusal */
  }
  *out = key;
  return CUDA_SUCCESS;
}

CUresult cuInit(unsigned int Flags) {
  UNUSED(Flags);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  *device = ordinal;
  return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice dev) {
  UNUSED(dev);
  memset(uuid->bytes, 0x11, sizeof uuid->bytes);
  return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev) {
  UNUSED(dev);
  *bytes = card_bytes();
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *pctx) {
  *pctx = (CUcontext)&context;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device) { return cuDeviceGet(device, 0); }

CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize) { return take(dptr, bytesize); }

CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned int flags) {
  UNUSED(flags);
  return cuMemAlloc_v2(dptr, bytesize);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
                            unsigned int ElementSizeBytes) {
  UNUSED(ElementSizeBytes);
  size_t row = (WidthInBytes + PITCH - 1) / PITCH * PITCH;
  *pPitch = row;
  return take(dptr, row * Height);
}

CUresult cuMemFree_v2(CUdeviceptr dptr) { return card_give(dptr) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; }

CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  *free = card_bytes() - fake_used_bytes();
  *total = card_bytes();
  return CUDA_SUCCESS;
}
