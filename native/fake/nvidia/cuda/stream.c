#include <stdlib.h>
#include <string.h>

#include "driver.h"

static uint64_t last_stream_id;

CUresult fake_stream_new(struct fake_context *context, unsigned flags, int priority, struct fake_stream **out) {
  struct fake_stream *stream = fake_object_new(FAKE_STREAM, sizeof *stream);
  if (stream == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  stream->context = context;
  stream->flags = flags;
  stream->priority = priority;
  stream->id = __atomic_add_fetch(&last_stream_id, 1, __ATOMIC_RELAXED);
  stream->next = context->streams;
  context->streams = stream;
  *out = stream;
  return CUDA_SUCCESS;
}

void fake_stream_drop_all(struct fake_context *context) {
  while (context->streams != NULL) {
    struct fake_stream *stream = context->streams;
    context->streams = stream->next;
    free(stream->tips);
    fake_object_delete(stream);
  }
  context->legacy = NULL;
}

/* The default stream of this thread: one per thread and context, made when first used. */
static CUresult thread_stream(struct fake_context *context, struct fake_stream **out) {
  static __thread struct {
    struct fake_context *context;
    uint64_t context_id;
    struct fake_stream *stream;
  } known[4];
  static __thread unsigned next;
  for (unsigned i = 0; i < 4; i++) {
    if (known[i].context == context && known[i].context_id == context->id) {
      *out = known[i].stream;
      return CUDA_SUCCESS;
    }
  }
  pthread_mutex_lock(&fake_lock);
  CUresult result = fake_stream_new(context, CU_STREAM_DEFAULT, 0, out);
  pthread_mutex_unlock(&fake_lock);
  if (result == CUDA_SUCCESS) {
    known[next % 4].context = context;
    known[next % 4].context_id = context->id;
    known[next++ % 4].stream = *out;
  }
  return result;
}

CUresult fake_stream_resolve(CUstream handle, struct fake_stream **out) {
  if (handle == NULL || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) {
    struct fake_context *context = NULL;
    FAKE_TRY(fake_current(&context));
    if (handle == CU_STREAM_PER_THREAD || (handle == NULL && fake_per_thread())) {
      return thread_stream(context, out);
    }
    *out = context->legacy;
    return CUDA_SUCCESS;
  }
  *out = (struct fake_stream *)handle;
  return fake_object_is(*out, FAKE_STREAM) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static uint64_t stream_tail(const struct fake_stream *stream) {
  const struct fake_context *context = stream->context;
  /* The legacy stream is behind all blocking streams of its context. */
  return stream == context->legacy ? __atomic_load_n(&context->blocking_tail_ns, __ATOMIC_ACQUIRE)
                                   : __atomic_load_n(&stream->tail_ns, __ATOMIC_ACQUIRE);
}

void fake_stream_wait(struct fake_stream *stream) {
  fake_clock_wait(fake_driver.state, stream_tail(stream));
  fake_callbacks_wait(stream);
  fake_pools_trim_idle();
}

void fake_context_wait(struct fake_context *context) {
  fake_clock_wait(fake_driver.state, __atomic_load_n(&context->tail_ns, __ATOMIC_ACQUIRE));
  fake_callbacks_wait_all();
  fake_pools_trim_idle();
}

void fake_context_wait_blocking(struct fake_context *context) {
  fake_clock_wait(fake_driver.state, __atomic_load_n(&context->blocking_tail_ns, __ATOMIC_ACQUIRE));
}

static CUresult create(CUstream *out, unsigned flags, int priority) {
  struct fake_context *context = NULL;
  struct fake_stream *stream = NULL;
  FAKE_TRY(fake_current(&context));
  if (out == NULL || (flags & ~(unsigned)CU_STREAM_NON_BLOCKING) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  priority = priority > 0 ? 0 : priority < -5 ? -5 : priority;
  pthread_mutex_lock(&fake_lock);
  CUresult result = fake_stream_new(context, flags, priority, &stream);
  pthread_mutex_unlock(&fake_lock);
  if (result == CUDA_SUCCESS) {
    *out = (CUstream)stream;
  }
  return result;
}

CUresult cuStreamCreate(CUstream *out, unsigned flags) {
  FAKE_ENTER(cuStreamCreate);
  return create(out, flags, 0);
}

CUresult cuStreamCreateWithPriority(CUstream *out, unsigned flags, int priority) {
  FAKE_ENTER(cuStreamCreateWithPriority);
  return create(out, flags, priority);
}

static CUresult destroy(CUstream handle) {
  struct fake_stream *stream = (struct fake_stream *)handle;
  if (handle == NULL || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD ||
      !fake_object_is(stream, FAKE_STREAM)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  fake_callbacks_wait(stream);
  pthread_mutex_lock(&fake_lock);
  struct fake_stream **link = &stream->context->streams;
  while (*link != NULL && *link != stream) {
    link = &(*link)->next;
  }
  if (*link != NULL) {
    *link = stream->next;
  }
  free(stream->tips);
  stream->tips = NULL;
  pthread_mutex_unlock(&fake_lock);
  fake_object_delete(stream);
  return CUDA_SUCCESS;
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  FAKE_ENTER(cuStreamDestroy_v2);
  return destroy(stream);
}

CUresult cuStreamDestroy(CUstream stream) {
  FAKE_ENTER(cuStreamDestroy);
  return destroy(stream);
}

#define ENTER_STREAM(name)                                                                                             \
  struct fake_stream *stream = NULL;                                                                                   \
  FAKE_ENTER(name);                                                                                                    \
  FAKE_TRY(fake_stream_resolve(handle, &stream))

CUresult cuStreamSynchronize(CUstream handle) {
  ENTER_STREAM(cuStreamSynchronize);
  if (stream->capture != NULL) {
    stream->capture_invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  fake_stream_wait(stream);
  return CUDA_SUCCESS;
}

CUresult cuStreamQuery(CUstream handle) {
  ENTER_STREAM(cuStreamQuery);
  if (stream->capture != NULL) {
    stream->capture_invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  bool done = stream_tail(stream) <= fake_clock_now(fake_driver.state) && fake_callbacks_done(stream);
  return done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuStreamGetPriority(CUstream handle, int *priority) {
  ENTER_STREAM(cuStreamGetPriority);
  if (priority == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *priority = stream->priority;
  return CUDA_SUCCESS;
}

CUresult cuStreamGetFlags(CUstream handle, unsigned *flags) {
  ENTER_STREAM(cuStreamGetFlags);
  if (flags == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *flags = stream->flags;
  return CUDA_SUCCESS;
}

CUresult cuStreamGetId(CUstream handle, unsigned long long *id) {
  ENTER_STREAM(cuStreamGetId);
  if (id == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *id = stream->id;
  return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx(CUstream handle, CUcontext *context) {
  ENTER_STREAM(cuStreamGetCtx);
  if (context == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *context = (CUcontext)stream->context;
  return CUDA_SUCCESS;
}

CUresult cuStreamGetCtx_v2(CUstream handle, CUcontext *context, CUgreenCtx *green) {
  ENTER_STREAM(cuStreamGetCtx_v2);
  if (context == NULL || green == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *context = (CUcontext)stream->context;
  *green = NULL;
  return CUDA_SUCCESS;
}

CUresult cuStreamGetDevice(CUstream handle, CUdevice *device) {
  ENTER_STREAM(cuStreamGetDevice);
  if (device == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *device = stream->context->device;
  return CUDA_SUCCESS;
}

CUresult cuStreamAttachMemAsync(CUstream handle, CUdeviceptr pointer, size_t bytes, unsigned flags) {
  ENTER_STREAM(cuStreamAttachMemAsync);
  (void)bytes;
  (void)flags;
  return pointer == 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuStreamSetAttribute(CUstream handle, CUstreamAttrID attribute, const CUstreamAttrValue *value) {
  ENTER_STREAM(cuStreamSetAttribute);
  if (value == NULL || (unsigned)attribute >= CU_LAUNCH_ATTRIBUTE_MAX) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  stream->attributes[attribute] = *value;
  return CUDA_SUCCESS;
}

CUresult cuStreamGetAttribute(CUstream handle, CUstreamAttrID attribute, CUstreamAttrValue *value) {
  ENTER_STREAM(cuStreamGetAttribute);
  if (value == NULL || (unsigned)attribute >= CU_LAUNCH_ATTRIBUTE_MAX) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *value = stream->attributes[attribute];
  return CUDA_SUCCESS;
}

CUresult cuStreamCopyAttributes(CUstream to, CUstream from) {
  FAKE_ENTER(cuStreamCopyAttributes);
  struct fake_stream *target = NULL;
  struct fake_stream *source = NULL;
  FAKE_TRY(fake_stream_resolve(to, &target));
  FAKE_TRY(fake_stream_resolve(from, &source));
  memcpy(target->attributes, source->attributes, sizeof target->attributes);
  return CUDA_SUCCESS;
}
