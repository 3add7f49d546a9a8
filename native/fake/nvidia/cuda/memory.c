#include <string.h>

#include "driver.h"

uint64_t fake_round_up(uint64_t bytes, uint64_t granularity) {
  return (bytes + granularity - 1) / granularity * granularity;
}

CUresult fake_memory_allocate(struct fake_context *context, size_t bytes, enum fake_block_kind kind, uint64_t charge,
                              struct fake_block **out) {
  if (charge > 0 && !fake_state_charge(fake_driver.state, context->unit, charge)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_new(bytes, 0, kind, context);
  if (block != NULL) {
    block->charged = charge;
    block->unit = context->unit;
  }
  pthread_mutex_unlock(&fake_lock);
  if (block == NULL) {
    fake_state_uncharge(fake_driver.state, context->unit, charge);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *out = block;
  return CUDA_SUCCESS;
}

void fake_memory_release(struct fake_block *block) {
  if (block->kind == FAKE_BLOCK_POOL) {
    fake_pool_give_back(block);
  } else if (block->shared_id != 0) {
    fake_state_let_go(fake_driver.state, block->shared_id);
  } else if (block->charged > 0) {
    fake_state_uncharge(fake_driver.state, block->unit, block->charged);
  }
  fake_block_delete(block);
}

static CUresult allocate(CUdeviceptr *out, size_t bytes, enum fake_block_kind kind) {
  struct fake_context *context = NULL;
  struct fake_block *block = NULL;
  FAKE_TRY(fake_current(&context));
  FAKE_TRY(fake_capture_allow_unsafe(context));
  if (out == NULL || bytes == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (bytes > SIZE_MAX - FAKE_CHUNK_BYTES) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  FAKE_TRY(fake_memory_allocate(context, bytes, kind, fake_round_up(bytes, fake_driver.small_bytes), &block));
  *out = block->base;
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t bytes) {
  FAKE_ENTER(cuMemAlloc_v2);
  fake_call_self("cuMemGetInfo_v2");
  return allocate(out, bytes, FAKE_BLOCK_DEVICE);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *out, size_t *pitch, size_t width, size_t height, unsigned element_bytes) {
  FAKE_ENTER(cuMemAllocPitch_v2);
  const size_t pitch_alignment = 512;
  size_t bytes = 0;
  if (pitch == NULL || width == 0 || height == 0 || (element_bytes != 4 && element_bytes != 8 && element_bytes != 16)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (width > SIZE_MAX - pitch_alignment ||
      __builtin_mul_overflow(fake_round_up(width, pitch_alignment), height, &bytes)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  fake_call_self("cuMemAlloc_v2");
  FAKE_TRY(allocate(out, bytes, FAKE_BLOCK_DEVICE));
  *pitch = fake_round_up(width, pitch_alignment);
  return CUDA_SUCCESS;
}

/* Managed memory may exceed the card: what does not fit lives on the host and charges nothing. */
CUresult cuMemAllocManaged(CUdeviceptr *out, size_t bytes, unsigned flags) {
  FAKE_ENTER(cuMemAllocManaged);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  FAKE_TRY(fake_capture_allow_unsafe(context));
  if (out == NULL || bytes == 0 || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (bytes > SIZE_MAX - FAKE_CHUNK_BYTES) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  uint64_t wanted = fake_round_up(bytes, fake_driver.small_bytes);
  uint64_t charged = fake_state_charge_up_to(fake_driver.state, context->unit, wanted);
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_new(bytes, 0, FAKE_BLOCK_MANAGED, context);
  if (block != NULL) {
    fake_residency_made();
    block->unit = context->unit;
    block->charged = charged;
    block->flags = flags;
    block->touched = true; /* the host may write at any time */
    *out = block->base;
  }
  pthread_mutex_unlock(&fake_lock);
  if (block == NULL) {
    fake_state_uncharge(fake_driver.state, context->unit, charged);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  return CUDA_SUCCESS;
}

static bool freeable(const struct fake_block *block) {
  switch (block->kind) {
  case FAKE_BLOCK_DEVICE:
  case FAKE_BLOCK_MANAGED:
  case FAKE_BLOCK_POOL:
  case FAKE_BLOCK_EXTERNAL:
    return true;
  case FAKE_BLOCK_GRAPH:
  case FAKE_BLOCK_HOST:
  case FAKE_BLOCK_RESERVATION:
  case FAKE_BLOCK_PHYSICAL:
  case FAKE_BLOCK_IPC:
  case FAKE_BLOCK_ARRAY:
  default:
    return false;
  }
}

CUresult cuMemFree_v2(CUdeviceptr pointer) {
  FAKE_ENTER(cuMemFree_v2);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  FAKE_TRY(fake_capture_allow_unsafe(context));
  if (pointer == 0) {
    return CUDA_SUCCESS;
  }
  fake_call_self("cuCtxGetCurrent");
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(pointer);
  bool good = block != NULL && block->base == pointer && freeable(block);
  bool graph = block != NULL && block->base == pointer && block->kind == FAKE_BLOCK_GRAPH;
  struct fake_context *owner = good ? block->context : NULL;
  pthread_mutex_unlock(&fake_lock);
  if (graph) {
    return fake_graph_block_release(block);
  }
  if (!good) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  /* Work under way may still use the memory; the real call waits for it too. */
  if (owner != NULL) {
    fake_context_wait(owner);
  }
  pthread_mutex_lock(&fake_lock);
  block = fake_block_at(pointer);
  good = block != NULL && block->base == pointer;
  if (good) {
    fake_memory_release(block);
  }
  pthread_mutex_unlock(&fake_lock);
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  FAKE_ENTER(cuMemGetInfo_v2);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  uint64_t capacity = fake_driver.machine->units[context->unit].memory_bytes;
  uint64_t used = fake_state_used(fake_driver.state, context->unit);
  if (free_bytes != NULL) {
    *free_bytes = used < capacity ? capacity - used : 0;
  }
  if (total != NULL) {
    *total = capacity;
  }
  return CUDA_SUCCESS;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr pointer) {
  FAKE_ENTER(cuMemGetAddressRange_v2);
  pthread_mutex_lock(&fake_lock);
  const struct fake_block *block = fake_block_at(pointer);
  bool found = block != NULL && block->kind != FAKE_BLOCK_HOST;
  if (found && base != NULL) {
    *base = block->base;
  }
  if (found && size != NULL) {
    *size = block->size;
  }
  pthread_mutex_unlock(&fake_lock);
  return found ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

/* ---- host memory: charges no card ------------------------------------------------------------------------------ */

static CUresult allocate_host(void **out, size_t bytes, unsigned flags) {
  struct fake_context *context = NULL;
  struct fake_block *block = NULL;
  FAKE_TRY(fake_current(&context));
  if (out == NULL || bytes == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(fake_memory_allocate(context, bytes, FAKE_BLOCK_HOST, 0, &block));
  block->flags = flags;
  block->touched = true;
  *out = (void *)(uintptr_t)block->base;
  return CUDA_SUCCESS;
}

CUresult cuMemAllocHost_v2(void **out, size_t bytes) {
  FAKE_ENTER(cuMemAllocHost_v2);
  return allocate_host(out, bytes, 0);
}

CUresult cuMemAllocHost(void **out, unsigned bytes) {
  FAKE_ENTER(cuMemAllocHost);
  return allocate_host(out, bytes, 0);
}

CUresult cuMemHostAlloc(void **out, size_t bytes, unsigned flags) {
  FAKE_ENTER(cuMemHostAlloc);
  return allocate_host(out, bytes, flags);
}

CUresult cuMemFreeHost(void *pointer) {
  FAKE_ENTER(cuMemFreeHost);
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at((CUdeviceptr)(uintptr_t)pointer);
  bool good = block != NULL && block->kind == FAKE_BLOCK_HOST && block->base == (CUdeviceptr)(uintptr_t)pointer;
  if (good) {
    fake_memory_release(block);
  }
  pthread_mutex_unlock(&fake_lock);
  return good || pointer == NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *out, void *pointer, unsigned flags) {
  FAKE_ENTER(cuMemHostGetDevicePointer_v2);
  (void)flags;
  if (out == NULL || pointer == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUdeviceptr)(uintptr_t)pointer;
  return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned *flags, void *pointer) {
  FAKE_ENTER(cuMemHostGetFlags);
  pthread_mutex_lock(&fake_lock);
  const struct fake_block *block = fake_block_at((CUdeviceptr)(uintptr_t)pointer);
  bool good = flags != NULL && block != NULL && block->kind == FAKE_BLOCK_HOST;
  if (good) {
    *flags = block->flags;
  }
  pthread_mutex_unlock(&fake_lock);
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemHostRegister_v2(void *pointer, size_t bytes, unsigned flags) {
  FAKE_ENTER(cuMemHostRegister_v2);
  (void)flags;
  return pointer == NULL || bytes == 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuMemHostUnregister(void *pointer) {
  FAKE_ENTER(cuMemHostUnregister);
  return pointer == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
