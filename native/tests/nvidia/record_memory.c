/* The recorder's functions that get memory and give it back. */
#include "record_calls.h"

/* A pointer that failed to be given has a number all the same: the replayed call needs a place for it. */
static unsigned int given(CUresult code, const CUdeviceptr *pointer, size_t bytes) {
  return code == CUDA_SUCCESS ? NEW(POINTER, *pointer, bytes) : RECORD_NOTHING;
}

RECORDED(cuMemAlloc_v2, (CUdeviceptr * dptr, size_t bytesize), (dptr, bytesize)) {
  record_line(code, "alloc %u %zu", given(code, dptr, bytesize), bytesize);
}

RECORDED(cuMemAllocManaged, (CUdeviceptr * dptr, size_t bytesize, unsigned int flags), (dptr, bytesize, flags)) {
  (void)flags;
  record_line(code, "managed %u %zu", given(code, dptr, bytesize), bytesize);
}

RECORDED(cuMemAllocPitch_v2,
         (CUdeviceptr * dptr, size_t *pPitch, size_t WidthInBytes, size_t Height, unsigned int ElementSizeBytes),
         (dptr, pPitch, WidthInBytes, Height, ElementSizeBytes)) {
  (void)ElementSizeBytes;
  record_line(code, "pitch %u %zu %zu", given(code, dptr, pPitch == NULL ? 0 : *pPitch * Height), WidthInBytes, Height);
}

RECORDED(cuMemFree_v2, (CUdeviceptr dptr), (dptr)) {
  struct record_place place;
  if (record_place(dptr, &place)) {
    record_line(code, "free %s", place.text);
    GONE(POINTER, dptr);
  }
}

RECORDED(cuMemAllocAsync, (CUdeviceptr * dptr, size_t bytesize, CUstream hStream), (dptr, bytesize, hStream)) {
  record_line(code, "async %u %zu %u", given(code, dptr, bytesize), bytesize, NUMBER(STREAM, hStream));
}

RECORDED(cuMemAllocFromPoolAsync, (CUdeviceptr * dptr, size_t bytesize, CUmemoryPool pool, CUstream hStream),
         (dptr, bytesize, pool, hStream)) {
  record_line(code, "frompool %u %zu %u %u", given(code, dptr, bytesize), bytesize, NUMBER(POOL, pool),
              NUMBER(STREAM, hStream));
}

RECORDED(cuMemFreeAsync, (CUdeviceptr dptr, CUstream hStream), (dptr, hStream)) {
  struct record_place place;
  if (record_place(dptr, &place)) {
    record_line(code, "freeasync %s %u", place.text, NUMBER(STREAM, hStream));
    GONE(POINTER, dptr);
  }
}

RECORDED(cuMemPoolCreate, (CUmemoryPool * pool, const CUmemPoolProps *poolProps), (pool, poolProps)) {
  (void)poolProps;
  if (code == CUDA_SUCCESS) {
    record_line(code, "pool %u", NEW(POOL, *pool, 0));
  }
}

RECORDED(cuMemPoolDestroy, (CUmemoryPool pool), (pool)) {
  record_line(code, "unpool %u", NUMBER(POOL, pool));
  GONE(POOL, pool);
}

RECORDED(cuMemPoolSetAttribute, (CUmemoryPool pool, CUmemPool_attribute attr, void *value), (pool, attr, value)) {
  if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) {
    record_line(code, "keep %u %llu", NUMBER(POOL, pool), (unsigned long long)*(const cuuint64_t *)value);
  }
}

RECORDED(cuMemPoolTrimTo, (CUmemoryPool pool, size_t minBytesToKeep), (pool, minBytesToKeep)) {
  record_line(code, "trim %u %zu", NUMBER(POOL, pool), minBytesToKeep);
}

RECORDED(cuMemCreate,
         (CUmemGenericAllocationHandle * handle, size_t size, const CUmemAllocationProp *prop,
          unsigned long long flags),
         (handle, size, prop, flags)) {
  (void)flags;
  unsigned int number = code == CUDA_SUCCESS ? NEW(HANDLE, *handle, 0) : RECORD_NOTHING;
  record_line(code, "create %u %zu %d", number, size, prop != NULL && prop->requestedHandleTypes != 0);
}

RECORDED(cuMemRelease, (CUmemGenericAllocationHandle handle), (handle)) {
  if (NUMBER(HANDLE, handle) != RECORD_UNKNOWN) {
    record_line(code, "release %u", NUMBER(HANDLE, handle));
    GONE(HANDLE, handle);
  }
}

RECORDED(cuMemExportToShareableHandle,
         (void *shareableHandle, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType handleType,
          unsigned long long flags),
         (shareableHandle, handle, handleType, flags)) {
  (void)shareableHandle;
  (void)flags;
  if (handleType == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR && NUMBER(HANDLE, handle) != RECORD_UNKNOWN) {
    record_line(code, "export %u", NUMBER(HANDLE, handle));
  }
}

RECORDED(cuMemAddressReserve,
         (CUdeviceptr * ptr, size_t size, size_t alignment, CUdeviceptr addr, unsigned long long flags),
         (ptr, size, alignment, addr, flags)) {
  (void)alignment;
  (void)addr;
  (void)flags;
  record_line(code, "reserve %u %zu", given(code, ptr, size), size);
}

RECORDED(cuMemAddressFree, (CUdeviceptr ptr, size_t size), (ptr, size)) {
  struct record_place place;
  (void)size;
  if (record_place(ptr, &place)) {
    record_line(code, "unreserve %s", place.text);
    GONE(POINTER, ptr);
  }
}

RECORDED(cuMemMap,
         (CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags),
         (ptr, size, offset, handle, flags)) {
  struct record_place place;
  (void)offset;
  (void)flags;
  if (record_place(ptr, &place)) {
    record_line(code, "map %s %u %zu", place.text, NUMBER(HANDLE, handle), size);
  }
}

RECORDED(cuMemSetAccess, (CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count),
         (ptr, size, desc, count)) {
  struct record_place place;
  (void)desc;
  (void)count;
  if (record_place(ptr, &place)) {
    record_line(code, "access %s %zu", place.text, size);
  }
}

RECORDED(cuMemUnmap, (CUdeviceptr ptr, size_t size), (ptr, size)) {
  struct record_place place;
  if (record_place(ptr, &place)) {
    record_line(code, "unmap %s %zu", place.text, size);
  }
}

RECORDED(cuIpcGetMemHandle, (CUipcMemHandle * pHandle, CUdeviceptr dptr), (pHandle, dptr)) {
  struct record_place place;
  (void)pHandle;
  if (record_place(dptr, &place)) {
    record_line(code, "ipc %s", place.text);
  }
}

RECORDED(cuMemHostAlloc, (void **pp, size_t bytesize, unsigned int Flags), (pp, bytesize, Flags)) {
  (void)Flags;
  if (code == CUDA_SUCCESS) {
    record_line(code, "host %u %zu", NEW(BUFFER, *pp, 0), bytesize);
  }
}

RECORDED(cuMemFreeHost, (void *p), (p)) {
  if (NUMBER(BUFFER, p) != RECORD_UNKNOWN) {
    record_line(code, "unhost %u", NUMBER(BUFFER, p));
    GONE(BUFFER, p);
  }
}
