#include "driver.h"

static CUresult synchronise(struct fake_context *context) {
  if (fake_capture_poison(context)) {
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  fake_context_wait(context);
  return CUDA_SUCCESS;
}

/* The context a query is about: the one named, or the current one for NULL. */
static CUresult chosen(CUcontext handle, struct fake_context **context) {
  if (handle == NULL) {
    return fake_current(context);
  }
  *context = (struct fake_context *)handle;
  return fake_object_is(*context, FAKE_CONTEXT) && (*context)->active ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuCtxGetDevice(CUdevice *device) {
  FAKE_ENTER(cuCtxGetDevice);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  if (device == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *device = context->device;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext handle) {
  FAKE_ENTER(cuCtxGetDevice_v2);
  struct fake_context *context = NULL;
  FAKE_TRY(chosen(handle, &context));
  if (device == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *device = context->device;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetFlags(unsigned *flags) {
  FAKE_ENTER(cuCtxGetFlags);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  if (flags == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *flags = context->flags;
  return CUDA_SUCCESS;
}

CUresult cuCtxSetFlags(unsigned flags) {
  FAKE_ENTER(cuCtxSetFlags);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  context->flags = flags;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetId(CUcontext handle, unsigned long long *id) {
  FAKE_ENTER(cuCtxGetId);
  struct fake_context *context = NULL;
  FAKE_TRY(chosen(handle, &context));
  if (id == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *id = context->id;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(CUcontext handle, unsigned *version) {
  FAKE_ENTER(cuCtxGetApiVersion);
  struct fake_context *context = NULL;
  FAKE_TRY(chosen(handle, &context));
  if (version == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *version = 3020; /* what real drivers have answered since CUDA 3.2 */
  return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void) {
  FAKE_ENTER(cuCtxSynchronize);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  return synchronise(context);
}

CUresult cuCtxSynchronize_v2(CUcontext handle) {
  FAKE_ENTER(cuCtxSynchronize_v2);
  struct fake_context *context = NULL;
  FAKE_TRY(chosen(handle, &context));
  return synchronise(context);
}

/* Device memory of the context that a limit stands for. What its first values take is part of the context's own. */
static uint64_t limit_bytes(const struct fake_context *context, CUlimit limit, size_t value) {
  const struct fake_device *card = fake_device_of_unit(context->unit);
  uint64_t bytes = 0;
  switch ((int)limit) {
  case CU_LIMIT_MALLOC_HEAP_SIZE:
  case CU_LIMIT_PRINTF_FIFO_SIZE:
    return value;
  case CU_LIMIT_STACK_SIZE: /* of every thread that can be resident */
    return __builtin_mul_overflow((uint64_t)value, (uint64_t)card->multiprocessors * card->threads_per_multiprocessor,
                                  &bytes)
               ? UINT64_MAX / 2
               : bytes;
  default:
    return 0;
  }
}

CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
  FAKE_ENTER(cuCtxSetLimit);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  if ((unsigned)limit >= CU_LIMIT_MAX) {
    return CUDA_ERROR_UNSUPPORTED_LIMIT;
  }
  uint64_t before = limit_bytes(context, limit, context->limits[limit]);
  uint64_t after = limit_bytes(context, limit, value);
  if (after > before && !fake_context_grow(context, after - before)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (after < before) {
    fake_context_shrink(context, before - after);
  }
  context->limits[limit] = value;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetLimit(size_t *value, CUlimit limit) {
  FAKE_ENTER(cuCtxGetLimit);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  if (value == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if ((unsigned)limit >= CU_LIMIT_MAX) {
    return CUDA_ERROR_UNSUPPORTED_LIMIT;
  }
  *value = context->limits[limit];
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCacheConfig(CUfunc_cache *config) {
  FAKE_ENTER(cuCtxGetCacheConfig);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  if (config == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *config = context->cache_config;
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCacheConfig(CUfunc_cache config) {
  FAKE_ENTER(cuCtxSetCacheConfig);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  context->cache_config = config;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetSharedMemConfig(CUsharedconfig *config) {
  FAKE_ENTER(cuCtxGetSharedMemConfig);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  if (config == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *config = context->shared_config;
  return CUDA_SUCCESS;
}

CUresult cuCtxSetSharedMemConfig(CUsharedconfig config) {
  FAKE_ENTER(cuCtxSetSharedMemConfig);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  context->shared_config = config;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  FAKE_ENTER(cuCtxGetStreamPriorityRange);
  if (least != NULL) {
    *least = 0;
  }
  if (greatest != NULL) {
    *greatest = -5;
  }
  return CUDA_SUCCESS;
}

CUresult cuCtxResetPersistingL2Cache(void) {
  FAKE_ENTER(cuCtxResetPersistingL2Cache);
  return CUDA_SUCCESS;
}

CUresult cuCtxEnablePeerAccess(CUcontext handle, unsigned flags) {
  FAKE_ENTER(cuCtxEnablePeerAccess);
  struct fake_context *context = NULL;
  const struct fake_context *peer = (const struct fake_context *)handle;
  FAKE_TRY(fake_current(&context));
  if (!fake_object_is(peer, FAKE_CONTEXT) || flags != 0) {
    return handle == NULL ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_VALUE;
  }
  if (peer->device == context->device) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  uint32_t bit = 1u << (peer->device % 32);
  if ((context->peers & bit) != 0) {
    return CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
  }
  context->peers |= bit;
  return CUDA_SUCCESS;
}

CUresult cuCtxDisablePeerAccess(CUcontext handle) {
  FAKE_ENTER(cuCtxDisablePeerAccess);
  struct fake_context *context = NULL;
  const struct fake_context *peer = (const struct fake_context *)handle;
  FAKE_TRY(fake_current(&context));
  if (!fake_object_is(peer, FAKE_CONTEXT)) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  uint32_t bit = 1u << (peer->device % 32);
  if ((context->peers & bit) == 0) {
    return CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
  }
  context->peers &= ~bit;
  return CUDA_SUCCESS;
}
