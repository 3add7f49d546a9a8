/*
 * The functions of libmusa (mu) and libmusart (musa) that this library wraps or calls, with the types they need. No
 * public musa.h was found: the signatures are CUDA's with another prefix. Public programs call muLaunchKernel,
 * muCtxGetDevice, muEventQuery, muLaunchKernelEx and muGetProcAddress so; the others are unconfirmed.
 */
#ifndef HAMI_MTHREADS_API_H
#define HAMI_MTHREADS_API_H

#include <stddef.h>
#include <stdint.h>

typedef int MUresult;
typedef int musaError_t;
typedef int MUdevice;
typedef uint64_t MUdeviceptr;
typedef uint64_t MUmemGenericAllocationHandle;
typedef struct MUstream_st *MUstream;
typedef struct MUevent_st *MUevent;
typedef struct MUfunc_st *MUfunction;
typedef struct MUgraphExec_st *MUgraphExec;
typedef struct MUmemPoolHandle_st *MUmemoryPool;

typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t z;
} dim3;

/* The start of MUmemAllocationProp; what follows does not matter here. */
typedef struct {
  int type;
  int requestedHandleTypes;
  struct {
    int type; /* MU_MEM_LOCATION_TYPE_DEVICE is 1 */
    int id;
  } location;
} MUmemAllocationProp;

#define MUSA_SUCCESS 0
#define MUSA_ERROR_OUT_OF_MEMORY 2 /* musaErrorMemoryAllocation is the same number */
#define MUSA_ERROR_NO_DEVICE 100
#define MU_MEM_LOCATION_TYPE_DEVICE 1

#define HAMI_SUCCESS MUSA_SUCCESS
#define HAMI_OUT_OF_MEMORY MUSA_ERROR_OUT_OF_MEMORY
#define HAMI_MISSING MUSA_ERROR_NO_DEVICE

#pragma GCC visibility push(default)

MUresult muMemAlloc_v2(MUdeviceptr *dptr, size_t bytesize);
MUresult muMemAllocManaged(MUdeviceptr *dptr, size_t bytesize, unsigned int flags);
MUresult muMemAllocPitch_v2(MUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
                            unsigned int ElementSizeBytes);
MUresult muMemAllocAsync(MUdeviceptr *dptr, size_t bytesize, MUstream hStream);
MUresult muMemAllocFromPoolAsync(MUdeviceptr *dptr, size_t bytesize, MUmemoryPool pool, MUstream hStream);
MUresult muMemFree_v2(MUdeviceptr dptr);
MUresult muMemFreeAsync(MUdeviceptr dptr, MUstream hStream);

MUresult muMemCreate(MUmemGenericAllocationHandle *handle, size_t size, const MUmemAllocationProp *prop,
                     unsigned long long flags);
MUresult muMemRelease(MUmemGenericAllocationHandle handle);
MUresult muMemRetainAllocationHandle(MUmemGenericAllocationHandle *handle, void *addr);
MUresult muMemMap(MUdeviceptr ptr, size_t size, size_t offset, MUmemGenericAllocationHandle handle,
                  unsigned long long flags);
MUresult muMemUnmap(MUdeviceptr ptr, size_t size);

MUresult muMemGetInfo_v2(size_t *free, size_t *total);
MUresult muDeviceTotalMem_v2(size_t *bytes, MUdevice dev);

MUresult muLaunchKernel(MUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                        unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                        unsigned int sharedMemBytes, MUstream hStream, void **kernelParams, void **extra);
MUresult muGraphLaunch(MUgraphExec hGraphExec, MUstream hStream);

MUresult muLaunchKernel_ptsz(MUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                             unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                             unsigned int sharedMemBytes, MUstream hStream, void **kernelParams, void **extra);
MUresult muGraphLaunch_ptsz(MUgraphExec hGraphExec, MUstream hStream);
MUresult muMemAllocAsync_ptsz(MUdeviceptr *dptr, size_t bytesize, MUstream hStream);
MUresult muMemAllocFromPoolAsync_ptsz(MUdeviceptr *dptr, size_t bytesize, MUmemoryPool pool, MUstream hStream);
MUresult muMemFreeAsync_ptsz(MUdeviceptr dptr, MUstream hStream);

/* The last argument of each is the newer ABI's; a call of the older one leaves it open, and the driver ignores it. */
MUresult muGetProcAddress(const char *symbol, void **pfn, int musaVersion, uint64_t flags, int *symbolStatus);
MUresult muGetProcAddress_v2(const char *symbol, void **pfn, int musaVersion, uint64_t flags, int *symbolStatus);
musaError_t musaGetDriverEntryPoint(const char *symbol, void **funcPtr, unsigned long long flags, int *status);
musaError_t musaGetDriverEntryPoint_ptsz(const char *symbol, void **funcPtr, unsigned long long flags, int *status);

MUresult muCtxGetDevice(MUdevice *device);
MUresult muEventCreate(MUevent *phEvent, unsigned int Flags);
MUresult muEventRecord(MUevent hEvent, MUstream hStream);
MUresult muEventQuery(MUevent hEvent);
MUresult muEventElapsedTime(float *pMilliseconds, MUevent hStart, MUevent hEnd);
MUresult muEventDestroy_v2(MUevent hEvent);
MUresult muStreamIsCapturing(MUstream hStream, int *captureStatus);

musaError_t musaMalloc(void **devPtr, size_t size);
musaError_t musaMallocManaged(void **devPtr, size_t size, unsigned int flags);
musaError_t musaMallocPitch(void **devPtr, size_t *pitch, size_t width, size_t height);
musaError_t musaMallocAsync(void **devPtr, size_t size, MUstream hStream);
musaError_t musaMallocFromPoolAsync(void **ptr, size_t size, MUmemoryPool memPool, MUstream stream);
musaError_t musaFree(void *devPtr);
musaError_t musaFreeAsync(void *devPtr, MUstream hStream);
musaError_t musaMemGetInfo(size_t *free, size_t *total);
musaError_t musaLaunchKernel(const void *func, dim3 gridDim, dim3 blockDim, void **args, size_t sharedMem,
                             MUstream stream);
musaError_t musaGraphLaunch(MUgraphExec graphExec, MUstream stream);
musaError_t musaLaunchKernel_ptsz(const void *func, dim3 gridDim, dim3 blockDim, void **args, size_t sharedMem,
                                  MUstream stream);
musaError_t musaGraphLaunch_ptsz(MUgraphExec graphExec, MUstream stream);
musaError_t musaMallocAsync_ptsz(void **devPtr, size_t size, MUstream hStream);
musaError_t musaMallocFromPoolAsync_ptsz(void **ptr, size_t size, MUmemoryPool memPool, MUstream stream);
musaError_t musaFreeAsync_ptsz(void *devPtr, MUstream hStream);
musaError_t musaGetDevice(int *device);

#pragma GCC visibility pop

#endif
