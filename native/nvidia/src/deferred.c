#include "deferred.h"

#include <pthread.h>
#include <stdlib.h>

#include "capture.h"
#include "core/effects.h"
#include "real.h"

#define LONGEST_WAIT_NS 1000000000ULL
#define STEP_NS 200000U

struct deferred {
  struct deferred *next;
  CUdeviceptr pointer;
  CUcontext context; /* of the event */
  CUevent event;
  bool passed;  /* nothing uses the memory any more; the event is gone */
  bool ending;  /* its context is being destroyed: the driver must not be asked */
  bool in_hand; /* some thread is giving it back to the driver */
  struct hami_charge charge;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct deferred *waiting; /* oldest first */
static struct deferred **last = &waiting;
static uint32_t waiting_count; /* changed under the lock, read without */

static void append_locked(struct deferred *entry) {
  *last = entry;
  last = &entry->next;
}

static void count(int change) { __atomic_store_n(&waiting_count, waiting_count + (uint32_t)change, __ATOMIC_RELAXED); }

static bool anything(void) { return __atomic_load_n(&waiting_count, __ATOMIC_RELAXED) != 0; }

/* The context of a stream, made current for events of it if it is not; `pushed` is what must be undone. */
static CUresult enter_context_of(CUstream stream, bool per_thread, CUcontext *context, bool *pushed) {
  __typeof__(&cuCtxGetCurrent) get_current = HAMI_REAL(cuCtxGetCurrent);
  __typeof__(&cuStreamGetCtx) get_context = per_thread ? HAMI_REAL(cuStreamGetCtx_ptsz) : HAMI_REAL(cuStreamGetCtx);
  __typeof__(&cuCtxPushCurrent_v2) push = HAMI_REAL(cuCtxPushCurrent_v2);
  *pushed = false;
  CUresult result = get_current == NULL ? CUDA_ERROR_NOT_SUPPORTED : get_current(context);
  /* NULL and the two named handles mean the current context's default streams. */
  if (result != CUDA_SUCCESS || (uintptr_t)stream <= (uintptr_t)CU_STREAM_PER_THREAD || get_context == NULL) {
    return result;
  }
  CUcontext current = *context;
  result = get_context(stream, context);
  if (result == CUDA_SUCCESS && *context != current && push != NULL) {
    result = push(*context);
    *pushed = result == CUDA_SUCCESS;
  }
  return result;
}

static void leave_context(bool pushed) {
  __typeof__(&cuCtxPopCurrent_v2) pop = HAMI_REAL(cuCtxPopCurrent_v2);
  CUcontext popped;
  if (pushed && pop != NULL) {
    (void)pop(&popped);
  }
}

static void destroy_event(CUevent event) {
  __typeof__(&cuEventDestroy_v2) destroy = HAMI_REAL(cuEventDestroy_v2);
  if (destroy != NULL) {
    (void)destroy(event);
  }
}

static CUresult mark(CUstream stream, bool per_thread, CUevent *event) {
  __typeof__(&cuEventCreate) create = HAMI_REAL(cuEventCreate);
  __typeof__(&cuEventRecord) record = per_thread ? HAMI_REAL(cuEventRecord_ptsz) : HAMI_REAL(cuEventRecord);
  if (create == NULL || record == NULL) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  CUresult result = create(event, CU_EVENT_DISABLE_TIMING);
  if (result == CUDA_SUCCESS) {
    result = record(*event, stream);
    if (result != CUDA_SUCCESS) {
      destroy_event(*event);
    }
  }
  return result;
}

CUresult hami_deferred_free(CUdeviceptr pointer, CUstream stream, bool per_thread, const struct hami_charge *charge) {
  struct deferred *entry = malloc(sizeof *entry);
  if (entry == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *entry = (struct deferred){.pointer = pointer, .charge = *charge};
  bool pushed;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  hami_capture_exchange_mode(&mode);
  CUresult result = enter_context_of(stream, per_thread, &entry->context, &pushed);
  if (result == CUDA_SUCCESS) {
    result = mark(stream, per_thread, &entry->event);
    leave_context(pushed);
  }
  hami_capture_exchange_mode(&mode);
  if (result != CUDA_SUCCESS) {
    free(entry);
    return result;
  }
  (void)pthread_mutex_lock(&lock);
  append_locked(entry);
  count(1);
  (void)pthread_mutex_unlock(&lock);
  return CUDA_SUCCESS;
}

bool hami_deferred_holds(CUdeviceptr pointer) {
  bool held = false;
  if (!anything()) {
    return false;
  }
  (void)pthread_mutex_lock(&lock);
  for (const struct deferred *entry = waiting; entry != NULL && !held; entry = entry->next) {
    held = !entry->in_hand && entry->pointer == pointer; /* else the address may be somebody's already */
  }
  (void)pthread_mutex_unlock(&lock);
  return held;
}

static bool has_passed(struct deferred *entry) {
  __typeof__(&cuEventQuery) query = HAMI_REAL(cuEventQuery);
  if (!entry->passed && query != NULL && query(entry->event) != CUDA_ERROR_NOT_READY) {
    /* An error means that no work of this context will ever run again. */
    destroy_event(entry->event);
    entry->passed = true;
  }
  return entry->passed;
}

/* The oldest that is done with goes into this thread's hands. It stays in the list: whoever ends its context waits. */
static struct deferred *take_passed(void) {
  (void)pthread_mutex_lock(&lock);
  struct deferred *entry = waiting;
  while (entry != NULL && (entry->in_hand || entry->ending || !has_passed(entry))) {
    entry = entry->next;
  }
  if (entry != NULL) {
    entry->in_hand = true;
  }
  (void)pthread_mutex_unlock(&lock);
  return entry;
}

static void remove_locked(struct deferred *gone) {
  struct deferred **link = &waiting;
  while (*link != gone) {
    link = &(*link)->next;
  }
  *link = gone->next;
  last = gone->next == NULL ? link : last;
  count(-1);
}

static bool give_back(struct deferred *entry) {
  __typeof__(&cuMemFree_v2) release = HAMI_REAL(cuMemFree_v2);
  CUresult result = release == NULL ? CUDA_ERROR_NOT_SUPPORTED : release(entry->pointer);
  /* Unknown to the driver: its context ended without a call that this library sees. */
  bool freed = result == CUDA_SUCCESS || result == CUDA_ERROR_INVALID_VALUE;
  if (freed) {
    hami_books_refund(&entry->charge);
  }
  (void)pthread_mutex_lock(&lock);
  if (freed) {
    remove_locked(entry);
  } else {
    entry->in_hand = false; /* tried again at the next call: the driver may report an earlier error once */
  }
  (void)pthread_mutex_unlock(&lock);
  if (freed) {
    free(entry);
  }
  return freed;
}

bool hami_deferred_poll(void) {
  bool gave = false;
  if (!anything()) {
    return false;
  }
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  hami_capture_exchange_mode(&mode);
  for (struct deferred *entry = take_passed(); entry != NULL && give_back(entry); entry = take_passed()) {
    gave = true;
  }
  hami_capture_exchange_mode(&mode);
  return gave;
}

bool hami_deferred_reclaim(void) {
  uint64_t began_ns = hami_effects_system.now_ns();
  bool gave = hami_deferred_poll();
  while (!gave && anything() && hami_effects_system.now_ns() - began_ns < LONGEST_WAIT_NS) {
    hami_effects_system.sleep_ns(STEP_NS);
    gave = hami_deferred_poll();
  }
  return gave;
}

static bool is_of(const struct deferred *entry, const void *context) {
  return (const void *)entry->context == context || entry->charge.owner == context;
}

/* Marks what must be left alone from now on; false while some of it is in a thread's hands. */
static bool set_aside(const void *context) {
  bool alone = true;
  (void)pthread_mutex_lock(&lock);
  for (struct deferred *entry = waiting; entry != NULL; entry = entry->next) {
    entry->ending = entry->ending || is_of(entry, context);
    alone = alone && !(entry->in_hand && entry->charge.owner == context);
  }
  (void)pthread_mutex_unlock(&lock);
  return alone;
}

void hami_deferred_context_ending(const void *context) {
  uint64_t began_ns = anything() ? hami_effects_system.now_ns() : 0;
  /* Freed after its context, an address may be somebody else's. Bounded: a thread may end inside the driver. */
  while (anything() && !set_aside(context) && hami_effects_system.now_ns() - began_ns < LONGEST_WAIT_NS) {
    hami_effects_system.sleep_ns(STEP_NS);
  }
}

void hami_deferred_context_ended(const void *context, bool destroyed) {
  struct deferred *gone = NULL;
  (void)pthread_mutex_lock(&lock);
  struct deferred **link = &waiting;
  while (*link != NULL) {
    struct deferred *entry = *link;
    bool ours = is_of(entry, context);
    entry->ending = entry->ending && !ours;
    /* Memory of another context outlives its event: that work is over, too. */
    entry->passed = entry->passed || (destroyed && ours);
    if (destroyed && entry->charge.owner == context && !entry->in_hand) {
      *link = entry->next;
      entry->next = gone;
      gone = entry;
      count(-1);
    } else {
      link = &entry->next;
    }
  }
  last = link;
  (void)pthread_mutex_unlock(&lock);
  while (gone != NULL) {
    struct deferred *next = gone->next;
    hami_books_refund(&gone->charge);
    free(gone);
    gone = next;
  }
}

void hami_deferred_after_fork_in_child(void) {
  lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  waiting = NULL;
  last = &waiting;
  waiting_count = 0;
}
