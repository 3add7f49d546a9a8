#include <stdlib.h>

#include "driver.h"

CUresult cuEventCreate(CUevent *out, unsigned flags) {
  FAKE_ENTER(cuEventCreate);
  const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  bool untimed = (flags & CU_EVENT_DISABLE_TIMING) != 0;
  if (out == NULL || (flags & ~known) != 0 || ((flags & CU_EVENT_INTERPROCESS) != 0 && !untimed)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  struct fake_event *event = fake_object_new(FAKE_EVENT, sizeof *event);
  if (event == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  event->context = context;
  event->flags = flags;
  *out = (CUevent)event;
  return CUDA_SUCCESS;
}

#define ENTER_EVENT(name)                                                                                              \
  FAKE_ENTER(name);                                                                                                    \
  struct fake_event *event = (struct fake_event *)handle;                                                              \
  if (!fake_object_is(event, FAKE_EVENT)) {                                                                            \
    return CUDA_ERROR_INVALID_HANDLE;                                                                                  \
  }

static CUresult destroy(struct fake_event *event) {
  free(event->tips);
  event->tips = NULL;
  fake_object_delete(event);
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent handle) {
  ENTER_EVENT(cuEventDestroy_v2);
  return destroy(event);
}

CUresult cuEventDestroy(CUevent handle) {
  ENTER_EVENT(cuEventDestroy);
  return destroy(event);
}

CUresult fake_event_record(struct fake_event *event, struct fake_stream *stream) {
  uint64_t now = fake_clock_now(fake_driver.state);
  uint64_t tail = stream == stream->context->legacy
                      ? __atomic_load_n(&stream->context->blocking_tail_ns, __ATOMIC_ACQUIRE)
                      : __atomic_load_n(&stream->tail_ns, __ATOMIC_ACQUIRE);
  event->time_ns = tail > now ? tail : now;
  event->stream = stream;
  event->callbacks = __atomic_load_n(&stream->callbacks_queued, __ATOMIC_ACQUIRE);
  event->recorded = true;
  event->capture = NULL;
  return CUDA_SUCCESS;
}

static CUresult record(struct fake_event *event, CUstream handle) {
  struct fake_work work = {.kind = FAKE_WORK_EVENT_RECORD};
  work.as.event = event;
  return fake_work_submit(handle, &work);
}

CUresult cuEventRecord(CUevent handle, CUstream stream) {
  ENTER_EVENT(cuEventRecord);
  return record(event, stream);
}

CUresult cuEventRecordWithFlags(CUevent handle, CUstream stream, unsigned flags) {
  ENTER_EVENT(cuEventRecordWithFlags);
  return flags > CU_EVENT_RECORD_EXTERNAL ? CUDA_ERROR_INVALID_VALUE : record(event, stream);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent handle, unsigned flags) {
  ENTER_EVENT(cuStreamWaitEvent);
  if (flags > CU_EVENT_WAIT_EXTERNAL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  struct fake_work work = {.kind = FAKE_WORK_EVENT_WAIT};
  work.as.event = event;
  return fake_work_submit(stream, &work);
}

static bool done(const struct fake_event *event) {
  return !event->recorded || (event->time_ns <= fake_clock_now(fake_driver.state) &&
                              fake_callbacks_done_up_to(event->stream, event->callbacks));
}

CUresult cuEventQuery(CUevent handle) {
  ENTER_EVENT(cuEventQuery);
  if (event->capture != NULL) {
    return CUDA_ERROR_CAPTURED_EVENT;
  }
  return done(event) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuEventSynchronize(CUevent handle) {
  ENTER_EVENT(cuEventSynchronize);
  if (event->capture != NULL) {
    return CUDA_ERROR_CAPTURED_EVENT;
  }
  if (event->recorded) {
    fake_clock_wait(fake_driver.state, event->time_ns);
    fake_callbacks_wait_up_to(event->stream, event->callbacks);
    fake_pools_trim_idle();
  }
  return CUDA_SUCCESS;
}

static CUresult elapsed(float *milliseconds, CUevent from, CUevent to) {
  const struct fake_event *start = (const struct fake_event *)from;
  const struct fake_event *end = (const struct fake_event *)to;
  if (!fake_object_is(start, FAKE_EVENT) || !fake_object_is(end, FAKE_EVENT)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (milliseconds == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  bool timed = ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING) == 0;
  if (!timed || !start->recorded || !end->recorded) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (!done(start) || !done(end)) {
    return CUDA_ERROR_NOT_READY;
  }
  *milliseconds = (float)(((double)end->time_ns - (double)start->time_ns) / 1e6);
  return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to) {
  FAKE_ENTER(cuEventElapsedTime);
  return elapsed(milliseconds, from, to);
}

CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent from, CUevent to) {
  FAKE_ENTER(cuEventElapsedTime_v2);
  return elapsed(milliseconds, from, to);
}
