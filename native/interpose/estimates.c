#include "estimates.h"

#define ENTRIES 1024U

/* Samples of a new key before sampling thins out, and how thin it gets. */
#define FIRST_SAMPLES 8U
#define SHORT_INTERVAL 32U

/* Measuring costs some 5 us of the caller's time: of a launch this long, a percent. */
#define LONG_NS 500000U

/* That many doubtful samples, at different times, are worth a clean one. */
#define ENOUGH_SAMPLES 8U
#define DIFFERENT_NS 5000000U

/* The smallest of this many samples counts as the time without waits for others. */
#define WINDOW_SAMPLES 32U

struct estimate {
  uint64_t key;
  uint64_t mean_ns;     /* moving, an eighth new */
  uint64_t previous_ns; /* smallest of the window before; UINT64_MAX: none */
  uint64_t current_ns;  /* smallest of this window so far */
  uint32_t samples;
  uint32_t clean;      /* 1: one of them was clean */
  uint32_t moments;    /* different times at which samples came */
  uint64_t last_ns;    /* the last of those times */
  uint32_t unmeasured; /* launches since the last sample */
};

static struct estimate estimates[ENTRIES];

static uint64_t load(const uint64_t *field) { return __atomic_load_n(field, __ATOMIC_RELAXED); }
static void store(uint64_t *field, uint64_t value) { __atomic_store_n(field, value, __ATOMIC_RELAXED); }

uint64_t hami_estimates_mix(uint64_t key, uint64_t value) {
  key = (key ^ value) * 0x9e3779b97f4a7c15ULL;
  key ^= key >> 32;
  return key == 0 ? 1 : key;
}

static struct estimate *place_of(uint64_t key) { return &estimates[(key >> 40) % ENTRIES]; }

static uint64_t smaller(uint64_t left, uint64_t right) { return left < right ? left : right; }

uint64_t hami_estimates_get(uint64_t key, bool contended) {
  struct estimate *estimate = place_of(key);
  if (load(&estimate->key) != key) {
    return 0;
  }
  bool settled = __atomic_load_n(&estimate->clean, __ATOMIC_RELAXED) != 0 ||
                 __atomic_load_n(&estimate->moments, __ATOMIC_RELAXED) >= ENOUGH_SAMPLES;
  if (contended && !settled) {
    return 0;
  }
  uint64_t smallest = smaller(load(&estimate->previous_ns), load(&estimate->current_ns));
  uint64_t mean = load(&estimate->mean_ns);
  return contended ? smaller(smallest, mean) : mean;
}

bool hami_estimates_wanted(uint64_t key) {
  struct estimate *estimate = place_of(key);
  if (load(&estimate->key) != key || __atomic_load_n(&estimate->samples, __ATOMIC_RELAXED) < FIRST_SAMPLES ||
      load(&estimate->mean_ns) >= LONG_NS) {
    return true;
  }
  uint32_t unmeasured = __atomic_add_fetch(&estimate->unmeasured, 1, __ATOMIC_RELAXED);
  return unmeasured % SHORT_INTERVAL == 0;
}

void hami_estimates_add(uint64_t key, uint64_t measured_ns, bool clean, uint64_t now_ns) {
  struct estimate *estimate = place_of(key);
  if (load(&estimate->key) != key) {
    store(&estimate->mean_ns, measured_ns);
    store(&estimate->previous_ns, UINT64_MAX);
    store(&estimate->current_ns, measured_ns);
    __atomic_store_n(&estimate->samples, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&estimate->clean, clean ? 1 : 0, __ATOMIC_RELAXED);
    __atomic_store_n(&estimate->moments, 1, __ATOMIC_RELAXED);
    store(&estimate->last_ns, now_ns);
    store(&estimate->key, key);
    return;
  }
  if (clean) {
    __atomic_store_n(&estimate->clean, 1, __ATOMIC_RELAXED);
  }
  if (now_ns - load(&estimate->last_ns) >= DIFFERENT_NS) {
    store(&estimate->last_ns, now_ns);
    (void)__atomic_add_fetch(&estimate->moments, 1, __ATOMIC_RELAXED);
  }
  uint64_t mean = load(&estimate->mean_ns);
  store(&estimate->mean_ns, mean - mean / 8 + measured_ns / 8);
  uint32_t samples = __atomic_add_fetch(&estimate->samples, 1, __ATOMIC_RELAXED);
  if (samples % WINDOW_SAMPLES == 0) {
    /* A whole window without a clean sample is no proof of longer work: the smallest rises step by step. */
    uint64_t current = load(&estimate->current_ns);
    uint64_t previous = load(&estimate->previous_ns);
    store(&estimate->previous_ns, smaller(current, previous < UINT64_MAX / 2 ? previous + previous / 2 : previous));
    store(&estimate->current_ns, measured_ns);
  } else {
    store(&estimate->current_ns, smaller(load(&estimate->current_ns), measured_ns));
  }
}
