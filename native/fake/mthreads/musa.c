/* A test double of libmusa.so.1. */
#include <stdbool.h>
#include <string.h>

#include "api.h"
#include "card.h"
#include "table.h"

#define NO_ROOM 999 /* told apart from the share's own refusal */
#define INVALID 1
#define INVALID_DEVICE 101
#define NOT_READY 600
#define PITCH 512

#define UNUSED(name) (void)(name)

/* What the library neither wraps nor calls. */
__attribute__((visibility("default"))) MUresult muCtxSynchronize(void);

const char card_vendor[] = "mthreads";
const char card_visible_variable[] = "MUSA_VISIBLE_DEVICES";

static MUresult take(MUdeviceptr *out, uint64_t bytes) {
  if (out == NULL) {
    return INVALID;
  }
  return card_take(bytes, out) ? MUSA_SUCCESS : NO_ROOM;
}

static MUresult give(MUdeviceptr pointer) { return card_give(pointer) ? MUSA_SUCCESS : INVALID; }

MUresult muMemAlloc_v2(MUdeviceptr *dptr, size_t bytesize) { return take(dptr, bytesize); }

MUresult muMemAllocManaged(MUdeviceptr *dptr, size_t bytesize, unsigned int flags) {
  UNUSED(flags);
  return take(dptr, bytesize);
}

MUresult muMemAllocPitch_v2(MUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
                            unsigned int ElementSizeBytes) {
  UNUSED(ElementSizeBytes);
  size_t row = (WidthInBytes + PITCH - 1) / PITCH * PITCH;
  MUresult result = pPitch == NULL ? INVALID : take(dptr, row * Height);
  if (result == MUSA_SUCCESS) {
    *pPitch = row;
  }
  return result;
}

MUresult muMemAllocAsync(MUdeviceptr *dptr, size_t bytesize, MUstream hStream) {
  UNUSED(hStream);
  return take(dptr, bytesize);
}

MUresult muMemFree_v2(MUdeviceptr dptr) { return give(dptr); }

MUresult muMemFreeAsync(MUdeviceptr dptr, MUstream hStream) {
  UNUSED(hStream);
  return give(dptr);
}

MUresult muMemCreate(MUmemGenericAllocationHandle *handle, size_t size, const MUmemAllocationProp *prop,
                     unsigned long long flags) {
  UNUSED(flags);
  return prop == NULL ? INVALID : take(handle, size);
}

MUresult muMemRelease(MUmemGenericAllocationHandle handle) { return give(handle); }

MUresult muMemRetainAllocationHandle(MUmemGenericAllocationHandle *handle, void *addr) {
  return card_retain((uintptr_t)addr, handle) ? MUSA_SUCCESS : INVALID;
}

MUresult muMemMap(MUdeviceptr ptr, size_t size, size_t offset, MUmemGenericAllocationHandle handle,
                  unsigned long long flags) {
  UNUSED(offset), UNUSED(flags);
  return card_map(ptr, size, handle) ? MUSA_SUCCESS : INVALID;
}

MUresult muMemUnmap(MUdeviceptr ptr, size_t size) {
  UNUSED(size);
  return card_unmap(ptr) ? MUSA_SUCCESS : INVALID;
}

MUresult muMemGetInfo_v2(size_t *free, size_t *total) {
  if (free == NULL || total == NULL) {
    return INVALID;
  }
  *free = card_bytes() - fake_used_bytes();
  *total = card_bytes();
  return MUSA_SUCCESS;
}

MUresult muLaunchKernel(MUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                        unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                        unsigned int sharedMemBytes, MUstream hStream, void **kernelParams, void **extra) {
  UNUSED(gridDimX), UNUSED(gridDimY), UNUSED(gridDimZ), UNUSED(blockDimX), UNUSED(blockDimY), UNUSED(blockDimZ);
  UNUSED(sharedMemBytes), UNUSED(kernelParams), UNUSED(extra);
  card_launch(hStream, f);
  return MUSA_SUCCESS;
}

static MUresult launch(const void *kernel, MUstream stream) {
  if (kernel == NULL) {
    return INVALID;
  }
  card_launch(stream, kernel);
  return MUSA_SUCCESS;
}

MUresult muLaunchKernel_ptsz(MUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                             unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                             unsigned int sharedMemBytes, MUstream hStream, void **kernelParams, void **extra) {
  return muLaunchKernel(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream,
                        kernelParams, extra);
}

