/* A test double of libgalaxyhip.so.5: versioned symbols, and calls of its own that stay inside. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "card.h"

#define NO_ROOM 999 /* told apart from the share's own refusal */
#define INVALID 1
#define NO_DEVICE 100
#define INVALID_DEVICE 101
#define NOT_READY 600
#define PITCH 512

#define UNUSED(name) (void)(name)

/* What the library neither wraps nor calls. */
#pragma GCC visibility push(default)
hipError_t hipSetDevice(int deviceId);
hipError_t hipGetDeviceCount(int *count);
hipError_t hipDeviceSynchronize(void);
#pragma GCC visibility pop

const char card_vendor[] = "dcu";
const char card_visible_variable[] = "HIP_VISIBLE_DEVICES";

static hipError_t take(void **out, uint64_t bytes) {
  uint64_t key = 0;
  if (out == NULL) {
    return INVALID;
  }
  if (!card_take(bytes, &key)) {
    return NO_ROOM;
  }
  *out = (void *)(uintptr_t)key;
  return hipSuccess;
}

static hipError_t give(const void *pointer) { return card_give((uintptr_t)pointer) ? hipSuccess : INVALID; }

hipError_t hipMalloc(void **ptr, size_t size) { return take(ptr, size); }

hipError_t hipExtMallocWithFlags(void **ptr, size_t sizeBytes, unsigned int flags) {
  UNUSED(flags);
  return hipMalloc(ptr, sizeBytes);
}

hipError_t hipMallocManaged(void **dev_ptr, size_t size, unsigned int flags) {
  UNUSED(flags);
  return take(dev_ptr, size);
}

hipError_t hipMallocPitch(void **ptr, size_t *pitch, size_t width, size_t height) {
  size_t row = (width + PITCH - 1) / PITCH * PITCH;
  hipError_t result = pitch == NULL ? INVALID : take(ptr, row * height);
  if (result == hipSuccess) {
    *pitch = row;
  }
  return result;
}

hipError_t hipMalloc3D(hipPitchedPtr *pitchedDevPtr, hipExtent extent) {
  if (pitchedDevPtr == NULL) {
    return INVALID;
  }
  return hipMallocPitch(&pitchedDevPtr->ptr, &pitchedDevPtr->pitch, extent.width, extent.height * extent.depth);
}

hipError_t hipMallocArray(hipArray_t *array, const hipChannelFormatDesc *desc, size_t width, size_t height,
                          unsigned int flags) {
  UNUSED(flags);
  size_t bytes = (size_t)(desc->x + desc->y + desc->z + desc->w) / 8;
  return take((void **)array, bytes * width * (height == 0 ? 1 : height));
}

hipError_t hipMallocAsync(void **dev_ptr, size_t size, hipStream_t stream) {
  UNUSED(stream);
  return take(dev_ptr, size);
}

hipError_t hipFree(void *ptr) { return give(ptr); }
hipError_t hipFreeArray(hipArray_t array) { return give(array); }

hipError_t hipFreeAsync(void *dev_ptr, hipStream_t stream) {
  UNUSED(stream);
  return give(dev_ptr);
}

hipError_t hipMemCreate(hipMemGenericAllocationHandle_t *handle, size_t size, const hipMemAllocationProp *prop,
                        unsigned long long flags) {
  UNUSED(flags);
  return prop == NULL ? INVALID : take((void **)handle, size);
}

hipError_t hipMemRelease(hipMemGenericAllocationHandle_t handle) { return give(handle); }

hipError_t hipMemRetainAllocationHandle(hipMemGenericAllocationHandle_t *handle, void *addr) {
  return card_retain((uintptr_t)addr, (uint64_t *)handle) ? hipSuccess : INVALID;
}

hipError_t hipMemMap(void *ptr, size_t size, size_t offset, hipMemGenericAllocationHandle_t handle,
                     unsigned long long flags) {
  UNUSED(offset), UNUSED(flags);
  return card_map((uintptr_t)ptr, size, (uintptr_t)handle) ? hipSuccess : INVALID;
}

hipError_t hipMemUnmap(void *ptr, size_t size) {
  UNUSED(size);
  return card_unmap((uintptr_t)ptr) ? hipSuccess : INVALID;
}

hipError_t hipMemGetInfo(size_t *free, size_t *total) {
  if (free != NULL) {
    *free = card_bytes() - fake_used_bytes();
  }
  if (total != NULL) {
    *total = card_bytes();
  }
  return hipSuccess;
}

hipError_t hipDeviceTotalMem(size_t *bytes, hipDevice_t device) {
  UNUSED(device);
  return bytes == NULL ? INVALID : hipMemGetInfo(NULL, bytes);
}

hipError_t hipLaunchKernel(const void *function_address, dim3 numBlocks, dim3 dimBlocks, void **args,
                           size_t sharedMemBytes, hipStream_t stream) {
  UNUSED(args);
  /* Structures by value arrive whole, or the caller's and the wrapper's ideas of the ABI differ. */
  if (function_address == NULL || numBlocks.x != 7 || numBlocks.y != 8 || numBlocks.z != 9 || dimBlocks.x != 10 ||
      dimBlocks.y != 11 || dimBlocks.z != 12 || sharedMemBytes != 13) {
    return INVALID;
  }
  card_launch(stream, function_address);
  return hipSuccess;
}

hipError_t hipGetDevice(int *deviceId) {
  *deviceId = card_current();
  return hipSuccess;
}

hipError_t hipSetDevice(int deviceId) { return card_use(deviceId) ? hipSuccess : INVALID_DEVICE; }

hipError_t hipGetDeviceCount(int *count) {
  *count = card_count();
  return *count > 0 ? hipSuccess : NO_DEVICE;
}

hipError_t hipDeviceSynchronize(void) {
  card_synchronise(NULL);
  return hipSuccess;
}

hipError_t hipEventCreate(hipEvent_t *event) {
  *event = card_event_create();
  return *event == NULL ? INVALID : hipSuccess;
}

hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream) {
  card_event_record(event, stream);
  return hipSuccess;
}

hipError_t hipEventQuery(hipEvent_t event) { return card_event_reached(event) ? hipSuccess : NOT_READY; }

hipError_t hipEventElapsedTime(float *ms, hipEvent_t start, hipEvent_t stop) {
  *ms = (float)card_event_between_ns(start, stop) / 1e6F;
  return hipSuccess;
}

hipError_t hipEventDestroy(hipEvent_t event) {
  card_event_destroy(event);
  return hipSuccess;
}

hipError_t hipStreamIsCapturing(hipStream_t stream, int *pCaptureStatus) {
  UNUSED(stream);
  *pCaptureStatus = 0;
  return hipSuccess;
}

hipError_t hipGetProcAddress(const char *symbol, void **pfn, int hipVersion, uint64_t flags, int *symbolStatus) {
  UNUSED(hipVersion), UNUSED(flags);
  bool known = strcmp(symbol, "hipMalloc") == 0;
  bool other = strcmp(symbol, "hipGetDevice") == 0;
  *pfn = known ? (void *)(uintptr_t)hipMalloc : other ? (void *)(uintptr_t)hipGetDevice : NULL;
  *symbolStatus = known || other ? 0 : 1;
  return known || other ? hipSuccess : INVALID;
}
