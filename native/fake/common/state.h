/*
 * What processes on one simulated machine share: memory in use, the processes, the engines, injected events.
 *
 * Lives in the file HAMI_FAKE_STATE (created 0600), or in private memory when that is unset. One robust mutex guards
 * it: a process killed inside a critical section hands the lock to the next, which repairs the sums. Not callable from
 * a signal handler.
 */
#ifndef HAMI_FAKE_STATE_H
#define HAMI_FAKE_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "machine.h"

#define FAKE_MAX_PROCESSES 512
#define FAKE_QUEUE_SLOTS 4096u
#define FAKE_RECENT_BUCKETS 32u
#define FAKE_MAX_EVENTS 64u
#define FAKE_MAX_SHARED 64u

/* Busy time in one slice of the clock; `slice` tells which, so that old ones need no clearing. */
struct fake_bucket {
  uint32_t slice;
  uint32_t busy_ns;
};

struct fake_process {
  int32_t pid; /* 0: free slot */
  uint32_t reserved;
  uint64_t used[FAKE_MAX_UNITS];
  uint64_t busy_ns[FAKE_MAX_UNITS]; /* of work that has ended */
  uint32_t contexts[FAKE_MAX_UNITS];
  uint32_t pending[FAKE_MAX_UNITS];
  struct fake_bucket recent[FAKE_MAX_UNITS][FAKE_RECENT_BUCKETS];
};

struct fake_pending {
  uint64_t start_ns;
  uint64_t end_ns;
  uint32_t process; /* slot */
  int32_t pid;      /* of the submitter: the slot may have changed hands since */
};

/* One serial engine: a queue of accepted work, each with its place in simulated time. */
struct fake_engine {
  uint64_t tail_ns;
  uint64_t head;
  uint64_t next;
  struct fake_bucket recent[FAKE_RECENT_BUCKETS];
  struct fake_pending queue[FAKE_QUEUE_SLOTS];
};

struct fake_posted_event {
  uint64_t type; /* nvmlEventType* */
  uint64_t data;
  uint32_t device;
  uint32_t reserved;
};

/*
 * Memory that more than one process may hold. As with the real driver a process's figure contains what it made, or
 * what it holds as the last one; what several hold whose maker is gone is in nobody's figure, and still on the card.
 */
struct fake_shared {
  uint64_t id; /* 0: free entry */
  uint64_t bytes;
  int32_t unit;
  int32_t payer;                      /* slot whose figure contains it; -1: nobody's */
  uint16_t holds[FAKE_MAX_PROCESSES]; /* references by slot, the maker's one included */
};

struct fake_state {
  uint32_t magic; /* written last when the file is made */
  uint32_t version;
  uint64_t size;
  uint64_t machine_digest;
  uint64_t epoch_ns;   /* CLOCK_MONOTONIC when simulated time was 0 */
  double time_scale;   /* real seconds per simulated second; 0: time jumps when somebody waits */
  uint64_t virtual_ns; /* simulated time where time_scale is 0 */
  pthread_mutex_t lock;
  uint32_t slots_used; /* no slot from here on has ever been taken */
  uint64_t used[FAKE_MAX_UNITS];
  struct fake_engine engines[FAKE_MAX_UNITS];
  uint32_t health[FAKE_MAX_DEVICES]; /* 0: well; else a code in the vendor's own numbers */
  uint64_t event_count;
  struct fake_posted_event events[FAKE_MAX_EVENTS];
  struct fake_process processes[FAKE_MAX_PROCESSES];
  struct fake_shared shared[FAKE_MAX_SHARED];
};

/* Maps the state of `machine` on the first call; NULL (with a line on stderr) when the file cannot be used. */
struct fake_state *fake_state_open(const struct fake_machine *machine);

void fake_state_lock(struct fake_state *state);
void fake_state_unlock(struct fake_state *state);

/* This process's slot, claimed on first use; NULL when all slots are taken. Takes the lock. */
struct fake_process *fake_state_self(struct fake_state *state);

/* Forgets processes that are gone, with what they used. Needs the lock. */
void fake_state_reap(struct fake_state *state);

/* Takes `bytes` of a unit for this process, or nothing. Takes the lock. */
bool fake_state_charge(struct fake_state *state, int unit, uint64_t bytes);

/* Takes as much of `bytes` as there is and returns it. Takes the lock. */
uint64_t fake_state_charge_up_to(struct fake_state *state, int unit, uint64_t bytes);

void fake_state_uncharge(struct fake_state *state, int unit, uint64_t bytes);

/* Memory that others may hold too (shared.c). Its maker, who is charged for it, offers it; others hold it; each lets
 * go once for each time. Ids are not 0. False: no entry left, or nothing has this id. All take the lock. */
bool fake_state_offer(struct fake_state *state, uint64_t id, int unit, uint64_t bytes);
bool fake_state_hold(struct fake_state *state, uint64_t id);
void fake_state_let_go(struct fake_state *state, uint64_t id);

/* Under the lock, from state.c: a process is gone; what nobody's figure contains; what a process holds and does not pay
 * for, with HAMI_FAKE_IMPORTS=listed. */
void fake_shared_forget(struct fake_state *state, uint32_t slot);
uint64_t fake_shared_orphans(const struct fake_state *state, int unit);
uint64_t fake_shared_listed(const struct fake_state *state, uint32_t slot, int unit);

/* Counts contexts, which is what lists a process as using a card. Takes the lock. */
void fake_state_count_context(struct fake_state *state, int unit, int change);

/* Memory of the unit in use by live processes, its MIG instances' included for a card. Takes the lock. */
uint64_t fake_state_used(struct fake_state *state, int unit);

/* One process's use of one unit, as NVML lists it. */
struct fake_process_use {
  int32_t pid;
  uint32_t slot;
  uint64_t used;
};

/* Live processes with a context or memory on the unit, at most `capacity`; returns how many there are. */
uint32_t fake_state_processes(struct fake_state *state, int unit, struct fake_process_use *out, uint32_t capacity);

#endif
