/*
 * Host functions in streams. One thread per process runs them, each once simulated time has reached its place in its
 * stream, in the order in which they were queued; as with real drivers, they may not
 * call CUDA: every call that needs an initialised driver is refused on that thread.
 */
#include <stdlib.h>

#include "driver.h"

struct callback {
  struct callback *next;
  struct fake_stream *stream;
  uint64_t due_ns;
  CUhostFn function;
  CUstreamCallback stream_function;
  void *data;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct callback *first;
static struct callback **last = &first;
static uint64_t queued;
static uint64_t done;
static bool running;

static __thread bool inside;

bool fake_inside_callback(void) { return inside; }

static void *run(void *unused) {
  (void)unused;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (first == NULL) {
      pthread_cond_wait(&changed, &lock);
    }
    struct callback *callback = first;
    first = callback->next;
    last = first == NULL ? &first : last;
    pthread_mutex_unlock(&lock);
    fake_clock_wait(fake_driver.state, callback->due_ns);
    inside = true;
    if (callback->function != NULL) {
      callback->function(callback->data);
    } else {
      callback->stream_function((CUstream)callback->stream, CUDA_SUCCESS, callback->data);
    }
    inside = false;
    pthread_mutex_lock(&lock);
    done++;
    callback->stream->callbacks_done++;
    free(callback);
    pthread_cond_broadcast(&changed);
  }
  return NULL;
}

static CUresult start_thread(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  running = pthread_create(&thread, &attributes, run, NULL) == 0;
  pthread_attr_destroy(&attributes);
  return running ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

static CUresult enqueue(struct fake_stream *stream, CUhostFn function, CUstreamCallback stream_function, void *data) {
  struct callback *callback = calloc(1, sizeof *callback);
  if (callback == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *callback = (struct callback){.stream = stream,
                                .due_ns = stream->tail_ns,
                                .function = function,
                                .stream_function = stream_function,
                                .data = data};
  pthread_mutex_lock(&lock);
  CUresult result = running ? CUDA_SUCCESS : start_thread();
  if (result == CUDA_SUCCESS) {
    *last = callback;
    last = &callback->next;
    queued++;
    stream->callbacks_queued++;
    pthread_cond_broadcast(&changed);
  } else {
    free(callback);
  }
  pthread_mutex_unlock(&lock);
  return result;
}

CUresult fake_work_host(struct fake_stream *stream, CUhostFn function, void *data) {
  return enqueue(stream, function, NULL, data);
}

bool fake_callbacks_done_up_to(struct fake_stream *stream, uint64_t count) {
  pthread_mutex_lock(&lock);
  bool reached = stream->callbacks_done >= count;
  pthread_mutex_unlock(&lock);
  return reached;
}

void fake_callbacks_wait_up_to(struct fake_stream *stream, uint64_t count) {
  pthread_mutex_lock(&lock);
  while (fake_object_is(stream, FAKE_STREAM) && stream->callbacks_done < count) {
    pthread_cond_wait(&changed, &lock);
  }
  pthread_mutex_unlock(&lock);
}

bool fake_callbacks_done(struct fake_stream *stream) {
  pthread_mutex_lock(&lock);
  bool all = stream->callbacks_done == stream->callbacks_queued;
  pthread_mutex_unlock(&lock);
  return all;
}

void fake_callbacks_wait(struct fake_stream *stream) {
  pthread_mutex_lock(&lock);
  uint64_t count = stream->callbacks_queued;
  pthread_mutex_unlock(&lock);
  fake_callbacks_wait_up_to(stream, count);
}

void fake_callbacks_wait_all(void) {
  pthread_mutex_lock(&lock);
  uint64_t count = queued;
  while (done < count) {
    pthread_cond_wait(&changed, &lock);
  }
  pthread_mutex_unlock(&lock);
}

CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void *data) {
  FAKE_ENTER(cuLaunchHostFunc);
  struct fake_work work = {.kind = FAKE_WORK_HOST};
  if (function == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work.as.host = (CUDA_HOST_NODE_PARAMS){.fn = function, .userData = data};
  return fake_work_submit(handle, &work);
}

CUresult cuStreamAddCallback(CUstream handle, CUstreamCallback function, void *data, unsigned flags) {
  FAKE_ENTER(cuStreamAddCallback);
  struct fake_stream *stream = NULL;
  FAKE_TRY(fake_stream_resolve(handle, &stream));
  if (function == NULL || flags != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (stream->capture != NULL) {
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return enqueue(stream, NULL, function, data);
}
