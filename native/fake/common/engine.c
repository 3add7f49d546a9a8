#include "engine.h"

#include <sched.h>
#include <time.h>

#define NO_SLOT UINT32_MAX

static uint64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t fake_clock_now(const struct fake_state *state) {
  if (state->time_scale == 0.0) {
    return __atomic_load_n(&state->virtual_ns, __ATOMIC_ACQUIRE);
  }
  uint64_t real = monotonic_ns() - state->epoch_ns;
  return state->time_scale == 1.0 ? real : (uint64_t)((double)real / state->time_scale);
}

static void jump_to(struct fake_state *state, uint64_t when_ns) {
  uint64_t now = __atomic_load_n(&state->virtual_ns, __ATOMIC_ACQUIRE);
  while (now < when_ns &&
         !__atomic_compare_exchange_n(&state->virtual_ns, &now, when_ns, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
}

void fake_clock_wait(struct fake_state *state, uint64_t when_ns) {
  /* Sleeping overshoots by the timer slack of 50 us, so the last stretch is spent yielding. */
  const uint64_t slack_ns = 60000;
  if (state->time_scale == 0.0) {
    jump_to(state, when_ns);
    return;
  }
  uint64_t target = state->epoch_ns + (uint64_t)((double)when_ns * state->time_scale);
  for (uint64_t now = monotonic_ns(); now < target; now = monotonic_ns()) {
    if (target - now <= slack_ns) {
      sched_yield();
      continue;
    }
    uint64_t until = target - slack_ns;
    struct timespec deadline = {.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
  }
}

static void add_busy(struct fake_bucket *buckets, uint64_t start_ns, uint64_t end_ns) {
  uint64_t horizon = (uint64_t)FAKE_RECENT_BUCKETS * FAKE_SLICE_NS;
  if (end_ns - start_ns > horizon) {
    start_ns = end_ns - horizon;
  }
  while (start_ns < end_ns) {
    uint64_t slice = start_ns / FAKE_SLICE_NS;
    uint64_t slice_end = (slice + 1) * FAKE_SLICE_NS;
    uint64_t until = end_ns < slice_end ? end_ns : slice_end;
    struct fake_bucket *bucket = &buckets[slice % FAKE_RECENT_BUCKETS];
    if (bucket->slice != (uint32_t)slice) {
      *bucket = (struct fake_bucket){.slice = (uint32_t)slice};
    }
    bucket->busy_ns += (uint32_t)(until - start_ns);
    start_ns = until;
  }
}

static struct fake_process *submitter(struct fake_state *state, const struct fake_pending *work) {
  struct fake_process *process = &state->processes[work->process];
  return process->pid == work->pid ? process : NULL;
}

/* Moves what has ended by `now` from the queue into the books. Needs the lock. */
static void retire(struct fake_state *state, int unit, uint64_t now) {
  struct fake_engine *engine = &state->engines[unit];
  for (; engine->head < engine->next; engine->head++) {
    const struct fake_pending *work = &engine->queue[engine->head % FAKE_QUEUE_SLOTS];
    if (work->end_ns > now) {
      return;
    }
    add_busy(engine->recent, work->start_ns, work->end_ns);
    struct fake_process *process = submitter(state, work);
    if (process != NULL) {
      process->busy_ns[unit] += work->end_ns - work->start_ns;
      process->pending[unit]--;
      add_busy(process->recent[unit], work->start_ns, work->end_ns);
    }
  }
}

/* When the oldest work in the queue, of one slot or of all (NO_SLOT), ends. Needs the lock and such work. */
static uint64_t next_end(const struct fake_engine *engine, uint32_t slot) {
  for (uint64_t i = engine->head; i < engine->next; i++) {
    const struct fake_pending *work = &engine->queue[i % FAKE_QUEUE_SLOTS];
    if (slot == NO_SLOT || work->process == slot) {
      return work->end_ns;
    }
  }
  return engine->tail_ns;
}

uint64_t fake_engine_submit(struct fake_state *state, int unit, uint64_t duration_ns) {
  struct fake_process *self = fake_state_self(state);
  struct fake_engine *engine = &state->engines[unit];
  if (duration_ns == 0 || self == NULL) {
    return __atomic_load_n(&engine->tail_ns, __ATOMIC_RELAXED);
  }
  uint32_t slot = (uint32_t)(self - state->processes);
  fake_state_lock(state);
  for (;;) {
    retire(state, unit, fake_clock_now(state));
    bool own_full = self->pending[unit] >= FAKE_QUEUE_DEPTH;
    if (!own_full && engine->next - engine->head < FAKE_QUEUE_SLOTS) {
      break;
    }
    uint64_t when = next_end(engine, own_full ? slot : NO_SLOT);
    fake_state_unlock(state);
    fake_clock_wait(state, when);
    fake_state_lock(state);
  }
  uint64_t now = fake_clock_now(state);
  uint64_t start = engine->tail_ns > now ? engine->tail_ns : now;
  engine->queue[engine->next % FAKE_QUEUE_SLOTS] =
      (struct fake_pending){.start_ns = start, .end_ns = start + duration_ns, .process = slot, .pid = self->pid};
  engine->next++;
  self->pending[unit]++;
  engine->tail_ns = start + duration_ns;
  fake_state_unlock(state);
  return start + duration_ns;
}

/* Part of the running work that lies in [from, to). Needs the lock. */
static uint64_t running_ns(const struct fake_state *state, int unit, uint32_t slot, uint64_t from, uint64_t to) {
  const struct fake_engine *engine = &state->engines[unit];
  if (engine->head == engine->next) {
    return 0;
  }
  const struct fake_pending *work = &engine->queue[engine->head % FAKE_QUEUE_SLOTS];
  uint64_t start = work->start_ns > from ? work->start_ns : from;
  uint64_t end = work->end_ns < to ? work->end_ns : to;
  return (slot == NO_SLOT || work->process == slot) && start < end ? end - start : 0;
}

uint64_t fake_engine_busy_ns(struct fake_state *state, int32_t pid, int unit) {
  uint64_t busy = 0;
  fake_state_lock(state);
  uint64_t now = fake_clock_now(state);
  retire(state, unit, now);
  for (uint32_t i = 0; i < state->slots_used; i++) {
    const struct fake_process *process = &state->processes[i];
    if (process->pid != 0 && (pid == 0 || process->pid == pid)) {
      busy += process->busy_ns[unit] + running_ns(state, unit, i, 0, now);
    }
  }
  fake_state_unlock(state);
  return busy;
}

static unsigned window_percent(struct fake_state *state, const struct fake_bucket *buckets, int unit, uint32_t slot) {
  uint64_t now = fake_clock_now(state);
  retire(state, unit, now);
  uint64_t end_slice = now / FAKE_SLICE_NS; /* the slice under way is left out: it is not full yet */
  uint64_t first_slice = end_slice > FAKE_WINDOW_SLICES ? end_slice - FAKE_WINDOW_SLICES : 0;
  uint64_t busy = running_ns(state, unit, slot, first_slice * FAKE_SLICE_NS, end_slice * FAKE_SLICE_NS);
  for (uint64_t slice = first_slice; slice < end_slice; slice++) {
    const struct fake_bucket *bucket = &buckets[slice % FAKE_RECENT_BUCKETS];
    busy += bucket->slice == (uint32_t)slice ? bucket->busy_ns : 0;
  }
  uint64_t window = (uint64_t)FAKE_WINDOW_SLICES * FAKE_SLICE_NS;
  uint64_t percent = (busy * 100 + window / 2) / window;
  return percent > 100 ? 100 : (unsigned)percent;
}

unsigned fake_engine_utilisation(struct fake_state *state, int unit) {
  return window_percent(state, state->engines[unit].recent, unit, NO_SLOT);
}

unsigned fake_engine_process_utilisation(struct fake_state *state, uint32_t slot, int unit) {
  return window_percent(state, state->processes[slot].recent[unit], unit, slot);
}
