#include "core/pacing.h"

#include <sys/mman.h>

#include "core/log.h"
#include "core/test_point.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

/* A launch may run ahead of its position by this much: sleeping costs some 60 us more than asked, so sleeps are kept
 * long against that. The long-run share is exact whatever the value. */
#define AHEAD_NS (2 * NS_PER_MS)
/* Share not used in this past is kept; it also makes good what a sleep was too long. */
#define CREDIT_NS (50 * NS_PER_MS)
/* A launch that comes late by less than its own cost has lost nothing, up to this: the one before it may have waited
 * that long for another container's. */
#define MOST_LATE_NS NS_PER_S
#define SLEEP_STEP_NS (10 * NS_PER_MS)
/* Charged for a launch of unknown cost until it is settled. */
#define FIRST_ESTIMATE_NS NS_PER_MS
/* The others wait this long for what it tells: letting every process of a container start work of unknown length at
 * once could use up the share of minutes. */
#define LEARNING_NS NS_PER_S
/* A launch of unknown length holds up the queue by no more than this: its owner may be dead. */
#define MOST_GUESSED_NS (5 * NS_PER_S)
#define LEARNING_STEP_NS NS_PER_MS
/* Queue ends further ahead than this are damage: some hundred launches of ten seconds at one percent lie below. */
#define MOST_AHEAD_NS (24 * 3600 * NS_PER_S)
/* Averages above this are damage: believed, they would let every later launch wait for as long. */
#define MOST_TYPICAL_NS (60 * NS_PER_S)
/* Others count as active for this long after they were seen, and as unknown when nobody looked for this long. */
#define OTHERS_ACTIVE_NS NS_PER_S
#define OTHERS_KNOWN_NS (2 * NS_PER_S)
/* A launch waits no longer than this for a container of higher priority. */
#define MOST_YIELD_NS NS_PER_S
#define AVERAGE_SHIFT 3 /* the running average moves an eighth of the way */
#define WRITE_STEP_NS NS_PER_MS
#define LOCAL_BYTES (HAMI_LIMITS_MAX_DEVICES * sizeof(struct hami_region_device))

