/* What the device says about its memory. The driver is asked first, with the caller's own pointers, NULL or not. */
#include "devices.h"
#include "growth.h"
#include "hook.h"
#include "share.h"

CUresult cuInit(unsigned int Flags) {
  HAMI_CUDA_ENTER(cuInit, Flags);
  CUresult result = real(Flags);
  HAMI_LEAVE(result);
}

CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  HAMI_CUDA_ENTER(cuMemGetInfo_v2, free, total);
  CUresult result = real(free, total);
  hami_growth_look();
  if (result == CUDA_SUCCESS) {
    hami_share_show(hami_devices_current(NULL), free, total);
  }
  HAMI_LEAVE(result);
}

static unsigned int clamp_to_32_bits(uint64_t value) { return value > UINT32_MAX ? UINT32_MAX : (unsigned int)value; }

CUresult cuMemGetInfo(unsigned int *free, unsigned int *total) {
  HAMI_CUDA_ENTER(cuMemGetInfo, free, total);
  CUresult result = real(free, total);
  hami_growth_look();
  struct hami_share share;
  if (result == CUDA_SUCCESS && hami_share_view(hami_devices_current(NULL), total == NULL ? UINT64_MAX : *total,
                                                free == NULL ? UINT64_MAX : *free, &share)) {
    if (total != NULL) {
      *total = clamp_to_32_bits(share.total_bytes);
    }
    if (free != NULL) {
      *free = clamp_to_32_bits(share.free_bytes);
    }
  }
  HAMI_LEAVE(result);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev) {
  HAMI_CUDA_ENTER(cuDeviceTotalMem_v2, bytes, dev);
  CUresult result = real(bytes, dev);
  struct hami_share share;
  if (result == CUDA_SUCCESS && bytes != NULL &&
      hami_share_view(hami_devices_of_ordinal(dev), *bytes, *bytes, &share)) {
    *bytes = share.total_bytes;
  }
  HAMI_LEAVE(result);
}

CUresult cuDeviceTotalMem(unsigned int *bytes, CUdevice dev) {
  HAMI_CUDA_ENTER(cuDeviceTotalMem, bytes, dev);
  CUresult result = real(bytes, dev);
  struct hami_share share;
  if (result == CUDA_SUCCESS && bytes != NULL &&
      hami_share_view(hami_devices_of_ordinal(dev), *bytes, *bytes, &share)) {
    *bytes = clamp_to_32_bits(share.total_bytes);
  }
  HAMI_LEAVE(result);
}
