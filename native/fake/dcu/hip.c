/* A test double of libgalaxyhip.so.5: versioned symbols, and calls of its own that stay inside. */
#include <stdio.h>
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

static hipError_t launch(hipStream_t stream, const void *kernel) {
  if (kernel == NULL) {
    return INVALID;
  }
  card_launch(stream, kernel);
  return hipSuccess;
}

/* The thread's own default stream is the common one here. */
hipError_t hipLaunchKernel_spt(const void *function_address, dim3 numBlocks, dim3 dimBlocks, void **args,
                               size_t sharedMemBytes, hipStream_t stream) {
  return stream == NULL ? hipLaunchKernel(function_address, numBlocks, dimBlocks, args, sharedMemBytes, NULL) : INVALID;
}

hipError_t hipModuleLaunchKernel(hipFunction_t f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                                 unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                                 unsigned int sharedMemBytes, hipStream_t stream, void **kernelParams, void **extra) {
  UNUSED(gridDimX), UNUSED(gridDimY), UNUSED(gridDimZ), UNUSED(blockDimX), UNUSED(blockDimY), UNUSED(blockDimZ);
  UNUSED(kernelParams);
  return sharedMemBytes == 8 && extra == (void **)0x11 ? launch(stream, f) : INVALID;
}

hipError_t hipModuleLaunchCooperativeKernel(hipFunction_t f, unsigned int gridDimX, unsigned int gridDimY,
                                            unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
                                            unsigned int blockDimZ, unsigned int sharedMemBytes, hipStream_t stream,
                                            void **kernelParams) {
  return hipModuleLaunchKernel(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, stream,
                               NULL, kernelParams);
}

hipError_t hipGraphLaunch(hipGraphExec_t graphExec, hipStream_t stream) { return launch(stream, graphExec); }

/* Not in api.h: the library passes their arguments on unread. */
#pragma GCC visibility push(default)
hipError_t hipLaunchKernelExC(const void *config, const void *fPtr, void **args);
hipError_t hipHccModuleLaunchKernel(hipFunction_t f, uint32_t globalWorkSizeX, uint32_t globalWorkSizeY,
                                    uint32_t globalWorkSizeZ, uint32_t localWorkSizeX, uint32_t localWorkSizeY,
                                    uint32_t localWorkSizeZ, size_t sharedMemBytes, hipStream_t hStream,
                                    void **kernelParams, void **extra, hipEvent_t startEvent, hipEvent_t stopEvent);
hipError_t hipLaunchByPtr(const void *func);
#pragma GCC visibility pop

hipError_t hipLaunchKernelExC(const void *config, const void *fPtr, void **args) {
  return config == (const void *)0x22 && args == (void **)0x33 ? launch(NULL, fPtr) : INVALID;
}

hipError_t hipHccModuleLaunchKernel(hipFunction_t f, uint32_t globalWorkSizeX, uint32_t globalWorkSizeY,
                                    uint32_t globalWorkSizeZ, uint32_t localWorkSizeX, uint32_t localWorkSizeY,
                                    uint32_t localWorkSizeZ, size_t sharedMemBytes, hipStream_t hStream,
                                    void **kernelParams, void **extra, hipEvent_t startEvent, hipEvent_t stopEvent) {
  bool arrived = globalWorkSizeX == 1 && globalWorkSizeY == 2 && globalWorkSizeZ == 3 && localWorkSizeX == 4 &&
                 localWorkSizeY == 5 && localWorkSizeZ == 6 && sharedMemBytes == 7 && kernelParams == (void **)0x44 &&
                 extra == (void **)0x55 && startEvent == (hipEvent_t)0x66 && stopEvent == (hipEvent_t)0x77;
  return arrived ? launch(hStream, f) : INVALID;
}

hipError_t hipLaunchByPtr(const void *func) { return launch(NULL, func); }

/* Both layouts in full length; what follows the memory field is left as it was. */
hipError_t hipGetDevicePropertiesR0000(void *prop, int deviceId) {
  size_t bytes = card_bytes();
  if (prop == NULL || deviceId < 0 || deviceId >= card_count()) {
    return INVALID;
  }
  (void)snprintf(prop, 256, "older");
  memcpy((char *)prop + 256, &bytes, sizeof bytes);
  return hipSuccess;
}

hipError_t hipGetDevicePropertiesR0600(void *prop, int deviceId) {
  size_t bytes = card_bytes();
  if (prop == NULL || deviceId < 0 || deviceId >= card_count()) {
    return INVALID;
  }
  (void)snprintf(prop, 256, "newer");
  memset((char *)prop + 256, 0x5a, 32);
  memcpy((char *)prop + 288, &bytes, sizeof bytes);
  return hipSuccess;
}

hipError_t hipGetDeviceProperties(void *prop, int deviceId) { return hipGetDevicePropertiesR0000(prop, deviceId); }

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
  card_event_record(event, stream == hipStreamPerThread ? NULL : stream);
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

/* A name stands for several functions: by version, and by the default stream that is meant. */
static void *find(const char *symbol, int version, bool per_thread) {
  const struct {
    const char *name;
    void *function;
    void *newer;
    void *per_thread;
  } table[] = {
      {"hipMalloc", (void *)(uintptr_t)hipMalloc, NULL, NULL},
      {"hipGetDevice", (void *)(uintptr_t)hipGetDevice, NULL, NULL},
      {"hipLaunchKernel", (void *)(uintptr_t)hipLaunchKernel, NULL, (void *)(uintptr_t)hipLaunchKernel_spt},
      {"hipGetDeviceProperties", (void *)(uintptr_t)hipGetDeviceProperties,
       (void *)(uintptr_t)hipGetDevicePropertiesR0600, NULL},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (strcmp(symbol, table[i].name) == 0) {
      void *plain = version >= 60000 && table[i].newer != NULL ? table[i].newer : table[i].function;
      return per_thread && table[i].per_thread != NULL ? table[i].per_thread : plain;
    }
  }
  return NULL;
}

hipError_t hipGetProcAddress(const char *symbol, void **pfn, int hipVersion, uint64_t flags, int *symbolStatus) {
  *pfn = find(symbol, hipVersion, flags == 2);
  *symbolStatus = *pfn != NULL ? 0 : 1;
  return *pfn != NULL ? hipSuccess : INVALID;
}

hipError_t hipGetDriverEntryPoint(const char *symbol, void **funcPtr, unsigned long long flags, int *status) {
  *funcPtr = find(symbol, 60000, flags == 2);
  *status = *funcPtr != NULL ? 0 : 1;
  return *funcPtr != NULL ? hipSuccess : INVALID;
}
