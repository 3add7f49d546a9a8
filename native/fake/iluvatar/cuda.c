/* A test double of CoreX's libcuda.so.1: the CUDA driver of years ago, which lacks most of what the table knows. */
#include <ctype.h>
#include <string.h>

#include "nvidia/src/vendor.h"

#include "card.h"

#define UNUSED(name) (void)(name)
#define PITCH 512
#define MOST_CARDS 16

const char card_vendor[] = "iluvatar";
const char card_visible_variable[] = "CUDA_VISIBLE_DEVICES";

/* A context is a place in here: one for each card, the primary one. */
static int contexts[MOST_CARDS];

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

CUresult cuDeviceGetCount(int *count) {
  *count = card_count();
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  *device = ordinal;
  return card_uuid(ordinal) != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static unsigned digit(char letter) {
  return letter <= '9' ? (unsigned)(letter - '0') : (unsigned)(tolower((unsigned char)letter) - 'a') + 10;
}

/* The hexadecimal digits after the first dash, whose own dashes do not count; the private card has a uuid of ones. */
CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice dev) {
  const char *text = card_uuid(dev);
  if (text == NULL) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  memset(uuid->bytes, 0x11, sizeof uuid->bytes);
  text = strncmp(text, "GPU-", 4) == 0 ? text + 4 : "";
  for (size_t i = 0; *text != '\0' && i < 2 * sizeof uuid->bytes; text++) {
    if (isxdigit((unsigned char)*text)) {
      unsigned high = i % 2 == 0 ? 0 : (unsigned char)uuid->bytes[i / 2];
      uuid->bytes[i / 2] = (char)(high << 4 | digit(*text));
      i++;
    }
  }
  return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev) {
  UNUSED(dev);
  *bytes = card_bytes();
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev) {
  if (card_uuid(dev) == NULL) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  *pctx = (CUcontext)&contexts[dev];
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext ctx) {
  return card_use((int)((int *)ctx - contexts)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuCtxGetCurrent(CUcontext *pctx) { return cuDevicePrimaryCtxRetain(pctx, card_current()); }

CUresult cuCtxGetDevice(CUdevice *device) { return cuDeviceGet(device, card_current()); }

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

/* A kernel is a pointer to its duration. */
CUresult cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                        unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                        unsigned int sharedMemBytes, CUstream hStream, void **kernelParams, void **extra) {
  UNUSED(gridDimX), UNUSED(gridDimY), UNUSED(gridDimZ), UNUSED(blockDimX), UNUSED(blockDimY), UNUSED(blockDimZ);
  UNUSED(sharedMemBytes), UNUSED(kernelParams), UNUSED(extra);
  card_launch(hStream, f);
  return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void) {
  card_synchronise(NULL);
  return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream hStream) {
  card_synchronise(hStream);
  return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *phEvent, unsigned int Flags) {
  UNUSED(Flags);
  *phEvent = card_event_create();
  return *phEvent == NULL ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent hEvent, CUstream hStream) {
  card_event_record(hEvent, hStream);
  return CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent hEvent) { return card_event_reached(hEvent) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY; }

CUresult cuEventElapsedTime(float *pMilliseconds, CUevent hStart, CUevent hEnd) {
  *pMilliseconds = (float)card_event_between_ns(hStart, hEnd) / 1e6F;
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent hEvent) {
  card_event_destroy(hEvent);
  return CUDA_SUCCESS;
}
