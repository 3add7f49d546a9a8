/* What a pointer is, and advice about managed memory. */
#include <string.h>

#include "driver.h"

static CUmemorytype memory_type(const struct fake_block *block) {
  return block->kind == FAKE_BLOCK_HOST || block->unit < 0 ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
}

static CUdevice device_of(const struct fake_block *block) {
  for (int i = 0; i < fake_driver.device_count; i++) {
    if (fake_driver.units[i] == block->unit) {
      return i;
    }
  }
  return -1;
}

#define GIVE(type, value)                                                                                              \
  do {                                                                                                                 \
    type given = (value);                                                                                              \
    memcpy(out, &given, sizeof given);                                                                                 \
    return CUDA_SUCCESS;                                                                                               \
  } while (0)

/* Needs fake_lock. */
static CUresult attribute_of(const struct fake_block *block, CUdeviceptr pointer, CUpointer_attribute attribute,
                             void *out) {
  switch ((int)attribute) {
  case CU_POINTER_ATTRIBUTE_CONTEXT:
    GIVE(CUcontext, (CUcontext)block->context);
  case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    GIVE(CUmemorytype, memory_type(block));
  case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    GIVE(CUdeviceptr, pointer);
  case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    if (block->kind != FAKE_BLOCK_HOST && block->kind != FAKE_BLOCK_MANAGED) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    GIVE(void *, (void *)(uintptr_t)pointer);
  case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    GIVE(unsigned long long, block->id);
  case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    GIVE(unsigned, block->kind == FAKE_BLOCK_MANAGED);
  case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    GIVE(int, device_of(block));
  case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    GIVE(unsigned, block->kind == FAKE_BLOCK_DEVICE);
  case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    GIVE(CUdeviceptr, block->base);
  case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    GIVE(size_t, block->size);
  case CU_POINTER_ATTRIBUTE_MAPPED:
    GIVE(unsigned, 1);
  case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
    GIVE(unsigned long long, 0);
  case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
    GIVE(unsigned, CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE);
  case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
    GIVE(CUmemoryPool, (CUmemoryPool)block->pool);
  case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    GIVE(unsigned, 0);
  default:
    return CUDA_ERROR_NOT_SUPPORTED;
  }
}

CUresult cuPointerGetAttribute(void *out, CUpointer_attribute attribute, CUdeviceptr pointer) {
  FAKE_ENTER(cuPointerGetAttribute);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  const struct fake_block *block = fake_block_at(pointer);
  CUresult result = block == NULL ? CUDA_ERROR_INVALID_VALUE : attribute_of(block, pointer, attribute, out);
  pthread_mutex_unlock(&fake_lock);
  return result;
}

static size_t attribute_bytes(CUpointer_attribute attribute) {
  switch ((int)attribute) {
  case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
  case CU_POINTER_ATTRIBUTE_IS_MANAGED:
  case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
  case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
  case CU_POINTER_ATTRIBUTE_MAPPED:
  case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
  case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    return 4;
  default:
    return 8;
  }
}

/* Unlike the call for one attribute, this one answers zeroes for a pointer that CUDA does not know. */
CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute *attributes, void **out, CUdeviceptr pointer) {
  FAKE_ENTER(cuPointerGetAttributes);
  if (attributes == NULL || out == NULL || count == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  const struct fake_block *block = fake_block_at(pointer);
  for (unsigned i = 0; i < count; i++) {
    if (block == NULL || attribute_of(block, pointer, attributes[i], out[i]) != CUDA_SUCCESS) {
      memset(out[i], 0, attribute_bytes(attributes[i]));
      if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
        memcpy(out[i], &(int){-2}, sizeof(int)); /* "no device", as documented */
      }
    }
  }
  pthread_mutex_unlock(&fake_lock);
  return CUDA_SUCCESS;
}

CUresult cuPointerSetAttribute(const void *value, CUpointer_attribute attribute, CUdeviceptr pointer) {
  FAKE_ENTER(cuPointerSetAttribute);
  pthread_mutex_lock(&fake_lock);
  bool known = fake_block_at(pointer) != NULL;
  pthread_mutex_unlock(&fake_lock);
  bool good = known && value != NULL && attribute == CU_POINTER_ATTRIBUTE_SYNC_MEMOPS;
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult prefetch(CUdeviceptr pointer, size_t bytes) {
  pthread_mutex_lock(&fake_lock);
  const struct fake_block *block = fake_block_at(pointer);
  bool good = block != NULL && block->kind == FAKE_BLOCK_MANAGED && bytes <= block->size - (pointer - block->base);
  pthread_mutex_unlock(&fake_lock);
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAdvise(CUdeviceptr pointer, size_t bytes, CUmem_advise advice, CUdevice device) {
  FAKE_ENTER(cuMemAdvise);
  return fake_residency_advise(pointer, bytes, advice, device == CU_DEVICE_CPU);
}

CUresult cuMemAdvise_v2(CUdeviceptr pointer, size_t bytes, CUmem_advise advice, CUmemLocation location) {
  FAKE_ENTER(cuMemAdvise_v2);
  return fake_residency_advise(pointer, bytes, advice, location.type != CU_MEM_LOCATION_TYPE_DEVICE);
}

CUresult cuMemPrefetchAsync(CUdeviceptr pointer, size_t bytes, CUdevice device, CUstream stream) {
  FAKE_ENTER(cuMemPrefetchAsync);
  (void)device;
  (void)stream;
  return prefetch(pointer, bytes);
}

CUresult cuMemPrefetchAsync_v2(CUdeviceptr pointer, size_t bytes, CUmemLocation location, unsigned flags,
                               CUstream stream) {
  FAKE_ENTER(cuMemPrefetchAsync_v2);
  (void)location;
  (void)flags;
  (void)stream;
  return prefetch(pointer, bytes);
}
