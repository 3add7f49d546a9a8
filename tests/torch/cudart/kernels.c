/* Kernels and variables that a program's object files register, and their launches. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cudart.h"

#define DEVICES 16

/* What nvcc puts into an object file in front of its device code. */
struct wrapper {
  uint32_t magic;
  uint32_t version;
  const void *data;
  void *unused;
};

struct image {
  const struct wrapper *wrapper;
  CUmodule modules[DEVICES];
};

struct entry {
  const void *host; /* the stub, or the variable; NULL: free */
  struct image *image;
  const char *name;
  size_t bytes; /* a variable's */
  CUfunction functions[DEVICES];
};

static struct entry **table; /* by the host's address, open addressing */
static size_t room;
static size_t filled;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct entry **slot(struct entry **in, size_t size, const void *host) {
  size_t at = ((uintptr_t)host >> 4) * 0x9E3779B97F4A7C15ULL >> 20;
  while (in[at % size] != NULL && in[at % size]->host != host) {
    at++;
  }
  return &in[at % size];
}

static void insert(struct image *image, const void *host, const char *name, size_t bytes) {
  pthread_mutex_lock(&lock);
  if (2 * (filled + 1) > room) {
    size_t larger = room == 0 ? 4096 : 2 * room;
    struct entry **copy = calloc(larger, sizeof *copy);
    for (size_t i = 0; i < room; i++) {
      if (table[i] != NULL) {
        *slot(copy, larger, table[i]->host) = table[i];
      }
    }
    free(table);
    table = copy;
    room = larger;
  }
  struct entry **place = slot(table, room, host);
  if (*place == NULL) {
    *place = calloc(1, sizeof **place);
    filled++;
  }
  **place = (struct entry){.host = host, .image = image, .name = name, .bytes = bytes};
  pthread_mutex_unlock(&lock);
}

static struct entry *find(const void *host) {
  pthread_mutex_lock(&lock);
  struct entry *found = room == 0 ? NULL : *slot(table, room, host);
  /* A kernel's handle is its entry, whose first word is the stub. */
  for (size_t i = 0; found == NULL && i < room; i++) {
    found = table[i] == host ? table[i] : NULL;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

static CUresult module_of(struct image *image, CUmodule *module) {
  CUresult result = CUDA_SUCCESS;
  CUmodule *mine = &image->modules[rt_device()];
  if (*mine == NULL) {
    result = DRIVER(cuModuleLoadData)(mine, image->wrapper->data);
  }
  *module = *mine;
  return result;
}

static CUresult function_of(struct entry *entry, CUfunction *function) {
  CUmodule module = NULL;
  CUfunction *mine = &entry->functions[rt_device()];
  CUresult result = CUDA_SUCCESS;
  if (*mine == NULL) {
    result = module_of(entry->image, &module);
    result = result == CUDA_SUCCESS ? DRIVER(cuModuleGetFunction)(mine, module, entry->name) : result;
  }
  *function = *mine;
  return result;
}

CUresult rt_function(const void *host, CUfunction *function) {
  CUresult result = rt_ready();
  struct entry *entry = result == CUDA_SUCCESS ? find(host) : NULL;
  if (entry == NULL) {
    return result != CUDA_SUCCESS ? result : (CUresult)cudaErrorInvalidDeviceFunction;
  }
  return function_of(entry, function);
}

EXPORT void **__cudaRegisterFatBinary(void *wrapper) {
  struct image *image = calloc(1, sizeof *image);
  image->wrapper = wrapper;
  return (void **)image;
}

EXPORT void __cudaRegisterFatBinaryEnd(void **image) { (void)image; }
EXPORT void __cudaUnregisterFatBinary(void **image) { (void)image; }

EXPORT void __cudaRegisterFunction(void **image, const char *host, char *device, const char *name, int limit, void *tid,
                                   void *bid, void *block, void *grid, int *warps) {
  (void)device;
  (void)limit;
  (void)tid;
  (void)bid;
  (void)block;
  (void)grid;
  (void)warps;
  insert((struct image *)image, host, name, 0);
}

EXPORT void __cudaRegisterVar(void **image, char *host, char *device, const char *name, int ext, size_t bytes,
                              int constant, int global) {
  (void)device;
  (void)ext;
  (void)constant;
  (void)global;
  insert((struct image *)image, host, name, bytes);
}

/* ---- launches ------------------------------------------------------------------------------------------------- */

static __thread struct {
  dim3 grid;
  dim3 block;
  size_t shared;
  cudaStream_t stream;
} configured[8];
static __thread unsigned int configured_count;

EXPORT unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, struct CUstream_st *stream) {
  unsigned int at = configured_count++ % 8;
  configured[at].grid = grid;
  configured[at].block = block;
  configured[at].shared = shared;
  configured[at].stream = stream;
  return 0;
}

EXPORT cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
  if (configured_count == 0) {
    return rt_answer((CUresult)cudaErrorMissingConfiguration);
  }
  unsigned int at = --configured_count % 8;
  *grid = configured[at].grid;
  *block = configured[at].block;
  *shared = configured[at].shared;
  *(cudaStream_t *)stream = configured[at].stream;
  return cudaSuccess;
}

EXPORT cudaError_t cudaLaunchKernel(const void *host, dim3 grid, dim3 block, void **arguments, size_t shared,
                                    cudaStream_t stream) {
  CUfunction function = NULL;
  CUresult result = rt_function(host, &function);
  return rt_answer(result != CUDA_SUCCESS
                       ? result
                       : DRIVER(cuLaunchKernel)(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                                (unsigned int)shared, stream, arguments, NULL));
}

