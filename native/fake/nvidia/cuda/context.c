#include <string.h>

#include "driver.h"

#define STACK_DEPTH 256

static __thread struct fake_context *stack[STACK_DEPTH];
static __thread int depth;

static struct fake_context *primaries[FAKE_MAX_UNITS];
static uint64_t last_id;

CUresult fake_current(struct fake_context **context) {
  if (depth == 0 || stack[depth - 1] == NULL) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  *context = stack[depth - 1];
  return __atomic_load_n(&(*context)->active, __ATOMIC_ACQUIRE) ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult fake_context_push(struct fake_context *context) {
  if (depth == STACK_DEPTH) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  stack[depth++] = context;
  return CUDA_SUCCESS;
}

struct fake_context *fake_context_pop(void) { return depth == 0 ? NULL : stack[--depth]; }

static struct fake_context *new_context(CUdevice device, bool primary) {
  struct fake_context *context = fake_object_new(FAKE_CONTEXT, sizeof *context);
  if (context != NULL) {
    context->device = device;
    context->unit = fake_driver.units[device];
    context->primary = primary;
  }
  return context;
}

/* Makes an inactive context usable; needs fake_lock. */
static CUresult activate(struct fake_context *context, unsigned flags) {
  uint64_t bytes = fake_device_of_unit(context->unit)->context_bytes;
  if (!fake_state_charge(fake_driver.state, context->unit, bytes)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (fake_stream_new(context, CU_STREAM_DEFAULT, 0, &context->legacy) != CUDA_SUCCESS) {
    fake_state_uncharge(fake_driver.state, context->unit, bytes);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  fake_state_count_context(fake_driver.state, context->unit, 1);
  context->charged = bytes;
  context->flags = flags;
  context->id = ++last_id;
  context->limits[CU_LIMIT_STACK_SIZE] = 1024;
  context->limits[CU_LIMIT_PRINTF_FIFO_SIZE] = 1 << 20;
  context->limits[CU_LIMIT_MALLOC_HEAP_SIZE] = 8 << 20;
  context->limits[CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH] = 2;
  context->limits[CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT] = 2048;
  context->limits[CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64;
  __atomic_store_n(&context->active, true, __ATOMIC_RELEASE);
  return CUDA_SUCCESS;
}

bool fake_context_grow(struct fake_context *context, uint64_t bytes) {
  bool fits = bytes == 0 || fake_state_charge(fake_driver.state, context->unit, bytes);
  if (fits && bytes != 0) {
    pthread_mutex_lock(&fake_lock);
    context->charged += bytes;
    pthread_mutex_unlock(&fake_lock);
  }
  return fits;
}

void fake_context_shrink(struct fake_context *context, uint64_t bytes) {
  pthread_mutex_lock(&fake_lock);
  bytes = context->active && bytes < context->charged ? bytes : 0;
  context->charged -= bytes;
  pthread_mutex_unlock(&fake_lock);
  fake_state_uncharge(fake_driver.state, context->unit, bytes);
}

/* Gives back all that the context holds; needs fake_lock. */
static void deactivate(struct fake_context *context) {
  __atomic_store_n(&context->active, false, __ATOMIC_RELEASE);
  context->references = 0;
  while (context->blocks != NULL) {
    fake_memory_release(context->blocks);
  }
  fake_stream_drop_all(context);
  fake_pools_trim_unit(context->unit);
  fake_state_uncharge(fake_driver.state, context->unit, context->charged);
  fake_state_count_context(fake_driver.state, context->unit, -1);
  context->charged = 0;
  context->local_bytes = 0;
}

CUresult fake_primary_retain(CUdevice device, struct fake_context **context) {
  CUresult result = CUDA_SUCCESS;
  pthread_mutex_lock(&fake_lock);
  struct fake_context *primary = primaries[device];
  if (primary == NULL) {
    primary = new_context(device, true);
    primaries[device] = primary;
  }
  if (primary == NULL) {
    result = CUDA_ERROR_OUT_OF_MEMORY;
  } else if (!primary->active) {
    result = activate(primary, primary->flags);
  }
  if (result == CUDA_SUCCESS) {
    primary->references++;
    *context = primary;
  }
  pthread_mutex_unlock(&fake_lock);
  return result;
}

CUresult fake_context_derive(CUdevice device, struct fake_context **context) {
  struct fake_context *made = new_context(device, false);
  if (made == NULL || fake_stream_new(made, CU_STREAM_DEFAULT, 0, &made->legacy) != CUDA_SUCCESS) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  made->active = true;
  *context = made;
  return CUDA_SUCCESS;
}

void fake_context_merge(struct fake_context *context, CUdevice device) {
  fake_context_wait(context);
  pthread_mutex_lock(&fake_lock);
  fake_memory_move(context, primaries[device]);
  __atomic_store_n(&context->active, false, __ATOMIC_RELEASE);
  fake_stream_drop_all(context);
  pthread_mutex_unlock(&fake_lock);
  fake_object_delete(context);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice device) {
  FAKE_ENTER(cuDevicePrimaryCtxRetain);
  struct fake_context *context = NULL;
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  FAKE_TRY(fake_primary_retain(device, &context));
  *out = (CUcontext)context;
  return CUDA_SUCCESS;
}

static CUresult let_go(CUdevice device, bool all) {
  CUresult result = CUDA_SUCCESS;
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  pthread_mutex_lock(&fake_lock);
  struct fake_context *primary = primaries[device];
  if (primary == NULL || !primary->active) {
    result = all ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
  } else if (all || --primary->references == 0) {
    deactivate(primary);
  }
  pthread_mutex_unlock(&fake_lock);
  return result;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  FAKE_ENTER(cuDevicePrimaryCtxRelease_v2);
  return let_go(device, false);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  FAKE_ENTER(cuDevicePrimaryCtxRelease);
  return let_go(device, false);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  FAKE_ENTER(cuDevicePrimaryCtxReset_v2);
  return let_go(device, true);
}

CUresult cuDevicePrimaryCtxReset(CUdevice device) {
  FAKE_ENTER(cuDevicePrimaryCtxReset);
  return let_go(device, true);
}

static CUresult set_primary_flags(CUdevice device, unsigned flags) {
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  if ((flags & ~(unsigned)CU_CTX_FLAGS_MASK) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  if (primaries[device] == NULL) {
    primaries[device] = new_context(device, true);
  }
  CUresult result = primaries[device] == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
  if (result == CUDA_SUCCESS) {
    primaries[device]->flags = flags;
  }
  pthread_mutex_unlock(&fake_lock);
  return result;
}

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
  FAKE_ENTER(cuDevicePrimaryCtxSetFlags_v2);
  return set_primary_flags(device, flags);
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned flags) {
  FAKE_ENTER(cuDevicePrimaryCtxSetFlags);
  return set_primary_flags(device, flags);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
  FAKE_ENTER(cuDevicePrimaryCtxGetState);
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  if (flags == NULL || active == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  const struct fake_context *primary = primaries[device];
  *flags = primary == NULL ? 0 : primary->flags;
  *active = primary != NULL && primary->active;
  pthread_mutex_unlock(&fake_lock);
  return CUDA_SUCCESS;
}

static CUresult create(CUcontext *out, unsigned flags, CUdevice device) {
  if (out == NULL || (flags & ~(unsigned)CU_CTX_FLAGS_MASK) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  struct fake_context *context = new_context(device, false);
  if (context == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  pthread_mutex_lock(&fake_lock);
  CUresult result = activate(context, flags);
  pthread_mutex_unlock(&fake_lock);
  if (result == CUDA_SUCCESS) {
    result = fake_context_push(context);
  }
  if (result != CUDA_SUCCESS) {
    fake_object_delete(context);
    return result;
  }
  *out = (CUcontext)context;
  return CUDA_SUCCESS;
}

CUresult cuCtxCreate(CUcontext *out, unsigned flags, CUdevice device) {
  FAKE_ENTER(cuCtxCreate);
  return create(out, flags, device);
}

CUresult cuCtxCreate_v2(CUcontext *out, unsigned flags, CUdevice device) {
  FAKE_ENTER(cuCtxCreate_v2);
  return create(out, flags, device);
}

CUresult cuCtxCreate_v3(CUcontext *out, CUexecAffinityParam *affinities, int count, unsigned flags, CUdevice device) {
  FAKE_ENTER(cuCtxCreate_v3);
  if (count > 0 && affinities != NULL) {
    return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
  }
  return create(out, flags, device);
}

CUresult cuCtxCreate_v4(CUcontext *out, CUctxCreateParams *parameters, unsigned flags, CUdevice device) {
  FAKE_ENTER(cuCtxCreate_v4);
  if (parameters != NULL && parameters->numExecAffinityParams > 0) {
    return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
  }
  return create(out, flags, device);
}

static CUresult destroy(CUcontext handle) {
  struct fake_context *context = (struct fake_context *)handle;
  if (!fake_object_is(context, FAKE_CONTEXT) || !context->active || context->primary) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  fake_context_wait(context);
  pthread_mutex_lock(&fake_lock);
  deactivate(context);
  pthread_mutex_unlock(&fake_lock);
  fake_object_delete(context);
  if (depth > 0 && stack[depth - 1] == context) {
    depth--;
  }
  return CUDA_SUCCESS;
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  FAKE_ENTER(cuCtxDestroy_v2);
  return destroy(context);
}

CUresult cuCtxDestroy(CUcontext context) {
  FAKE_ENTER(cuCtxDestroy);
  return destroy(context);
}

CUresult cuCtxAttach(CUcontext *out, unsigned flags) {
  FAKE_ENTER(cuCtxAttach);
  if (out == NULL || flags != 0 || depth == 0) {
    return depth == 0 ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_VALUE;
  }
  (void)__atomic_add_fetch(&stack[depth - 1]->references, 1, __ATOMIC_RELAXED);
  *out = (CUcontext)stack[depth - 1];
  return CUDA_SUCCESS;
}

CUresult cuCtxDetach(CUcontext handle) {
  FAKE_ENTER(cuCtxDetach);
  struct fake_context *context = (struct fake_context *)handle;
  if (!fake_object_is(context, FAKE_CONTEXT) || !context->active) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (context->references == 0 || context->primary) {
    return destroy(handle);
  }
  (void)__atomic_sub_fetch(&context->references, 1, __ATOMIC_RELAXED);
  return CUDA_SUCCESS;
}

static CUresult push(CUcontext handle) {
  struct fake_context *context = (struct fake_context *)handle;
  if (!fake_object_is(context, FAKE_CONTEXT) || !context->active) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  return fake_context_push(context);
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  FAKE_ENTER(cuCtxPushCurrent_v2);
  return push(context);
}

CUresult cuCtxPushCurrent(CUcontext context) {
  FAKE_ENTER(cuCtxPushCurrent);
  return push(context);
}

static CUresult pop(CUcontext *out) {
  if (depth == 0) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  struct fake_context *context = fake_context_pop();
  if (out != NULL) {
    *out = (CUcontext)context;
  }
  return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *out) {
  FAKE_ENTER(cuCtxPopCurrent_v2);
  return pop(out);
}

CUresult cuCtxPopCurrent(CUcontext *out) {
  FAKE_ENTER(cuCtxPopCurrent);
  return pop(out);
}

CUresult cuCtxSetCurrent(CUcontext handle) {
  FAKE_ENTER(cuCtxSetCurrent);
  struct fake_context *context = (struct fake_context *)handle;
  if (context == NULL) {
    depth -= depth > 0;
    return CUDA_SUCCESS;
  }
  if (!fake_object_is(context, FAKE_CONTEXT)) {
    return CUDA_ERROR_INVALID_CONTEXT;
  }
  if (depth == 0) {
    return fake_context_push(context);
  }
  stack[depth - 1] = context;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *out) {
  FAKE_ENTER(cuCtxGetCurrent);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = depth == 0 ? NULL : (CUcontext)stack[depth - 1];
  return CUDA_SUCCESS;
}
