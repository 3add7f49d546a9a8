/* The thread's device and its primary context, errors, and what is asked about devices. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cudart.h"

#define DEVICES 16

static __thread int device;
static __thread cudaError_t last;
static CUcontext primary[DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void *rt_driver(const char *name) {
  static void *library;
  if (library == NULL) {
    library = dlopen("libcuda.so.1", RTLD_NOW);
  }
  void *found = library == NULL ? NULL : dlsym(library, name);
  if (found == NULL) {
    fprintf(stderr, "libcudart double: the driver has no %s\n", name);
  }
  return found;
}

int rt_device(void) { return device; }

cudaError_t rt_answer(CUresult result) {
  last = result == CUDA_SUCCESS ? last : (cudaError_t)result;
  return (cudaError_t)result;
}

static CUresult start(void) {
  static int started;
  CUresult result = started ? CUDA_SUCCESS : DRIVER(cuInit)(0);
  started = result == CUDA_SUCCESS;
  return result;
}

CUresult rt_ready(void) {
  CUcontext current = NULL;
  CUresult result = start();
  if (result != CUDA_SUCCESS || (DRIVER(cuCtxGetCurrent)(&current) == CUDA_SUCCESS && current != NULL)) {
    return result;
  }
  pthread_mutex_lock(&lock);
  result = primary[device] == NULL ? DRIVER(cuDevicePrimaryCtxRetain)(&primary[device], device) : CUDA_SUCCESS;
  pthread_mutex_unlock(&lock);
  return result == CUDA_SUCCESS ? DRIVER(cuCtxSetCurrent)(primary[device]) : result;
}

EXPORT cudaError_t cudaGetLastError(void) {
  cudaError_t found = last;
  last = cudaSuccess;
  return found;
}

EXPORT cudaError_t cudaPeekAtLastError(void) { return last; }

EXPORT const char *cudaGetErrorString(cudaError_t error) {
  const char *text = NULL;
  return DRIVER(cuGetErrorString)((CUresult)error, &text) == CUDA_SUCCESS ? text : "unrecognized error code";
}

EXPORT const char *cudaGetErrorName(cudaError_t error) {
  const char *text = NULL;
  return DRIVER(cuGetErrorName)((CUresult)error, &text) == CUDA_SUCCESS ? text : "unrecognized error code";
}

EXPORT cudaError_t cudaGetDeviceCount(int *count) {
  CUresult result = start();
  return rt_answer(result != CUDA_SUCCESS ? result : DRIVER(cuDeviceGetCount)(count));
}

EXPORT cudaError_t cudaGetDevice(int *out) {
  *out = device;
  return cudaSuccess;
}

EXPORT cudaError_t cudaSetDevice(int ordinal) {
  int count = 0;
  CUresult result = start();
  result = result == CUDA_SUCCESS ? DRIVER(cuDeviceGetCount)(&count) : result;
  if (result != CUDA_SUCCESS || ordinal < 0 || ordinal >= count || ordinal >= DEVICES) {
    return rt_answer(result != CUDA_SUCCESS ? result : CUDA_ERROR_INVALID_DEVICE);
  }
  if (ordinal != device) {
    device = ordinal;
    result = DRIVER(cuCtxSetCurrent)(NULL);
  }
  return rt_answer(result == CUDA_SUCCESS ? rt_ready() : result);
}

EXPORT cudaError_t cudaDriverGetVersion(int *version) { return rt_answer(DRIVER(cuDriverGetVersion)(version)); }

EXPORT cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

static CUresult attribute(int *value, int which, int ordinal) {
  CUresult result = start();
  return result != CUDA_SUCCESS ? result : DRIVER(cuDeviceGetAttribute)(value, (CUdevice_attribute)which, ordinal);
}

/* The attributes of both interfaces have the same numbers. */
EXPORT cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr which, int ordinal) {
  return rt_answer(attribute(value, (int)which, ordinal));
}

