/* Stream-ordered allocation: cuMemAllocAsync, cuMemAllocFromPoolAsync, cuMemFreeAsync, pools; all stream twins. */
#include "books.h"
#include "capture.h"
#include "deferred.h"
#include "devices.h"
#include "graph_memory.h"
#include "hook.h"
#include "pools.h"
#include "settle.h"
#include "spill.h"

typedef __typeof__(&cuMemFreeAsync) free_async_function;
typedef __typeof__(&cuMemAllocAsync) allocate_async_function;
typedef __typeof__(&cuMemAllocFromPoolAsync) allocate_from_pool_function;

/* Ends an allocation that the driver made and the books cannot keep. */
static CUresult undo(free_async_function release, CUdeviceptr pointer, CUstream stream) {
  if (release != NULL) {
    (void)release(pointer, stream);
  }
  (void)hami_pools_refresh();
  return CUDA_ERROR_OUT_OF_MEMORY;
}

/*
 * Host memory in place of a pool's, which is there at once and for every stream. Not for a pool whose memory the
 * program means to share or has capped: there the driver's answer is what it asked for.
 */
static CUresult spill(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, int device) {
  struct hami_charge charge;
  (void)hami_deferred_poll();
  if (hami_pools_special(pool) || !hami_books_reserve(&charge, device, HAMI_CLASS_MANAGED, bytes)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUcontext context = NULL;
  (void)hami_devices_current(&context);
  charge.owner = (const void *)context;
  CUresult result = hami_spill_allocate(dptr, bytes, &charge);
  return hami_settle_allocation(result, &charge, result == CUDA_SUCCESS ? *dptr : 0);
}

static CUresult allocate_async(allocate_async_function real, free_async_function release, CUdeviceptr *dptr,
                               size_t bytesize, CUstream stream, bool per_thread) {
  if (dptr == NULL) {
    return real(dptr, bytesize, stream);
  }
  if (hami_capture_active(stream, per_thread)) {
    /* A capture allocates nothing now: it records a memory node, counted when its graph runs. */
    CUresult result = real(dptr, bytesize, stream);
    if (result == CUDA_SUCCESS) {
      hami_graph_memory_expect();
    }
    return result;
  }
  CUmemoryPool pool = hami_pools_of_stream(stream, per_thread);
  if (pool == NULL) {
    return real(dptr, bytesize, stream);
  }
  struct hami_charge charge;
  if (!hami_pools_reserve(pool, bytesize, &charge)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUresult result = real(dptr, bytesize, stream);
  bool kept = hami_pools_settle(pool, result, result == CUDA_SUCCESS ? *dptr : 0, bytesize, &charge);
  if (hami_spill_wanted(result, charge.device)) {
    return spill(dptr, bytesize, pool, charge.device);
  }
  return kept ? result : undo(release, *dptr, stream);
}

CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream) {
  HAMI_CUDA_ENTER(cuMemAllocAsync, dptr, bytesize, hStream);
  CUresult result = allocate_async(real, HAMI_REAL(cuMemFreeAsync), dptr, bytesize, hStream, false);
  HAMI_LEAVE(result);
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytesize, CUstream hStream) {
  HAMI_CUDA_ENTER(cuMemAllocAsync_ptsz, dptr, bytesize, hStream);
  CUresult result = allocate_async(real, HAMI_REAL(cuMemFreeAsync_ptsz), dptr, bytesize, hStream, true);
  HAMI_LEAVE(result);
}

static CUresult allocate_from_pool(allocate_from_pool_function real, free_async_function release, CUdeviceptr *dptr,
                                   size_t bytesize, CUmemoryPool pool, CUstream stream, bool per_thread) {
  if (dptr == NULL || pool == NULL) {
    return real(dptr, bytesize, pool, stream);
  }
  if (hami_capture_active(stream, per_thread)) {
    CUresult result = real(dptr, bytesize, pool, stream);
    if (result == CUDA_SUCCESS) {
      hami_graph_memory_expect();
    }
    return result;
  }
  struct hami_charge charge;
  if (!hami_pools_reserve(pool, bytesize, &charge)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUresult result = real(dptr, bytesize, pool, stream);
  bool kept = hami_pools_settle(pool, result, result == CUDA_SUCCESS ? *dptr : 0, bytesize, &charge);
  if (hami_spill_wanted(result, charge.device)) {
    return spill(dptr, bytesize, pool, charge.device);
  }
  return kept ? result : undo(release, *dptr, stream);
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool, CUstream hStream) {
  HAMI_CUDA_ENTER(cuMemAllocFromPoolAsync, dptr, bytesize, pool, hStream);
  CUresult result = allocate_from_pool(real, HAMI_REAL(cuMemFreeAsync), dptr, bytesize, pool, hStream, false);
  HAMI_LEAVE(result);
}

CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool, CUstream hStream) {
  HAMI_CUDA_ENTER(cuMemAllocFromPoolAsync_ptsz, dptr, bytesize, pool, hStream);
  CUresult result = allocate_from_pool(real, HAMI_REAL(cuMemFreeAsync_ptsz), dptr, bytesize, pool, hStream, true);
  HAMI_LEAVE(result);
}

static CUresult free_async(free_async_function real, CUdeviceptr dptr, CUstream stream, bool per_thread) {
  if (hami_capture_active(stream, per_thread)) {
    return real(dptr, stream); /* records a free node; nothing is freed now */
  }
  if (hami_deferred_holds(dptr)) {
    return CUDA_ERROR_INVALID_VALUE; /* freed a second time */
  }
  struct hami_charge charge;
  bool known = hami_books_take(HAMI_BOOKS_POINTER, dptr, &charge);
  if (known && charge.spilled) {
    CUresult result = hami_deferred_free(dptr, stream, per_thread, &charge);
    if (result != CUDA_SUCCESS) {
      (void)hami_books_record(HAMI_BOOKS_POINTER, dptr, &charge);
    }
    return result;
  }
  CUresult result = real(dptr, stream);
  hami_settle_free(result, known, dptr, &charge);
  return result;
}

CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream) {
  HAMI_CUDA_ENTER(cuMemFreeAsync, dptr, hStream);
  CUresult result = free_async(real, dptr, hStream, false);
  HAMI_LEAVE(result);
}

