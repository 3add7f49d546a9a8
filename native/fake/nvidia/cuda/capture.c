/* Stream capture: what a stream is told becomes nodes of a graph instead of work. */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

static uint64_t last_capture_id;
static __thread CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

static CUresult set_tips(struct fake_node ***tips, size_t *count, struct fake_node *const *from, size_t from_count) {
  struct fake_node **copy = calloc(from_count + 1, sizeof *copy);
  if (copy == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (from_count > 0) {
    memcpy(copy, from, from_count * sizeof *copy);
  }
  free(*tips);
  *tips = copy;
  *count = from_count;
  return CUDA_SUCCESS;
}

static CUresult add_tips(struct fake_stream *stream, struct fake_node *const *more, size_t count) {
  struct fake_node **all = calloc(stream->tip_count + count + 1, sizeof *all);
  if (all == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  memcpy(all, stream->tips, stream->tip_count * sizeof *all);
  if (count > 0) {
    memcpy(all + stream->tip_count, more, count * sizeof *all);
  }
  free(stream->tips);
  stream->tips = all;
  stream->tip_count += count;
  return CUDA_SUCCESS;
}

static CUresult begin(struct fake_stream *stream, struct fake_graph *graph, CUstreamCaptureMode mode) {
  if (stream == stream->context->legacy) {
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  if (stream->capture != NULL || graph == NULL || (unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
    return stream->capture != NULL ? CUDA_ERROR_ILLEGAL_STATE : CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(set_tips(&stream->tips, &stream->tip_count, NULL, 0));
  stream->capture_origin = true;
  stream->capture_invalid = false;
  stream->capture_mode = mode;
  stream->capture_id = __atomic_add_fetch(&last_capture_id, 1, __ATOMIC_RELAXED);
  stream->capture = graph;
  return CUDA_SUCCESS;
}

#define ENTER_STREAM(name)                                                                                             \
  struct fake_stream *stream = NULL;                                                                                   \
  FAKE_ENTER(name);                                                                                                    \
  FAKE_TRY(fake_stream_resolve(handle, &stream))

static CUresult begin_new(struct fake_stream *stream, CUstreamCaptureMode mode) {
  struct fake_graph *graph = fake_graph_new();
  CUresult result = graph == NULL ? CUDA_ERROR_OUT_OF_MEMORY : begin(stream, graph, mode);
  if (result != CUDA_SUCCESS && graph != NULL) {
    fake_graph_delete(graph);
  }
  return result;
}

CUresult cuStreamBeginCapture(CUstream handle) {
  ENTER_STREAM(cuStreamBeginCapture);
  return begin_new(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  ENTER_STREAM(cuStreamBeginCapture_v2);
  return begin_new(stream, mode);
}

CUresult cuStreamBeginCaptureToGraph(CUstream handle, CUgraph graph, const CUgraphNode *needs,
                                     const CUgraphEdgeData *edges, size_t count, CUstreamCaptureMode mode) {
  ENTER_STREAM(cuStreamBeginCaptureToGraph);
  (void)edges;
  if (!fake_object_is(graph, FAKE_GRAPH) || (needs == NULL && count > 0)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(begin(stream, (struct fake_graph *)graph, mode));
  return set_tips(&stream->tips, &stream->tip_count, (struct fake_node *const *)needs, count);
}

/* Leaves the capture, with every stream that joined it. */
static void end_all(struct fake_context *context, const struct fake_graph *graph) {
  pthread_mutex_lock(&fake_lock);
  for (struct fake_stream *stream = context->streams; stream != NULL; stream = stream->next) {
    if (stream->capture == graph) {
      stream->capture = NULL;
      stream->capture_origin = false;
      stream->tip_count = 0;
    }
  }
  pthread_mutex_unlock(&fake_lock);
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph *out) {
  ENTER_STREAM(cuStreamEndCapture);
  struct fake_graph *graph = stream->capture;
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (graph == NULL) {
    return CUDA_ERROR_ILLEGAL_STATE;
  }
  if (!stream->capture_origin) {
    return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  }
  bool invalid = stream->capture_invalid;
  end_all(stream->context, graph);
  if (invalid) {
    fake_graph_delete(graph);
    *out = NULL;
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  }
  *out = (CUgraph)graph;
  return CUDA_SUCCESS;
}

static CUstreamCaptureStatus status_of(const struct fake_stream *stream) {
  if (stream->capture == NULL) {
    return CU_STREAM_CAPTURE_STATUS_NONE;
  }
  return stream->capture_invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status) {
  ENTER_STREAM(cuStreamIsCapturing);
  if (status == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *status = status_of(stream);
  return CUDA_SUCCESS;
}

static CUresult describe(struct fake_stream *stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
                         const CUgraphNode **needs, size_t *count) {
  if (status == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *status = status_of(stream);
  if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE) {
    return CUDA_SUCCESS;
  }
  if (id != NULL) {
    *id = stream->capture_id;
  }
  if (graph != NULL) {
    *graph = (CUgraph)stream->capture;
  }
  if (needs != NULL) {
    *needs = (const CUgraphNode *)(void *)stream->tips;
  }
  if (count != NULL) {
    *count = stream->tip_count;
  }
  return CUDA_SUCCESS;
}

CUresult cuStreamGetCaptureInfo(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id) {
  ENTER_STREAM(cuStreamGetCaptureInfo);
  return describe(stream, status, id, NULL, NULL, NULL);
}

CUresult cuStreamGetCaptureInfo_v2(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
                                   const CUgraphNode **needs, size_t *count) {
  ENTER_STREAM(cuStreamGetCaptureInfo_v2);
  return describe(stream, status, id, graph, needs, count);
}

CUresult cuStreamGetCaptureInfo_v3(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
                                   const CUgraphNode **needs, const CUgraphEdgeData **edges, size_t *count) {
  ENTER_STREAM(cuStreamGetCaptureInfo_v3);
  if (edges != NULL) {
    *edges = NULL; /* all edges are plain */
  }
  return describe(stream, status, id, graph, needs, count);
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode) {
  FAKE_ENTER(cuThreadExchangeStreamCaptureMode);
  if (mode == NULL || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUstreamCaptureMode before = thread_mode;
  thread_mode = *mode;
  *mode = before;
  return CUDA_SUCCESS;
}

static CUresult update_needs(struct fake_stream *stream, const CUgraphNode *needs, size_t count, unsigned flags) {
  if (stream->capture == NULL) {
    return CUDA_ERROR_ILLEGAL_STATE;
  }
  if ((needs == NULL && count > 0) || flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES
             ? set_tips(&stream->tips, &stream->tip_count, (struct fake_node *const *)needs, count)
             : add_tips(stream, (struct fake_node *const *)needs, count);
}

CUresult cuStreamUpdateCaptureDependencies(CUstream handle, CUgraphNode *needs, size_t count, unsigned flags) {
  ENTER_STREAM(cuStreamUpdateCaptureDependencies);
  return update_needs(stream, needs, count, flags);
}

CUresult cuStreamUpdateCaptureDependencies_v2(CUstream handle, CUgraphNode *needs, const CUgraphEdgeData *edges,
                                              size_t count, unsigned flags) {
  ENTER_STREAM(cuStreamUpdateCaptureDependencies_v2);
  (void)edges;
  return update_needs(stream, needs, count, flags);
}

/* ---- what other files tell a stream under capture ---------------------------------------------------------------- */

static CUgraphNodeType type_of(enum fake_work_kind kind) {
  static const CUgraphNodeType types[] = {
      [FAKE_WORK_KERNEL] = CU_GRAPH_NODE_TYPE_KERNEL,      [FAKE_WORK_COPY] = CU_GRAPH_NODE_TYPE_MEMCPY,
      [FAKE_WORK_SET] = CU_GRAPH_NODE_TYPE_MEMSET,         [FAKE_WORK_HOST] = CU_GRAPH_NODE_TYPE_HOST,
      [FAKE_WORK_CHILD] = CU_GRAPH_NODE_TYPE_GRAPH,        [FAKE_WORK_EMPTY] = CU_GRAPH_NODE_TYPE_EMPTY,
      [FAKE_WORK_ALLOCATE] = CU_GRAPH_NODE_TYPE_MEM_ALLOC, [FAKE_WORK_FREE] = CU_GRAPH_NODE_TYPE_MEM_FREE,
  };
  return types[kind];
}

/* A stream that waits for an event of a capture joins it. */
static CUresult wait_event(struct fake_stream *stream, const struct fake_event *event) {
  if (event->capture == NULL) {
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION; /* of work from before the capture */
  }
  if (event->stream == NULL || event->stream->capture != event->capture) {
    return CUDA_ERROR_INVALID_VALUE; /* that capture is over */
  }
  if (stream->capture != NULL && stream->capture != event->capture) {
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  if (stream->capture == NULL) {
    FAKE_TRY(set_tips(&stream->tips, &stream->tip_count, NULL, 0));
    stream->capture_origin = false;
    stream->capture_invalid = false;
    stream->capture_id = event->stream == NULL ? 0 : event->stream->capture_id;
    stream->capture = event->capture;
  }
  return add_tips(stream, event->tips, event->tip_count);
}

CUresult fake_capture_add(struct fake_stream *stream, const struct fake_work *work) {
  struct fake_node *node = NULL;
  if (work->kind == FAKE_WORK_EVENT_WAIT) {
    return wait_event(stream, work->as.event);
  }
  if (stream->capture_invalid) {
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  }
  if (work->kind == FAKE_WORK_EVENT_RECORD) {
    work->as.event->capture = stream->capture;
    work->as.event->stream = stream;
    return set_tips(&work->as.event->tips, &work->as.event->tip_count, stream->tips, stream->tip_count);
  }
  FAKE_TRY(fake_graph_add(stream->capture, work, type_of(work->kind), stream->tips, stream->tip_count, &node));
  return set_tips(&stream->tips, &stream->tip_count, &node, 1);
}

CUresult fake_capture_allocate(struct fake_stream *stream, size_t bytes, CUdeviceptr *pointer) {
  struct fake_work work = {.kind = FAKE_WORK_ALLOCATE};
  FAKE_TRY(fake_graph_block_new(stream->context->unit, bytes, &work.as.block));
  FAKE_TRY(fake_capture_add(stream, &work));
  *pointer = work.as.block->base;
  return CUDA_SUCCESS;
}

CUresult fake_capture_free(struct fake_stream *stream, CUdeviceptr pointer) {
  struct fake_work work = {.kind = FAKE_WORK_FREE};
  work.as.block = fake_graph_block_at(pointer);
  return work.as.block == NULL ? CUDA_ERROR_INVALID_VALUE : fake_capture_add(stream, &work);
}

bool fake_capture_poison(struct fake_context *context) {
  bool found = false;
  pthread_mutex_lock(&fake_lock);
  for (struct fake_stream *stream = context->streams; stream != NULL; stream = stream->next) {
    if (stream->capture != NULL && stream->capture_mode != CU_STREAM_CAPTURE_MODE_RELAXED) {
      stream->capture_invalid = true;
      found = true;
    }
  }
  pthread_mutex_unlock(&fake_lock);
  return found;
}

CUresult fake_capture_allow_unsafe(struct fake_context *context) {
  bool forbidden = false;
  if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) {
    return CUDA_SUCCESS;
  }
  pthread_mutex_lock(&fake_lock);
  for (struct fake_stream *stream = context->streams; stream != NULL; stream = stream->next) {
    if (stream->capture != NULL && stream->capture_mode == CU_STREAM_CAPTURE_MODE_GLOBAL) {
      stream->capture_invalid = true;
      forbidden = true;
    }
  }
  pthread_mutex_unlock(&fake_lock);
  return forbidden ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}
