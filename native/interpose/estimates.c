#include "estimates.h"

#define ENTRIES 1024U

/* Samples of a new key before sampling thins out. */
#define FIRST_SAMPLES 8U

/* Launches for each that is measured: at first, and in the end where the time never changes. */
#define SHORT_INTERVAL 32U
#define LONGEST_INTERVAL 256U

/* So many clean samples in a row that agree with the mean double the interval. One that does not, after that, is a
 * suspicion: the next launches are all measured, and tell whether it was a change or an odd one. An odd one means that
 * times vary, and the interval grows much later, if ever: what is rare would be missed, and cost the share nothing. */
#define STEADY_SAMPLES 8U
#define MOST_STEADY_SAMPLES 1024U
#define SUSPICION_SAMPLES 8U
#define JITTER_NS 1000U

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
  uint32_t unmeasured; /* launches since the last that was measured */
  uint32_t due;        /* so many of them at most */
  uint32_t interval;   /* its mean */
  uint32_t agreeing;   /* clean samples in a row */
  uint32_t needed;     /* so many of them double the interval */
  uint32_t suspicion;  /* samples that are still to come before it is decided */
  uint32_t off;        /* of the others, those that did not agree */
  uint64_t off_ns;     /* sum of these */
  uint64_t suspect_ns; /* the sample that raised it */
};

static struct estimate estimates[ENTRIES];

static uint64_t load(const uint64_t *field) { return __atomic_load_n(field, __ATOMIC_RELAXED); }
static void store(uint64_t *field, uint64_t value) { __atomic_store_n(field, value, __ATOMIC_RELAXED); }
static uint32_t load_count(const uint32_t *field) { return __atomic_load_n(field, __ATOMIC_RELAXED); }
static void store_count(uint32_t *field, uint32_t value) { __atomic_store_n(field, value, __ATOMIC_RELAXED); }

static struct estimate *place_of(uint64_t key) { return &estimates[(key >> 40) % ENTRIES]; }

static uint64_t smaller(uint64_t left, uint64_t right) { return left < right ? left : right; }

uint64_t hami_estimates_get(uint64_t key, bool contended) {
  struct estimate *estimate = place_of(key);
  if (load(&estimate->key) != key) {
    return 0;
  }
  bool settled = load_count(&estimate->clean) != 0 || load_count(&estimate->moments) >= ENOUGH_SAMPLES;
  if (contended && !settled) {
    return 0;
  }
  uint64_t smallest = smaller(load(&estimate->previous_ns), load(&estimate->current_ns));
  uint64_t mean = load(&estimate->mean_ns);
  return contended ? smaller(smallest, mean) : mean;
}

bool hami_estimates_wanted(uint64_t key) {
  struct estimate *estimate = place_of(key);
  if (load(&estimate->key) != key || load_count(&estimate->samples) < FIRST_SAMPLES ||
      load_count(&estimate->suspicion) != 0 || load(&estimate->mean_ns) >= LONG_NS) {
    return true;
  }
  /* Not counted atomically: that would be the dearest part of a launch, and a lost one does no harm. */
  uint32_t unmeasured = load_count(&estimate->unmeasured) + 1;
  bool wanted = unmeasured >= load_count(&estimate->due);
  store_count(&estimate->unmeasured, wanted ? 0 : unmeasured);
  return wanted;
}

/* Half the interval to one and a half, by no pattern: programs have patterns of their own. */
static void set_due(struct estimate *estimate, uint32_t interval) {
  uint64_t noise = hami_estimates_mix(load(&estimate->last_ns), load(&estimate->mean_ns) + load_count(&estimate->due));
  store_count(&estimate->due, interval / 2 + (uint32_t)(noise % interval));
}

static bool agrees(const struct estimate *estimate, uint64_t measured_ns) {
  uint64_t mean = load(&estimate->mean_ns);
  uint64_t distance = measured_ns > mean ? measured_ns - mean : mean - measured_ns;
  return distance <= mean / 4 + JITTER_NS;
}

static void update_mean(struct estimate *estimate, uint64_t measured_ns) {
  uint32_t samples = load_count(&estimate->samples);
  uint64_t weight = samples < FIRST_SAMPLES ? samples : FIRST_SAMPLES - 1;
  store(&estimate->mean_ns, (load(&estimate->mean_ns) * weight + measured_ns) / (weight + 1));
}