CUresult cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream hStream) {
  HAMI_CUDA_ENTER(cuMemFreeAsync_ptsz, dptr, hStream);
  CUresult result = free_async(real, dptr, hStream, true);
  HAMI_LEAVE(result);
}

/* Managed memory counts wherever it would rather be, as what cuMemAllocManaged gives does. */
static int device_of_pool(const CUmemPoolProps *props) {
  CUdevice ordinal = hami_devices_ordinal_of_location(&props->location);
  if (ordinal >= 0) {
    return hami_devices_of_ordinal(ordinal);
  }
  return props->allocType == CU_MEM_ALLOCATION_TYPE_MANAGED ? hami_devices_current(NULL) : HAMI_NO_DEVICE;
}

CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *poolProps) {
  HAMI_CUDA_ENTER(cuMemPoolCreate, pool, poolProps);
  CUresult result = real(pool, poolProps);
  if (result == CUDA_SUCCESS && pool != NULL && poolProps != NULL) {
    hami_pools_created(*pool, device_of_pool(poolProps),
                       poolProps->handleTypes != CU_MEM_HANDLE_TYPE_NONE || poolProps->maxSize != 0);
  }
  HAMI_LEAVE(result);
}

CUresult cuMemPoolDestroy(CUmemoryPool pool) {
  HAMI_CUDA_ENTER(cuMemPoolDestroy, pool);
  uint64_t used_bytes = pool == NULL ? 0 : hami_pools_used_bytes(pool);
  CUresult result = real(pool);
  if (result == CUDA_SUCCESS) {
    hami_pools_destroyed(pool, used_bytes);
  }
  HAMI_LEAVE(result);
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep) {
  HAMI_CUDA_ENTER(cuMemPoolTrimTo, pool, minBytesToKeep);
  CUresult result = real(pool, minBytesToKeep);
  (void)hami_pools_refresh();
  (void)hami_deferred_poll();
  HAMI_LEAVE(result);
}