#define FIELD(field, name)                                                                                             \
  do {                                                                                                                 \
    int value = 0;                                                                                                     \
    (void)attribute(&value, CU_DEVICE_ATTRIBUTE_##name, ordinal);                                                      \
    out->field = (__typeof__(out->field))value;                                                                        \
  } while (0)

EXPORT cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int ordinal) {
  CUresult result = start();
  memset(out, 0, sizeof *out);
  result = result == CUDA_SUCCESS ? DRIVER(cuDeviceGetName)(out->name, sizeof out->name, ordinal) : result;
  result = result == CUDA_SUCCESS ? DRIVER(cuDeviceTotalMem_v2)(&out->totalGlobalMem, ordinal) : result;
  result = result == CUDA_SUCCESS ? DRIVER(cuDeviceGetUuid)((CUuuid *)&out->uuid, ordinal) : result;
  FIELD(sharedMemPerBlock, MAX_SHARED_MEMORY_PER_BLOCK);
  FIELD(sharedMemPerBlockOptin, MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  FIELD(sharedMemPerMultiprocessor, MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
  FIELD(regsPerBlock, MAX_REGISTERS_PER_BLOCK);
  FIELD(regsPerMultiprocessor, MAX_REGISTERS_PER_MULTIPROCESSOR);
  FIELD(warpSize, WARP_SIZE);
  FIELD(maxThreadsPerBlock, MAX_THREADS_PER_BLOCK);
  FIELD(maxThreadsDim[0], MAX_BLOCK_DIM_X);
  FIELD(maxThreadsDim[1], MAX_BLOCK_DIM_Y);
  FIELD(maxThreadsDim[2], MAX_BLOCK_DIM_Z);
  FIELD(maxGridSize[0], MAX_GRID_DIM_X);
  FIELD(maxGridSize[1], MAX_GRID_DIM_Y);
  FIELD(maxGridSize[2], MAX_GRID_DIM_Z);
  FIELD(major, COMPUTE_CAPABILITY_MAJOR);
  FIELD(minor, COMPUTE_CAPABILITY_MINOR);
  FIELD(multiProcessorCount, MULTIPROCESSOR_COUNT);
  FIELD(maxThreadsPerMultiProcessor, MAX_THREADS_PER_MULTIPROCESSOR);
  FIELD(maxBlocksPerMultiProcessor, MAX_BLOCKS_PER_MULTIPROCESSOR);
  FIELD(l2CacheSize, L2_CACHE_SIZE);
  FIELD(memoryBusWidth, GLOBAL_MEMORY_BUS_WIDTH);
  FIELD(concurrentKernels, CONCURRENT_KERNELS);
  FIELD(asyncEngineCount, ASYNC_ENGINE_COUNT);
  FIELD(pciBusID, PCI_BUS_ID);
  FIELD(pciDeviceID, PCI_DEVICE_ID);
  FIELD(pciDomainID, PCI_DOMAIN_ID);
  FIELD(unifiedAddressing, UNIFIED_ADDRESSING);
  FIELD(managedMemory, MANAGED_MEMORY);
  FIELD(integrated, INTEGRATED);
  FIELD(canMapHostMemory, CAN_MAP_HOST_MEMORY);
  FIELD(cooperativeLaunch, COOPERATIVE_LAUNCH);
  FIELD(memoryPoolsSupported, MEMORY_POOLS_SUPPORTED);
  return rt_answer(result);
}

EXPORT cudaError_t cudaDeviceGetPCIBusId(char *text, int length, int ordinal) {
  CUresult result = start();
  return rt_answer(result != CUDA_SUCCESS ? result : DRIVER(cuDeviceGetPCIBusId)(text, length, ordinal));
}

EXPORT cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags) {
  CUresult result = rt_ready();
  pthread_mutex_lock(&lock);
  if (result == CUDA_SUCCESS && peer >= 0 && peer < DEVICES && primary[peer] == NULL) {
    result = DRIVER(cuDevicePrimaryCtxRetain)(&primary[peer], peer);
  }
  pthread_mutex_unlock(&lock);
  return rt_answer(result != CUDA_SUCCESS ? result : DRIVER(cuCtxEnablePeerAccess)(primary[peer], flags));
}

PASS(cudaDeviceCanAccessPeer, (int *can, int ordinal, int peer), DRIVER(cuDeviceCanAccessPeer)(can, ordinal, peer))
PASS(cudaDeviceGetStreamPriorityRange, (int *least, int *greatest),
     DRIVER(cuCtxGetStreamPriorityRange)(least, greatest))
PASS(cudaDeviceSynchronize, (void), DRIVER(cuCtxSynchronize)())
PASS(cudaProfilerStart, (void), CUDA_SUCCESS)
PASS(cudaProfilerStop, (void), CUDA_SUCCESS)

EXPORT cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **function, unsigned int version,
                                                    unsigned long long flags,
                                                    enum cudaDriverEntryPointQueryResult *status) {
  return rt_answer(
      DRIVER(cuGetProcAddress_v2)(symbol, function, (int)version, flags, (CUdriverProcAddressQueryResult *)status));
}