MUresult muGraphLaunch(MUgraphExec hGraphExec, MUstream hStream) { return launch(hGraphExec, hStream); }

/* Not in api.h: the library passes their arguments on unread. */
#pragma GCC visibility push(default)
MUresult muLaunchKernelEx(const void *config, MUfunction f, void **kernelParams, void **extra);
MUresult muLaunchCooperativeKernel(MUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                                   unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                                   unsigned int sharedMemBytes, MUstream hStream, void **kernelParams);
#pragma GCC visibility pop

MUresult muLaunchKernelEx(const void *config, MUfunction f, void **kernelParams, void **extra) {
  bool arrived = config == (const void *)0x22 && kernelParams == (void **)0x33 && extra == (void **)0x44;
  return arrived ? launch(f, NULL) : INVALID;
}

MUresult muLaunchCooperativeKernel(MUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                                   unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                                   unsigned int sharedMemBytes, MUstream hStream, void **kernelParams) {
  bool arrived = gridDimX == 1 && gridDimY == 2 && gridDimZ == 3 && blockDimX == 4 && blockDimY == 5 &&
                 blockDimZ == 6 && sharedMemBytes == 7 && kernelParams == (void **)0x55;
  return arrived ? launch(f, hStream) : INVALID;
}

MUresult muCtxGetDevice(MUdevice *device) {
  *device = card_current();
  return MUSA_SUCCESS;
}

MUresult muCtxSynchronize(void) {
  card_synchronise(NULL);
  return MUSA_SUCCESS;
}

MUresult muEventCreate(MUevent *phEvent, unsigned int Flags) {
  UNUSED(Flags);
  *phEvent = card_event_create();
  return *phEvent == NULL ? INVALID : MUSA_SUCCESS;
}

MUresult muEventRecord(MUevent hEvent, MUstream hStream) {
  card_event_record(hEvent, hStream);
  return MUSA_SUCCESS;
}

MUresult muEventQuery(MUevent hEvent) { return card_event_reached(hEvent) ? MUSA_SUCCESS : NOT_READY; }

MUresult muEventElapsedTime(float *pMilliseconds, MUevent hStart, MUevent hEnd) {
  *pMilliseconds = (float)card_event_between_ns(hStart, hEnd) / 1e6F;
  return MUSA_SUCCESS;
}

MUresult muEventDestroy_v2(MUevent hEvent) {
  card_event_destroy(hEvent);
  return MUSA_SUCCESS;
}

static MUresult use(int device) { return card_use(device) ? MUSA_SUCCESS : INVALID_DEVICE; }

MUresult muGetExportTable(const void **table, const void *uuid) {
  static const struct driver_table functions = {take, give, muMemGetInfo_v2, use, muCtxGetDevice, launch};
  UNUSED(uuid);
  *table = &functions;
  return MUSA_SUCCESS;
}

/* A base name stands for the newest function of it. */
static void *find(const char *symbol, uint64_t flags) {
  const uint64_t per_thread = 2;
  const struct {
    const char *name;
    void *function;
    void *per_thread;
  } table[] = {
      {"muMemAlloc", (void *)(uintptr_t)muMemAlloc_v2, NULL},
      {"muLaunchKernel", (void *)(uintptr_t)muLaunchKernel, (void *)(uintptr_t)muLaunchKernel_ptsz},
      {"muCtxGetDevice", (void *)(uintptr_t)muCtxGetDevice, NULL},
      {"muGetProcAddress", (void *)(uintptr_t)muGetProcAddress_v2, NULL},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (strcmp(symbol, table[i].name) == 0) {
      return flags == per_thread && table[i].per_thread != NULL ? table[i].per_thread : table[i].function;
    }
  }
  return NULL;
}

MUresult muGetProcAddress_v2(const char *symbol, void **pfn, int musaVersion, uint64_t flags, int *symbolStatus) {
  UNUSED(musaVersion);
  *pfn = find(symbol, flags);
  *symbolStatus = *pfn != NULL ? 0 : 1;
  return *pfn != NULL ? MUSA_SUCCESS : INVALID;
}

/* The older ABI: what is in the place of the last argument is anything. */
MUresult muGetProcAddress(const char *symbol, void **pfn, int musaVersion, uint64_t flags, int *symbolStatus) {
  UNUSED(symbolStatus);
  int status = 0;
  return muGetProcAddress_v2(symbol, pfn, musaVersion, flags, &status);
}