EXPORT cudaError_t cudaLaunchCooperativeKernel(const void *host, dim3 grid, dim3 block, void **arguments, size_t shared,
                                               cudaStream_t stream) {
  CUfunction function = NULL;
  CUresult result = rt_function(host, &function);
  return rt_answer(result != CUDA_SUCCESS
                       ? result
                       : DRIVER(cuLaunchCooperativeKernel)(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                                           (unsigned int)shared, stream, arguments));
}

EXPORT cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *host, void **arguments) {
  CUfunction function = NULL;
  CUresult result = rt_function(host, &function);
  /* The attributes of both interfaces have one layout. */
  CUlaunchConfig passed = {.gridDimX = config->gridDim.x,
                           .gridDimY = config->gridDim.y,
                           .gridDimZ = config->gridDim.z,
                           .blockDimX = config->blockDim.x,
                           .blockDimY = config->blockDim.y,
                           .blockDimZ = config->blockDim.z,
                           .sharedMemBytes = (unsigned int)config->dynamicSmemBytes,
                           .hStream = config->stream,
                           .attrs = (CUlaunchAttribute *)config->attrs,
                           .numAttrs = config->numAttrs};
  return rt_answer(result != CUDA_SUCCESS ? result : DRIVER(cuLaunchKernelEx)(&passed, function, arguments, NULL));
}

EXPORT cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host) {
  *kernel = (cudaKernel_t)find(host);
  return *kernel == NULL ? rt_answer((CUresult)cudaErrorInvalidDeviceFunction) : cudaSuccess;
}

EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t shared,
                                      cudaStream_t stream) {
  CUfunction function = NULL;
  CUresult result = rt_ready();
  result = result == CUDA_SUCCESS ? function_of((struct entry *)kernel, &function) : result;
  return rt_answer(result != CUDA_SUCCESS
                       ? result
                       : DRIVER(cuLaunchKernel)(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                                (unsigned int)shared, stream, arguments, NULL));
}

EXPORT cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *host) {
  CUfunction function = NULL;
  CUresult result = rt_function(host, &function);
  memset(out, 0, sizeof *out);
  out->maxThreadsPerBlock = 1024;
  out->numRegs = 32;
  out->ptxVersion = out->binaryVersion = 80;
  return rt_answer(result);
}

EXPORT cudaError_t cudaFuncSetAttribute(const void *host, enum cudaFuncAttribute which, int value) {
  CUfunction function = NULL;
  CUresult result = rt_function(host, &function);
  return rt_answer(result != CUDA_SUCCESS ? result
                                          : DRIVER(cuFuncSetAttribute)(function, (CUfunction_attribute)which, value));
}

EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *count, const void *host, int block,
                                                                          size_t shared, unsigned int flags) {
  CUfunction function = NULL;
  CUresult result = rt_function(host, &function);
  (void)flags;
  return rt_answer(result != CUDA_SUCCESS
                       ? result
                       : DRIVER(cuOccupancyMaxActiveBlocksPerMultiprocessor)(count, function, block, shared));
}

EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *count, const void *host, int block,
                                                                 size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(count, host, block, shared, 0);
}

EXPORT cudaError_t cudaGetSymbolAddress(void **pointer, const void *host) {
  CUmodule module = NULL;
  CUdeviceptr found = 0;
  size_t bytes = 0;
  CUresult result = rt_ready();
  struct entry *entry = find(host);
  result = entry == NULL ? (CUresult)cudaErrorInvalidSymbol : result;
  result = result == CUDA_SUCCESS ? module_of(entry->image, &module) : result;
  result = result == CUDA_SUCCESS ? DRIVER(cuModuleGetGlobal_v2)(&found, &bytes, module, entry->name) : result;
  *pointer = (void *)found;
  return rt_answer(result);
}

REFUSED(cudaMemcpyToSymbol, (const void *symbol, const void *from, size_t bytes, size_t at, enum cudaMemcpyKind kind))
REFUSED(cudaLibraryUnload, (cudaLibrary_t library))
REFUSED(cudaLibraryLoadFromFile,
        (cudaLibrary_t * library, const char *path, enum cudaJitOption *jit, void **jit_values, unsigned int jit_count,
         enum cudaLibraryOption *options, void **values, unsigned int count))
REFUSED(cudaLibraryLoadData,
        (cudaLibrary_t * library, const void *image, enum cudaJitOption *jit, void **jit_values, unsigned int jit_count,
         enum cudaLibraryOption *options, void **values, unsigned int count))
REFUSED(cudaLibraryGetUnifiedFunction, (void **pointer, cudaLibrary_t library, const char *name))
REFUSED(cudaLibraryGetManaged, (void **pointer, size_t *bytes, cudaLibrary_t library, const char *name))
REFUSED(cudaLibraryGetKernelCount, (unsigned int *count, cudaLibrary_t library))
REFUSED(cudaLibraryGetKernel, (cudaKernel_t * kernel, cudaLibrary_t library, const char *name))
REFUSED(cudaLibraryGetGlobal, (void **pointer, size_t *bytes, cudaLibrary_t library, const char *name))
REFUSED(cudaKernelSetAttributeForDevice, (cudaKernel_t kernel, enum cudaFuncAttribute which, int value, int ordinal))