/* One of the samples that decide about a suspicion. They say nothing else: launches in a row may be alike. */
static void investigate(struct estimate *estimate, uint64_t measured_ns) {
  uint32_t off = load_count(&estimate->off);
  uint32_t rest = load_count(&estimate->suspicion) - 1;
  if (!agrees(estimate, measured_ns)) {
    store_count(&estimate->off, ++off);
    store(&estimate->off_ns, load(&estimate->off_ns) + measured_ns);
  }
  store_count(&estimate->suspicion, rest < SUSPICION_SAMPLES ? rest : 0);
  if (rest == 0 && off > SUSPICION_SAMPLES / 2) {
    store(&estimate->mean_ns, load(&estimate->off_ns) / off);
    store_count(&estimate->needed, STEADY_SAMPLES);
  } else if (rest == 0) {
    update_mean(estimate, load(&estimate->suspect_ns));
  }
}

static void suspect(struct estimate *estimate, uint64_t measured_ns) {
  uint32_t needed = load_count(&estimate->needed) * 8;
  store_count(&estimate->needed, needed < MOST_STEADY_SAMPLES ? needed : MOST_STEADY_SAMPLES);
  store_count(&estimate->off, 0);
  store(&estimate->off_ns, 0);
  store(&estimate->suspect_ns, measured_ns);
  store_count(&estimate->suspicion, SUSPICION_SAMPLES);
}

/* Takes a clean sample in, and decides how soon the next is measured. */
static void judge(struct estimate *estimate, uint64_t measured_ns) {
  uint32_t interval = load_count(&estimate->interval);
  interval = interval < SHORT_INTERVAL ? SHORT_INTERVAL : interval; /* another thread has not got that far */
  uint32_t agreeing = agrees(estimate, measured_ns) ? load_count(&estimate->agreeing) + 1 : 0;
  if (agreeing == 0 && interval > SHORT_INTERVAL) {
    suspect(estimate, measured_ns);
  } else {
    update_mean(estimate, measured_ns);
  }
  if (agreeing == 0) {
    interval = SHORT_INTERVAL;
  } else if (agreeing >= load_count(&estimate->needed) && load_count(&estimate->samples) > FIRST_SAMPLES) {
    interval = interval < LONGEST_INTERVAL ? interval * 2 : LONGEST_INTERVAL;
    agreeing = 0;
  }
  store_count(&estimate->interval, interval);
  store_count(&estimate->agreeing, agreeing);
  set_due(estimate, interval);
}

/* The smallest of this window and the last. A whole window without a clean sample is no proof of longer work: the
 * smallest rises step by step. */
static void update_smallest(struct estimate *estimate, uint64_t measured_ns) {
  uint32_t samples = load_count(&estimate->samples) + 1;
  store_count(&estimate->samples, samples);
  uint64_t current = load(&estimate->current_ns);
  if (samples % WINDOW_SAMPLES == 0) {
    uint64_t previous = load(&estimate->previous_ns);
    store(&estimate->previous_ns, smaller(current, previous < UINT64_MAX / 2 ? previous + previous / 2 : previous));
    current = UINT64_MAX;
  }
  store(&estimate->current_ns, smaller(current, measured_ns));
}

static void begin(struct estimate *estimate, uint64_t key, uint64_t measured_ns, bool clean, uint64_t now_ns) {
  store(&estimate->mean_ns, measured_ns);
  store(&estimate->previous_ns, UINT64_MAX);
  store(&estimate->current_ns, measured_ns);
  store_count(&estimate->samples, 1);
  store_count(&estimate->clean, clean ? 1 : 0);
  store_count(&estimate->moments, 1);
  store_count(&estimate->agreeing, 0);
  store_count(&estimate->needed, STEADY_SAMPLES);
  store_count(&estimate->suspicion, 0);
  store_count(&estimate->interval, SHORT_INTERVAL);
  store(&estimate->last_ns, now_ns);
  set_due(estimate, SHORT_INTERVAL);
  store(&estimate->key, key);
}

uint64_t hami_estimates_add(uint64_t key, uint64_t least_ns, uint64_t most_ns, bool clean, uint64_t now_ns) {
  struct estimate *estimate = place_of(key);
  if (load(&estimate->key) != key) {
    begin(estimate, key, most_ns, clean, now_ns);
    return most_ns;
  }
  if (clean) {
    store_count(&estimate->clean, 1);
  }
  if (now_ns - load(&estimate->last_ns) >= DIFFERENT_NS) {
    store(&estimate->last_ns, now_ns);
    store_count(&estimate->moments, load_count(&estimate->moments) + 1);
  }
  /* As before, where that is possible. */
  uint64_t mean = load(&estimate->mean_ns);
  uint64_t measured_ns = mean > most_ns ? most_ns : mean < least_ns ? least_ns : mean;
  if (load_count(&estimate->suspicion) != 0) {
    investigate(estimate, measured_ns);
  } else if (clean) {
    judge(estimate, measured_ns);
  } else {
    update_mean(estimate, measured_ns);
  }
  update_smallest(estimate, most_ns);
  return measured_ns;
}
