/*
 * The functions of libcndrv (cn) and libcnrt (cnrt) that this library wraps or calls, with the types they need: facts
 * of the interface, read in public copies of its headers. Results are 32-bit, device addresses 64-bit; a queue of the
 * runtime is one of the driver. Not read in a header: cnMemCreate and cnMemRelease, whose calls in public programs have
 * CUDA's shape; cnInvokeKernel, which two public interposers declare alike; and cnrtTaskTopoEntityInvoke, called so by
 * public programs.
 */
#ifndef HAMI_MLU_API_H
#define HAMI_MLU_API_H

#include <stddef.h>
#include <stdint.h>

typedef int CNresult;
typedef int cnrtRet_t;
typedef int CNdev;
typedef uint64_t CNaddr;
typedef uint64_t cn_uint64_t;
typedef uint64_t CNmemGenericAllocationHandle;
typedef int KernelClass;
typedef int CNqueueCaptureStatus;
typedef struct CNqueue_st *CNqueue;
typedef struct CNnotifier_st *CNnotifier;
typedef struct CNkernel_st *CNkernel;
typedef struct CNmemPool_st *CNmemoryPool;
typedef struct CNmemAllocationProp_st CNmemAllocationProp;
typedef struct CNtaskTopoEntity_st *cnrtTaskTopoEntity_t;

#define CN_SUCCESS 0
#define CN_ERROR_NOT_READY 1
#define CN_MEMORY_ERROR_OUT_OF_MEMORY 100100 /* cnrtErrorNoMem is the same number */
#define CNRT_ERROR_NO_DEVICE 100004

#define HAMI_SUCCESS CN_SUCCESS
#define HAMI_OUT_OF_MEMORY CN_MEMORY_ERROR_OUT_OF_MEMORY
#define HAMI_MISSING CNRT_ERROR_NO_DEVICE

#pragma GCC visibility push(default)

CNresult cnMalloc(CNaddr *pmluAddr, cn_uint64_t bytes);
CNresult cnMallocSecurity(CNaddr *pmluAddr, cn_uint64_t bytes);
CNresult cnZmalloc(CNaddr *pmluAddr, cn_uint64_t bytes);
CNresult cnMallocConstant(CNaddr *pmluAddr, cn_uint64_t bytes);
CNresult cnMallocPeerAble(CNaddr *pmluAddr, cn_uint64_t bytes);
CNresult cnMallocNode(CNaddr *pmluAddr, cn_uint64_t bytes, int node);
CNresult cnZmallocNode(CNaddr *pmluAddr, cn_uint64_t bytes, int node);
CNresult cnMallocNodeConstant(CNaddr *pmluAddr, cn_uint64_t bytes, int node);
CNresult cnMallocFrameBuffer(CNaddr *pmluAddr, cn_uint64_t bytes, int node);
CNresult cnMemAllocAsync(CNaddr *pmluAddr, size_t bytes, CNqueue queue);
CNresult cnMemAllocFromPoolAsync(CNaddr *pmluAddr, size_t bytes, CNmemoryPool pool, CNqueue queue);
CNresult cnFree(CNaddr mluAddr);
CNresult cnMemFreeAsync(CNaddr mluAddr, CNqueue queue);

CNresult cnMemCreate(CNmemGenericAllocationHandle *handle, cn_uint64_t size, const CNmemAllocationProp *prop,
                     cn_uint64_t flags);
CNresult cnMemRelease(CNmemGenericAllocationHandle handle);
CNresult cnMemMap(CNaddr addr, cn_uint64_t size, cn_uint64_t offset, CNmemGenericAllocationHandle handle,
                  cn_uint64_t flags);
CNresult cnMemUnmap(CNaddr addr, cn_uint64_t size);

CNresult cnMemGetInfo(cn_uint64_t *free, cn_uint64_t *total);
CNresult cnMemGetNodeInfo(cn_uint64_t *free, cn_uint64_t *total, int node);
CNresult cnGetExportFunction(const char *name, const void **fn);
CNresult cnCtxGetDevice(CNdev *dev);

CNresult cnInvokeKernel(CNkernel hkernel, unsigned int dimx, unsigned int dimy, unsigned int dimz, KernelClass c,
                        unsigned int reserve, CNqueue hqueue, void **kernelParams, void **extra);
CNresult cnCreateNotifier(CNnotifier *phnotifier, unsigned int flags);
CNresult cnDestroyNotifier(CNnotifier hnotifier);
CNresult cnPlaceNotifier(CNnotifier hnotifier, CNqueue hqueue);
CNresult cnQueryNotifier(CNnotifier hnotifier);
CNresult cnNotifierElapsedTime(float *pMilliseconds, CNnotifier hstart, CNnotifier hend);
CNresult cnQueueSync(CNqueue hqueue);
CNresult cnQueueIsCapturing(CNqueue hQueue, CNqueueCaptureStatus *pCaptureStatus);

cnrtRet_t cnrtMalloc(void **pPtr, size_t bytes);
cnrtRet_t cnrtFree(void *ptr);
cnrtRet_t cnrtMemGetInfo(size_t *free, size_t *total);
cnrtRet_t cnrtTaskTopoEntityInvoke(cnrtTaskTopoEntity_t entity, CNqueue queue);
cnrtRet_t cnrtQueueCreate(CNqueue *pQueue);
cnrtRet_t cnrtGetDevice(int *ordinal);
cnrtRet_t cnrtSetDevice(int ordinal);

#pragma GCC visibility pop

#endif
