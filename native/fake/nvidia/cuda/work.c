/* One piece of work in a stream: run now, or remembered by the graph that the stream is captured into. */
#include "driver.h"

static void raise_to(uint64_t *tail, uint64_t value) {
  uint64_t now = __atomic_load_n(tail, __ATOMIC_RELAXED);
  while (now < value && !__atomic_compare_exchange_n(tail, &now, value, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
  }
}

static void move_tails(struct fake_stream *stream, uint64_t end_ns) {
  raise_to(&stream->tail_ns, end_ns);
  raise_to(&stream->context->tail_ns, end_ns);
  if ((stream->flags & CU_STREAM_NON_BLOCKING) == 0) {
    raise_to(&stream->context->blocking_tail_ns, end_ns);
  }
}

CUresult fake_work_kernel(struct fake_stream *stream, const CUDA_KERNEL_NODE_PARAMS *kernel) {
  uint64_t duration = fake_kernel_duration_ns(stream->context, kernel);
  FAKE_TRY(fake_residency_use(kernel, &duration));
  if (duration > 0) {
    move_tails(stream, fake_engine_submit(fake_driver.state, stream->context->unit, duration));
  }
  return CUDA_SUCCESS;
}

CUresult fake_work_run(struct fake_stream *stream, const struct fake_work *work) {
  switch (work->kind) {
  case FAKE_WORK_KERNEL:
    return fake_work_kernel(stream, &work->as.kernel);
  case FAKE_WORK_COPY:
    fake_callbacks_wait(stream); /* a host function before it may make the data */
    return fake_copy_now(&work->as.copy);
  case FAKE_WORK_SET:
    fake_callbacks_wait(stream);
    return fake_set_now(&work->as.set);
  case FAKE_WORK_HOST:
    return fake_work_host(stream, work->as.host.fn, work->as.host.userData);
  case FAKE_WORK_EVENT_RECORD:
    return fake_event_record(work->as.event, stream);
  case FAKE_WORK_EVENT_WAIT:
    if (work->as.event->recorded) {
      move_tails(stream, work->as.event->time_ns);
    }
    return CUDA_SUCCESS;
  case FAKE_WORK_ALLOCATE:
    return fake_graph_block_commit(work->as.block, false);
  case FAKE_WORK_FREE:
    return fake_graph_block_release(work->as.block);
  case FAKE_WORK_CHILD:
    return fake_graph_run(work->as.child, stream);
  case FAKE_WORK_EMPTY:
  default:
    return CUDA_SUCCESS;
  }
}

CUresult fake_work_submit(CUstream handle, const struct fake_work *work) {
  struct fake_stream *stream = NULL;
  FAKE_TRY(fake_stream_resolve(handle, &stream));
  if (__builtin_expect(stream->capture != NULL, 0) ||
      (work->kind == FAKE_WORK_EVENT_WAIT && work->as.event->capture != NULL)) {
    return fake_capture_add(stream, work);
  }
  return fake_work_run(stream, work);
}