bool hami_pacing_open(struct hami_pacing *pacing, const struct hami_effects *effects, struct hami_live_limits *limits,
                      struct hami_region *region) {
  void *local = mmap(NULL, LOCAL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *pacing = (struct hami_pacing){
      .effects = effects, .limits = limits, .region = region, .local = local == MAP_FAILED ? NULL : local};
  return pacing->local != NULL;
}

void hami_pacing_close(struct hami_pacing *pacing) {
  if (pacing->local != NULL) {
    (void)munmap(pacing->local, LOCAL_BYTES);
    pacing->local = NULL;
  }
}

static bool known_device(const struct hami_pacing *pacing, int device) {
  return device >= 0 && (uint32_t)device < __atomic_load_n(&pacing->limits->device_count, __ATOMIC_ACQUIRE);
}

static struct hami_region_device *record_of(const struct hami_pacing *pacing, uint32_t device) {
  struct hami_region_device *record = hami_region_device_at(pacing->region, device);
  return record != NULL ? record : &pacing->local[device];
}

static uint32_t percent_of(const struct hami_pacing *pacing, uint32_t device) {
  return __atomic_load_n(&pacing->limits->core_percent[device], __ATOMIC_RELAXED);
}

/* What launches take lately; 0: nobody knows. */
static uint64_t typical_of(const struct hami_region_device *record) {
  uint64_t typical = __atomic_load_n(&record->typical_ns, __ATOMIC_RELAXED);
  return typical <= MOST_TYPICAL_NS ? typical : 0;
}

static bool others_active(const struct hami_pacing *pacing, const struct hami_region_device *record, uint32_t device,
                          uint64_t now) {
  uint32_t told = __atomic_load_n(&pacing->limits->contention[device], __ATOMIC_RELAXED);
  if (told != HAMI_CONTENTION_UNKNOWN) {
    return told == HAMI_CONTENTION_SOME;
  }
  uint64_t seen = __atomic_load_n(&record->others_seen_ns, __ATOMIC_RELAXED);
  uint64_t busy = __atomic_load_n(&record->others_busy_ns, __ATOMIC_RELAXED);
  if (seen == 0 || now - seen > OTHERS_KNOWN_NS) {
    return true; /* nobody knows: hold to the share */
  }
  return busy != 0 && now - busy <= OTHERS_ACTIVE_NS;
}

static bool limited(const struct hami_pacing *pacing, const struct hami_region_device *record, uint32_t device,
                    uint64_t now) {
  uint32_t percent = percent_of(pacing, device);
  uint32_t policy = __atomic_load_n(&pacing->limits->policy, __ATOMIC_RELAXED);
  if (percent == 0 || percent >= 100 || policy == HAMI_POLICY_DISABLE) {
    return false;
  }
  return policy == HAMI_POLICY_FORCE || others_active(pacing, record, device, now);
}

bool hami_pacing_limits(struct hami_pacing *pacing, int device, uint64_t now) {
  hami_live_limits_poll(pacing->limits, now);
  if (!known_device(pacing, device)) {
    return false;
  }
  uint32_t index = (uint32_t)device;
  return limited(pacing, record_of(pacing, index), index, now) ||
         __atomic_load_n(&pacing->limits->yields[index], __ATOMIC_RELAXED) != 0;
}

/* Device time as the time in which a share earns it. */
static uint64_t earned_in(uint64_t device_ns, uint32_t percent) {
  return device_ns > MOST_AHEAD_NS ? MOST_AHEAD_NS * 100 / percent : device_ns * 100 / percent;
}

/* Times written by many threads are written only when they say something new. */
static void touch(uint64_t *time, uint64_t now) {
  if (now - __atomic_load_n(time, __ATOMIC_RELAXED) > WRITE_STEP_NS) {
    __atomic_store_n(time, now, __ATOMIC_RELAXED);
  }
}

static void move_queue(struct hami_region_device *record, int64_t shift) {
  /* Unsigned on purpose: adding the two's complement subtracts. A queue end before zero reads as far ahead, which
   * take_position repairs. */
  __atomic_fetch_add(&record->queue_end_ns, (uint64_t)shift, __ATOMIC_RELAXED);
  HAMI_TEST_POINT("pacing.half_moved");
  __atomic_fetch_add(&record->queue_shift_ns, shift, __ATOMIC_RELAXED);
}

/* After a change of the share, what is queued is earned at the new rate. Whoever comes first converts it. */
static void follow_share(struct hami_region_device *record, uint32_t percent, uint64_t now) {
  uint32_t before = __atomic_load_n(&record->queue_percent, __ATOMIC_RELAXED);
  if (before == percent || !__atomic_compare_exchange_n(&record->queue_percent, &before, percent, false,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    return;
  }
  HAMI_TEST_POINT("pacing.share_followed");
  uint64_t end = __atomic_load_n(&record->queue_end_ns, __ATOMIC_RELAXED);
  if (before == 0 || before >= 100 || end <= now || end - now > MOST_AHEAD_NS) {
    return;
  }
  uint64_t queued = (end - now) / percent * before;
  move_queue(record, (int64_t)queued - (int64_t)(end - now));
}

/* Appends work of `cost_ns` to the queue; returns the moment it may start. */
static uint64_t take_position(struct hami_region_device *record, uint64_t cost_ns, uint64_t now) {
  uint64_t oldest = now > CREDIT_NS ? now - CREDIT_NS : 0;
  uint64_t late = cost_ns < MOST_LATE_NS ? cost_ns : MOST_LATE_NS;
  uint64_t end = __atomic_load_n(&record->queue_end_ns, __ATOMIC_RELAXED);
  uint64_t start;
  do {
    bool damaged = end > now && end - now > MOST_AHEAD_NS;
    start = damaged ? now : end > oldest || now - end < late ? end : oldest;
  } while (!__atomic_compare_exchange_n(&record->queue_end_ns, &end, start + cost_ns, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
  return start;
}

/* A container of higher priority is at work and this launch has not waited for it long enough. */
static bool must_yield(const struct hami_pacing *pacing, const struct hami_pacing_launch *launch, uint64_t now) {
  return __builtin_expect(__atomic_load_n(&pacing->limits->yields[launch->device], __ATOMIC_RELAXED) != 0, 0) &&
         now - launch->began_ns < MOST_YIELD_NS;
}

static void queue(struct hami_region_device *record, struct hami_pacing_launch *launch, uint64_t charged_ns,
                  uint32_t percent, uint64_t now) {
  launch->charged_ns = charged_ns < MOST_AHEAD_NS ? charged_ns : MOST_AHEAD_NS;
  launch->cost_ns = earned_in(launch->charged_ns, percent);
  follow_share(record, percent, now);
  launch->start_ns = take_position(record, launch->cost_ns, now);
  launch->shift_ns = __atomic_load_n(&record->queue_shift_ns, __ATOMIC_RELAXED);
  HAMI_TEST_POINT("pacing.queued");
}

void hami_pacing_enqueue(struct hami_pacing *pacing, int device_index, uint64_t estimate_ns, uint64_t now,
                         struct hami_pacing_launch *launch) {
  *launch = (struct hami_pacing_launch){.device = device_index, .began_ns = now, .allowance_ns = AHEAD_NS};
  hami_live_limits_poll(pacing->limits, now);
  if (!known_device(pacing, device_index)) {
    launch->device = -1;
    return;
  }
  uint32_t device = (uint32_t)device_index;
  struct hami_region_device *record = record_of(pacing, device);
  touch(&record->launched_ns, now);
  uint32_t percent = percent_of(pacing, device);
  if (percent == 0 || !limited(pacing, record, device, now)) {
    return;
  }
  uint64_t known = estimate_ns != 0 ? estimate_ns : typical_of(record);
  if (known == 0) {
    launch->learning = true;
  } else {
    queue(record, launch, known, percent, now);
  }
}

/*
 * The charge of the launch to learn from, or 0 when another one is still out. The first is charged little. One that
 * follows because no result has come is charged with the time since: by then the one before may have taken that much.
 * So the times between them grow, and whatever the launches take, few of them run unpaid.
 */
static uint64_t turn_to_learn(struct hami_region_device *record, uint32_t percent, uint64_t now) {
  uint64_t last = __atomic_load_n(&record->learning_ns, __ATOMIC_RELAXED);
  uint64_t end = __atomic_load_n(&record->queue_end_ns, __ATOMIC_RELAXED);
  uint64_t since = now - last;
  bool queued = end > now && end - now <= MOST_GUESSED_NS;
  if (queued || (last != 0 && since < LEARNING_NS) ||
      !__atomic_compare_exchange_n(&record->learning_ns, &last, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    return 0;
  }
  uint64_t most = MOST_GUESSED_NS * percent / 100;
  return last == 0 ? FIRST_ESTIMATE_NS : since < most ? since : most;
}

/* True once the launch may be queued: it is the one to learn from, or something has been learnt. */
static bool learnt(struct hami_region_device *record, struct hami_pacing_launch *launch, uint32_t percent,
                   uint64_t now) {
  uint64_t known = typical_of(record);
  known = known != 0 ? known : turn_to_learn(record, percent, now);
  if (known == 0) {
    return false;
  }
  HAMI_TEST_POINT("pacing.learning");
  launch->learning = false;
  queue(record, launch, known, percent, now);
  return true;
}

/* How far the launch's position lies ahead; 0 or less when it has come. */
static int64_t distance(const struct hami_pacing_launch *launch, const struct hami_region_device *record,
                        uint64_t now) {
  int64_t shift = __atomic_load_n(&record->queue_shift_ns, __ATOMIC_RELAXED) - launch->shift_ns;
  int64_t ahead = (int64_t)(launch->start_ns - now) + shift;
  return ahead > (int64_t)(2 * MOST_AHEAD_NS) ? 0 : ahead; /* further than any queue reaches: damage */
}

uint64_t hami_pacing_remaining(struct hami_pacing *pacing, struct hami_pacing_launch *launch, uint64_t now) {
  if (launch->device < 0) {
    return 0;
  }
  if (must_yield(pacing, launch, now)) {
    hami_live_limits_poll(pacing->limits, now);
    return SLEEP_STEP_NS;
  }
  uint32_t device = (uint32_t)launch->device;
  struct hami_region_device *record = record_of(pacing, device);
  int64_t ahead = launch->charged_ns == 0 ? 0 : distance(launch, record, now);
  if (ahead <= (int64_t)launch->allowance_ns && !launch->learning) {
    return 0;
  }
  hami_live_limits_poll(pacing->limits, now);
  uint32_t percent = percent_of(pacing, device);
  if (percent == 0 || !limited(pacing, record, device, now)) {
    move_queue(record, -(int64_t)launch->cost_ns);
    launch->charged_ns = 0;
    return 0;
  }
  if (launch->learning) {
    return learnt(record, launch, percent, now) ? hami_pacing_remaining(pacing, launch, now) : LEARNING_STEP_NS;
  }
  follow_share(record, percent, now);
  launch->allowance_ns =
      0; /* once asleep, wait to the end: many short sleeps would lose more time than few long ones */
  return (uint64_t)ahead < SLEEP_STEP_NS ? (uint64_t)ahead : SLEEP_STEP_NS;
}

uint64_t hami_pacing_admit(struct hami_pacing *pacing, int device, uint64_t estimate_ns,
                           void (*meanwhile)(int device)) {
  struct hami_pacing_launch launch;
  hami_pacing_enqueue(pacing, device, estimate_ns, pacing->effects->now_ns(), &launch);
  uint64_t now = launch.began_ns;
  for (uint64_t rest; (rest = hami_pacing_remaining(pacing, &launch, now)) != 0; now = pacing->effects->now_ns()) {
    HAMI_TEST_POINT("pacing.waiting");
    pacing->effects->sleep_ns(rest);
    if (meanwhile != NULL) {
      meanwhile(device);
    }
  }
  if (launch.device >= 0 && now - launch.began_ns > WRITE_STEP_NS) {
    uint64_t *throttled = &record_of(pacing, (uint32_t)device)->throttled_ns;
    __atomic_fetch_add(throttled, now - launch.began_ns, __ATOMIC_RELAXED);
  }
  return launch.charged_ns;
}

static void update_average(struct hami_region_device *record, uint64_t measured_ns, uint32_t launches) {
  uint64_t average = measured_ns / launches;
  uint64_t each = average < MOST_TYPICAL_NS ? average : MOST_TYPICAL_NS;
  uint64_t before = typical_of(record);
  uint64_t after = before == 0     ? each
                   : each > before ? before + ((each - before) >> AVERAGE_SHIFT)
                                   : before - ((before - each) >> AVERAGE_SHIFT);
  /* A lost update of an average does no harm. */
  __atomic_store_n(&record->typical_ns, after == 0 ? 1 : after, __ATOMIC_RELAXED);
}

void hami_pacing_settle(struct hami_pacing *pacing, int device_index, uint64_t charged_ns, uint64_t measured_ns,
                        uint32_t launches) {
  if (!known_device(pacing, device_index)) {
    return;
  }
  uint32_t device = (uint32_t)device_index;
  struct hami_region_device *record = record_of(pacing, device);
  __atomic_fetch_add(&record->busy_ns, measured_ns, __ATOMIC_RELAXED);
  HAMI_TEST_POINT("pacing.settling");
  if (launches > 0) {
    update_average(record, measured_ns, launches);
  }
  uint32_t percent = percent_of(pacing, device);
  if (charged_ns != 0 && percent != 0) {
    uint64_t charged = earned_in(charged_ns, percent);
    uint64_t measured = earned_in(measured_ns, percent);
    if (charged != measured) {
      move_queue(record, (int64_t)measured - (int64_t)charged);
    }
  }
}

void hami_pacing_observe_others(struct hami_pacing *pacing, int device_index, bool busy) {
  if (!known_device(pacing, device_index)) {
    return;
  }
  struct hami_region_device *record = record_of(pacing, (uint32_t)device_index);
  uint64_t now = pacing->effects->coarse_ns();
  __atomic_store_n(&record->others_seen_ns, now, __ATOMIC_RELAXED);
  if (busy) {
    __atomic_store_n(&record->others_busy_ns, now, __ATOMIC_RELAXED);
  }
}

bool hami_pacing_contended(const struct hami_pacing *pacing, int device) {
  return known_device(pacing, device) &&
         __atomic_load_n(&pacing->limits->contention[device], __ATOMIC_RELAXED) == HAMI_CONTENTION_SOME;
}

uint64_t hami_pacing_busy_ns(struct hami_pacing *pacing, int device_index) {
  return known_device(pacing, device_index)
             ? __atomic_load_n(&record_of(pacing, (uint32_t)device_index)->busy_ns, __ATOMIC_RELAXED)
             : 0;
}

uint64_t hami_pacing_typical_ns(struct hami_pacing *pacing, int device_index) {
  return known_device(pacing, device_index) ? typical_of(record_of(pacing, (uint32_t)device_index)) : 0;
}
