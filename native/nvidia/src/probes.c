#include "probes.h"

#include <pthread.h>

#include "capture.h"
#include "core/effects.h"
#include "real.h"
#include "sizes.h"

#define PROBES 64

/* What events can tell apart. */
#define SHORTEST_KERNEL_NS 500U

/* The shortest of fewer launch calls is no measure: a call that loses the processor takes any time. */
#define ENOUGH_CALLS 4U

/* Out for longer than this, a probe no longer keeps the others waiting. */
#define LONG_OUT_NS 5000000ULL

enum probe_state { PROBE_FREE, PROBE_HELD, PROBE_OUT };

struct hami_probe {
  enum probe_state state;
  CUcontext context; /* whose events these are; NULL: none yet */
  CUevent start;
  CUevent end;
  CUstream stream;
  bool per_thread;
  bool was_idle;        /* the stream had nothing to do when it started */
  uint64_t starting_ns; /* host time before the start was marked */
  uint64_t started_ns;  /* and right after */
  uint64_t own_host_ns; /* from starting_ns until the launch call had returned */
  uint64_t order;       /* in which they went out */
  struct hami_measured result;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hami_probe probes[PROBES];
static uint64_t next_order;
static uint64_t shortest_host_ns = UINT64_MAX; /* from the mark of a start until the launch call had returned */
static uint32_t calls;                         /* that this is the shortest of, up to ENOUGH_CALLS */
static uint32_t out_count;                     /* changed under the lock, read without */

static bool create_events(struct hami_probe *probe, CUcontext context) {
  __typeof__(&cuEventCreate) create = HAMI_REAL(cuEventCreate);
  __typeof__(&cuEventDestroy_v2) destroy = HAMI_REAL(cuEventDestroy_v2);
  if (create == NULL || destroy == NULL || create(&probe->start, CU_EVENT_DEFAULT) != CUDA_SUCCESS) {
    return false;
  }
  if (create(&probe->end, CU_EVENT_DEFAULT) != CUDA_SUCCESS) {
    (void)destroy(probe->start);
    return false;
  }
  probe->context = context;
  return true;
}

static CUresult record(CUevent event, CUstream stream, bool per_thread) {
  __typeof__(&cuEventRecord) mark = per_thread ? HAMI_REAL(cuEventRecord_ptsz) : HAMI_REAL(cuEventRecord);
  return mark == NULL ? CUDA_ERROR_NOT_SUPPORTED : mark(event, stream);
}

static bool is_idle(CUstream stream, bool per_thread) {
  __typeof__(&cuStreamQuery) query = per_thread ? HAMI_REAL(cuStreamQuery_ptsz) : HAMI_REAL(cuStreamQuery);
  return query != NULL && query(stream) == CUDA_SUCCESS;
}

/* A free probe with events of this context, or one without events. */
static struct hami_probe *hold(CUcontext context) {
  struct hami_probe *fresh = NULL;
  struct hami_probe *held = NULL;
  (void)pthread_mutex_lock(&lock);
  for (int i = 0; i < PROBES && held == NULL; i++) {
    if (probes[i].state == PROBE_FREE && probes[i].context == context) {
      held = &probes[i];
    } else if (probes[i].state == PROBE_FREE && probes[i].context == NULL && fresh == NULL) {
      fresh = &probes[i];
    }
  }
  held = held == NULL ? fresh : held;
  if (held != NULL) {
    held->state = PROBE_HELD;
  }
  (void)pthread_mutex_unlock(&lock);
  return held;
}

void hami_probes_cancel(struct hami_probe *probe) {
  (void)pthread_mutex_lock(&lock);
  probe->state = PROBE_FREE;
  (void)pthread_mutex_unlock(&lock);
}

struct hami_probe *hami_probes_start(CUcontext context, CUstream stream, bool per_thread) {
  struct hami_probe *probe = context == NULL ? NULL : hold(context);
  if (probe == NULL) {
    return NULL;
  }
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  hami_capture_exchange_mode(&mode);
  probe->stream = stream;
  probe->per_thread = per_thread;
  bool started = probe->context != NULL || create_events(probe, context);
  if (started) {
    probe->was_idle = is_idle(stream, per_thread);
    probe->starting_ns = hami_effects_system.now_ns();
    started = record(probe->start, stream, per_thread) == CUDA_SUCCESS;
    probe->started_ns = hami_effects_system.now_ns();
  }
  hami_capture_exchange_mode(&mode);
  if (!started) {
    hami_probes_cancel(probe);
    return NULL;
  }
  return probe;
}

void hami_probes_end(struct hami_probe *probe, const struct hami_measured *expected) {
  uint64_t now_ns = hami_effects_system.now_ns();
  uint64_t host_ns = now_ns - probe->started_ns;
  probe->own_host_ns = now_ns - probe->starting_ns;
  CUresult marked = record(probe->end, probe->stream, probe->per_thread);
  (void)pthread_mutex_lock(&lock);
  probe->result = *expected;
  /* Without its end mark it is collected at once, as not measured. */
  probe->result.measured_ns = marked == CUDA_SUCCESS ? UINT64_MAX : 0;
  probe->order = next_order++;
  shortest_host_ns = host_ns < shortest_host_ns ? host_ns : shortest_host_ns;
  calls += calls < ENOUGH_CALLS ? 1 : 0;
  probe->state = PROBE_OUT;
  __atomic_store_n(&out_count, out_count + 1, __ATOMIC_RELAXED);
  (void)pthread_mutex_unlock(&lock);
}

static struct hami_probe *oldest_locked(void) {
  struct hami_probe *oldest = NULL;
  for (int i = 0; i < PROBES; i++) {
    if (probes[i].state == PROBE_OUT && (oldest == NULL || probes[i].order < oldest->order)) {
      oldest = &probes[i];
    }
  }
  return oldest;
}

/* One that is out, another one with each call. */
static struct hami_probe *next_locked(void) {
  static unsigned int turn;
  for (unsigned int i = 1; i <= PROBES; i++) {
    struct hami_probe *probe = &probes[(turn + i) % PROBES];
    if (probe->state == PROBE_OUT) {
      turn = (turn + i) % PROBES;
      return probe;
    }
  }
  return NULL;
}

static uint64_t at_least(uint64_t value, uint64_t least) { return value < least ? least : value; }

/*
 * In an idle stream the start was reached at once, and the time until the launch came is the host's. How much that was
 * is not known exactly: the kernel may have begun at any moment of the call, or before the host lost the processor in
 * it. No less than in the shortest call ever seen, no more than in this one.
 */
static void measure_locked(const struct hami_probe *probe, struct hami_measured *result) {
  __typeof__(&cuEventElapsedTime) elapsed = HAMI_REAL(cuEventElapsedTime);
  float milliseconds = 0.0F;
  result->measured_ns = 0;
  result->least_ns = 0;
  if (elapsed == NULL || elapsed(&milliseconds, probe->start, probe->end) != CUDA_SUCCESS || milliseconds < 0.0F) {
    return;
  }
  uint64_t between_ns = (uint64_t)((double)milliseconds * 1e6);
  uint64_t least_host_ns = !probe->was_idle || calls < ENOUGH_CALLS ? 0 : shortest_host_ns;
  uint64_t most_host_ns = probe->was_idle ? probe->own_host_ns : 0;
  result->measured_ns = at_least(hami_sizes_subtract(between_ns, least_host_ns), SHORTEST_KERNEL_NS);
  result->least_ns = at_least(hami_sizes_subtract(between_ns, most_host_ns), SHORTEST_KERNEL_NS);
}

/* Takes the result of a probe that is out, if it has one. */
static bool finish_locked(struct hami_probe *probe, struct hami_measured *result) {
  __typeof__(&cuEventQuery) query = HAMI_REAL(cuEventQuery);
  bool marked = probe->result.measured_ns != 0;
  CUresult answer = marked && query != NULL ? query(probe->end) : CUDA_ERROR_NOT_SUPPORTED;
  if (answer == CUDA_ERROR_NOT_READY) {
    return false;
  }
  *result = probe->result;
  if (answer == CUDA_SUCCESS) {
    measure_locked(probe, result);
  } else {
    result->measured_ns = 0;
  }
  probe->state = PROBE_FREE;
  __atomic_store_n(&out_count, out_count - 1, __ATOMIC_RELAXED);
  return true;
}

/* The oldest mostly finishes first. If it takes long, others are asked too: it may be a kernel that never ends. */
static bool finish_one_locked(struct hami_measured *result) {
  struct hami_probe *oldest = oldest_locked();
  if (oldest == NULL || finish_locked(oldest, result)) {
    return oldest != NULL;
  }
  uint64_t age_ns = hami_sizes_subtract(hami_effects_system.coarse_ns(), oldest->started_ns);
  struct hami_probe *other = age_ns < LONG_OUT_NS ? NULL : next_locked();
  return other != NULL && other != oldest && finish_locked(other, result);
}

bool hami_probes_collect(struct hami_measured *result) {
  if (__atomic_load_n(&out_count, __ATOMIC_RELAXED) == 0) {
    return false;
  }
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  hami_capture_exchange_mode(&mode);
  (void)pthread_mutex_lock(&lock);
  bool finished = finish_one_locked(result);
  (void)pthread_mutex_unlock(&lock);
  hami_capture_exchange_mode(&mode);
  return finished;
}

bool hami_probes_pending(uint64_t key, uint64_t *age_ns) {
  if (__atomic_load_n(&out_count, __ATOMIC_RELAXED) == 0) {
    return false;
  }
  uint64_t started_ns = UINT64_MAX;
  (void)pthread_mutex_lock(&lock);
  for (int i = 0; i < PROBES; i++) {
    bool wanted = key == HAMI_ANY_KEY || probes[i].result.key == key;
    if (probes[i].state == PROBE_OUT && wanted && probes[i].started_ns < started_ns) {
      started_ns = probes[i].started_ns;
    }
  }
  (void)pthread_mutex_unlock(&lock);
  *age_ns = hami_sizes_subtract(hami_effects_system.now_ns(), started_ns);
  return started_ns != UINT64_MAX;
}

void hami_probes_forget_context(CUcontext context) {
  (void)pthread_mutex_lock(&lock);
  for (int i = 0; i < PROBES; i++) {
    if (probes[i].context != context) {
      continue;
    }
    if (probes[i].state == PROBE_OUT) {
      __atomic_store_n(&out_count, out_count - 1, __ATOMIC_RELAXED);
    }
    if (probes[i].state != PROBE_HELD) { /* a held one is in the hands of a thread that launches into a dying context */
      probes[i] = (struct hami_probe){.state = PROBE_FREE};
    }
  }
  (void)pthread_mutex_unlock(&lock);
}

void hami_probes_after_fork_in_child(void) {
  lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  for (int i = 0; i < PROBES; i++) {
    probes[i] = (struct hami_probe){.state = PROBE_FREE};
  }
  out_count = 0;
}
