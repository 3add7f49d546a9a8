#include "measures.h"

#include <pthread.h>
#include <string.h>

#include "core/effects.h"
#include "launches.h"
#include "sizes.h"
#include "vendor.h"

#define MEASURES 64

/* Asked of each collection, the oldest and others in turn: a stream that is far behind, or a kernel that never ends,
 * must not hide what other streams have finished. */
#define MOST_ASKED 3

/* An end that has not come for so long is not waited for once places are short. */
#define LOST_NS 60000000000ULL

/* Events that cannot be marked so often belong to a context that is gone. */
#define MOST_FAILURES 8U

/* What events can tell apart. */
#define SHORTEST_KERNEL_NS 500U

enum state { MEASURE_FREE, MEASURE_HELD, MEASURE_OUT };

struct hami_measure {
  enum state state;
  int device;  /* whose events these are */
  void *begin; /* NULL: no events yet */
  void *end;
  uint32_t failures;   /* of marking, one after the other */
  bool was_idle;       /* the stream had nothing to do when it began */
  uint64_t started_ns; /* host time, right after the beginning was marked */
  uint64_t order;
  struct hami_measured result;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hami_measure measures[MEASURES];
static uint64_t next_order = 1;
static uint64_t shortest_host_ns = UINT64_MAX; /* from the mark of a beginning until the launch had returned */
static uint32_t out_count;                     /* changed under the lock, read without */

static void change_state_locked(struct hami_measure *measure, enum state state) {
  uint32_t before = measure->state == MEASURE_OUT ? 1 : 0;
  uint32_t after = state == MEASURE_OUT ? 1 : 0;
  measure->state = state;
  __atomic_store_n(&out_count, out_count - before + after, __ATOMIC_RELAXED);
}

static void change_state(struct hami_measure *measure, enum state state) {
  (void)pthread_mutex_lock(&lock);
  change_state_locked(measure, state);
  (void)pthread_mutex_unlock(&lock);
}

/* The one that has waited longest, of those after `order`; NULL: none. */
static struct hami_measure *oldest_locked(uint64_t order) {
  struct hami_measure *oldest = NULL;
  for (int i = 0; i < MEASURES; i++) {
    struct hami_measure *measure = &measures[i];
    if (measure->state == MEASURE_OUT && measure->order > order && (oldest == NULL || measure->order < oldest->order)) {
      oldest = measure;
    }
  }
  return oldest;
}

/* A place with events of this device, or without any. */
static struct hami_measure *hold(int device) {
  struct hami_measure *fresh = NULL;
  struct hami_measure *held = NULL;
  (void)pthread_mutex_lock(&lock);
  for (int i = 0; i < MEASURES && held == NULL; i++) {
    struct hami_measure *measure = &measures[i];
    bool usable = measure->state == MEASURE_FREE;
    held = usable && measure->begin != NULL && measure->device == device ? measure : NULL;
    fresh = usable && measure->begin == NULL && fresh == NULL ? measure : fresh;
  }
  held = held == NULL ? fresh : held;
  if (held != NULL) {
    change_state_locked(held, MEASURE_HELD);
  }
  (void)pthread_mutex_unlock(&lock);
  return held;
}

static bool create_events(struct hami_measure *measure, int device) {
  const struct hami_timer *timer = hami_vendor.timer;
  void *begin = timer->create();
  void *end = begin == NULL ? NULL : timer->create();
  if (end == NULL) {
    if (begin != NULL) {
      timer->destroy(begin);
    }
    return false;
  }
  measure->begin = begin;
  measure->end = end;
  measure->device = device;
  return true;
}

/* Without destroying them: after the end of their context that may be worse than losing them. */
static void forget_events(struct hami_measure *measure) {
  measure->begin = NULL;
  measure->failures = 0;
}

struct hami_measure *hami_measures_start(int device, void *stream) {
  struct hami_measure *measure = hold(device);
  if (measure == NULL) {
    return NULL;
  }
  bool has_events = measure->begin != NULL || create_events(measure, device);
  if (!has_events || !hami_vendor.timer->record(measure->begin, stream)) {
    measure->failures++;
    if (measure->failures == MOST_FAILURES) {
      forget_events(measure);
    }
    change_state(measure, MEASURE_FREE);
    return NULL;
  }
  measure->failures = 0;
  measure->started_ns = hami_effects_system.now_ns();
  return measure;
}

void hami_measures_cancel(struct hami_measure *measure) { change_state(measure, MEASURE_FREE); }

void hami_measures_end(struct hami_measure *measure, void *stream, const struct hami_measured *expected) {
  uint64_t host_ns = hami_effects_system.now_ns() - measure->started_ns;
  measure->was_idle = hami_vendor.timer->reached(measure->begin);
  bool marked = hami_vendor.timer->record(measure->end, stream);
  (void)pthread_mutex_lock(&lock);
  measure->result = *expected;
  /* Without its end mark it is collected at once, as not measured. */
  measure->result.measured_ns = marked ? UINT64_MAX : 0;
  measure->order = next_order++;
  shortest_host_ns = host_ns < shortest_host_ns ? host_ns : shortest_host_ns;
  change_state_locked(measure, MEASURE_OUT);
  (void)pthread_mutex_unlock(&lock);
}

static uint64_t took_ns(const struct hami_measure *measure) {
  uint64_t between_ns = hami_vendor.timer->between_ns(measure->begin, measure->end);
  if (between_ns == 0) {
    return 0;
  }
  /* In an idle stream the beginning was reached at once, and the time until the launch came is the host's. This
   * launch's own may contain a loss of the processor after the work began, so the shortest ever seen is taken off. */
  uint64_t kernel_ns = measure->was_idle ? hami_sizes_subtract(between_ns, shortest_host_ns) : between_ns;
  return kernel_ns < SHORTEST_KERNEL_NS ? SHORTEST_KERNEL_NS : kernel_ns;
}

static bool is_lost(const struct hami_measure *measure) {
  return __atomic_load_n(&out_count, __ATOMIC_RELAXED) + 1 >= MEASURES &&
         hami_effects_system.now_ns() - measure->started_ns > LOST_NS;
}

/* The oldest first, then the others in turn. */
static struct hami_measure *next_locked(int try) {
  static uint64_t asked;
  struct hami_measure *next = try == 0 ? NULL : oldest_locked(asked);
  next = next == NULL ? oldest_locked(0) : next;
  asked = try != 0 && next != NULL ? next->order : asked;
  return next;
}

bool hami_measures_collect(struct hami_measured *result) {
  for (int i = 0; i < MOST_ASKED && __atomic_load_n(&out_count, __ATOMIC_RELAXED) != 0; i++) {
    (void)pthread_mutex_lock(&lock);
    struct hami_measure *measure = next_locked(i);
    if (measure != NULL) {
      change_state_locked(measure, MEASURE_HELD); /* nobody else's while the driver is asked */
    }
    (void)pthread_mutex_unlock(&lock);
    if (measure == NULL) {
      return false;
    }
    bool marked = measure->result.measured_ns != 0;
    bool reached = marked && hami_vendor.timer->reached(measure->end);
    bool lost = marked && !reached && is_lost(measure);
    bool finished = !marked || reached || lost;
    if (finished) {
      *result = measure->result;
      result->measured_ns = reached ? took_ns(measure) : 0;
      result->least_ns = result->measured_ns;
    }
    if (lost) {
      forget_events(measure);
    }
    change_state(measure, finished ? MEASURE_FREE : MEASURE_OUT);
    if (finished) {
      return true;
    }
  }
  return false;
}

bool hami_measures_pending(uint64_t key, uint64_t *age_ns) {
  if (__atomic_load_n(&out_count, __ATOMIC_RELAXED) == 0) {
    return false;
  }
  uint64_t started_ns = UINT64_MAX;
  (void)pthread_mutex_lock(&lock);
  for (int i = 0; i < MEASURES; i++) {
    bool wanted = key == HAMI_ANY_KEY || measures[i].result.key == key;
    if (measures[i].state == MEASURE_OUT && wanted && measures[i].started_ns < started_ns) {
      started_ns = measures[i].started_ns;
    }
  }
  (void)pthread_mutex_unlock(&lock);
  *age_ns = hami_sizes_subtract(hami_effects_system.now_ns(), started_ns);
  return started_ns != UINT64_MAX;
}

void hami_measures_after_fork_in_child(void) {
  lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  memset(measures, 0, sizeof measures);
  out_count = 0;
}
