#include "launches.h"

#include <pthread.h>
#include <stddef.h>

#include "books.h"
#include "core/core.h"
#include "vendor.h"

#define PENDING 64
#define KNOWN 256 /* a power of two */

struct measured {
  int device;
  uint64_t what;
  uint64_t charged_ns;
  void *begin;
  void *end; /* NULL: the place is free */
};

struct estimate {
  uint64_t what;
  uint64_t took_ns;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct measured pending[PENDING];
static struct estimate estimates[KNOWN];

static struct estimate *estimate_of(uint64_t what) {
  return &estimates[((what * 0x9e3779b97f4a7c15ULL) >> 32) & (KNOWN - 1)];
}

static uint64_t expected_ns(uint64_t what) {
  (void)pthread_mutex_lock(&lock);
  const struct estimate *estimate = estimate_of(what);
  uint64_t took_ns = estimate->what == what ? estimate->took_ns : 0;
  (void)pthread_mutex_unlock(&lock);
  return took_ns;
}

/* Half of the old and half of the new, so that one odd measurement does not decide. */
static void learn(uint64_t what, uint64_t took_ns) {
  (void)pthread_mutex_lock(&lock);
  struct estimate *estimate = estimate_of(what);
  uint64_t before_ns = estimate->what == what && estimate->took_ns != 0 ? estimate->took_ns : took_ns;
  *estimate = (struct estimate){.what = what, .took_ns = before_ns / 2 + took_ns / 2};
  (void)pthread_mutex_unlock(&lock);
}

static struct measured take(int place) {
  (void)pthread_mutex_lock(&lock);
  struct measured taken = pending[place];
  pending[place].end = NULL;
  (void)pthread_mutex_unlock(&lock);
  return taken;
}

static bool put(const struct measured *measured) {
  bool stored = false;
  (void)pthread_mutex_lock(&lock);
  for (int place = 0; place < PENDING && !stored; place++) {
    stored = pending[place].end == NULL;
    if (stored) {
      pending[place] = *measured;
    }
  }
  (void)pthread_mutex_unlock(&lock);
  return stored;
}

static void settle(const struct measured *measured) {
  uint64_t took_ns = hami_vendor.timer->between_ns(measured->begin, measured->end);
  if (took_ns != 0) {
    learn(measured->what, took_ns);
  }
  hami_core_settle(measured->device, measured->charged_ns, took_ns == 0 ? measured->charged_ns : took_ns, 1);
  hami_vendor.timer->drop(measured->begin);
  hami_vendor.timer->drop(measured->end);
}

/* An entry is out of the table while the driver is asked about it: no other thread drops its events meanwhile. */
static void settle_finished(void) {
  for (int place = 0; place < PENDING; place++) {
    if (__atomic_load_n(&pending[place].end, __ATOMIC_RELAXED) == NULL) {
      continue;
    }
    struct measured measured = take(place);
    if (measured.end == NULL) {
      continue;
    }
    if (hami_vendor.timer->reached(measured.end) || !put(&measured)) {
      settle(&measured);
    }
  }
}

void hami_launches_begin(struct hami_launch *launch, int device, uint64_t what, void *stream) {
  const struct hami_timer *timer = hami_vendor.timer;
  *launch = (struct hami_launch){.device = HAMI_NO_DEVICE, .what = what, .stream = stream};
  if (device == HAMI_NO_DEVICE || timer == NULL || !hami_core_paces(device) || timer->recording(stream)) {
    return;
  }
  settle_finished();
  launch->device = device;
  launch->charged_ns = hami_core_admit(device, expected_ns(what), settle_finished);
  launch->begin = timer->mark(stream);
}

void hami_launches_end(struct hami_launch *launch, bool done) {
  const struct hami_timer *timer = hami_vendor.timer;
  if (launch->device == HAMI_NO_DEVICE) {
    return;
  }
  void *end = done && launch->begin != NULL ? timer->mark(launch->stream) : NULL;
  struct measured measured = {.device = launch->device,
                              .what = launch->what,
                              .charged_ns = launch->charged_ns,
                              .begin = launch->begin,
                              .end = end};
  if (end != NULL && put(&measured)) {
    return;
  }
  if (launch->begin != NULL) {
    timer->drop(launch->begin);
  }
  if (end != NULL) {
    timer->drop(end);
  }
  hami_core_settle(launch->device, launch->charged_ns, done ? launch->charged_ns : 0, done ? 1 : 0);
}

void hami_launches_after_fork_in_child(void) {
  lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  for (int place = 0; place < PENDING; place++) {
    pending[place].end = NULL;
  }
}
