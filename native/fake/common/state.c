#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tenure.h"

#define MAGIC 0x464B4148u /* "HAKF" */
#define VERSION 3u

static struct fake_state *mapped;
static const struct fake_machine *mapped_machine;
static struct fake_process *self_slot;

static double configured_scale(void) {
  const char *text = getenv("HAMI_FAKE_TIME_SCALE");
  if (text == NULL || text[0] == '\0') {
    return 1.0;
  }
  char *end = NULL;
  double scale = strtod(text, &end);
  if (*end != '\0' || !(scale >= 0.0 && scale <= 1e6)) {
    fprintf(stderr, "hami fake driver: HAMI_FAKE_TIME_SCALE must be a number from 0 to 1e6; got '%s', using 1\n", text);
    return 1.0;
  }
  return scale;
}

static void initialise(struct fake_state *state, const struct fake_machine *machine) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&state->lock, &attributes);
  pthread_mutexattr_destroy(&attributes);
  state->version = VERSION;
  state->size = sizeof *state;
  state->machine_digest = machine->digest;
  state->epoch_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  state->time_scale = configured_scale();
  for (int i = 0; i < machine->device_count; i++) {
    state->health[i] = machine->devices[i].healthy ? 0 : 1;
  }
  __atomic_store_n(&state->magic, MAGIC, __ATOMIC_RELEASE);
}

static const char *mismatch(const struct fake_state *state, const struct fake_machine *machine) {
  if (state->magic != MAGIC || state->version != VERSION || state->size != sizeof *state) {
    return "is not a state file of this version of the fake driver; remove it";
  }
  if (state->machine_digest != machine->digest) {
    return "belongs to another machine file; use one state file per machine";
  }
  return NULL;
}

static struct fake_state *map(int fd, int flags) {
  void *memory = mmap(NULL, sizeof(struct fake_state), PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

/* The file's own lock covers making it: a maker that dies leaves magic unset, and the next one makes it anew. */
static struct fake_state *map_file(const char *path, const struct fake_machine *machine) {
  const char *problem = NULL;
  struct fake_state *state = NULL;
  struct stat status;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 || flock(fd, LOCK_EX) != 0 || fstat(fd, &status) != 0) {
    problem = strerror(errno);
  } else if (status.st_size != 0 && (size_t)status.st_size != sizeof *state) {
    problem = "is not a state file of this version of the fake driver; remove it";
  } else if ((status.st_size == 0 && ftruncate(fd, sizeof *state) != 0) || (state = map(fd, MAP_SHARED)) == NULL) {
    problem = strerror(errno);
  } else if (state->magic == 0) {
    initialise(state, machine);
  } else {
    problem = mismatch(state, machine);
  }
  if (problem == NULL && !fake_tenure_open(path)) {
    problem = strerror(errno);
  }
  if (fd >= 0) {
    /* Closing would not do: the mapping keeps the open file, and with it the lock, alive. */
    flock(fd, LOCK_UN);
    close(fd);
  }
  if (problem != NULL) {
    fprintf(stderr, "hami fake driver: HAMI_FAKE_STATE %s: %s\n", path, problem);
    if (state != NULL) {
      munmap(state, sizeof *state);
    }
    return NULL;
  }
  return state;
}

static void open_once(void) {
  const char *path = getenv("HAMI_FAKE_STATE");
  if (path != NULL && path[0] != '\0') {
    mapped = map_file(path, mapped_machine);
    return;
  }
  mapped = map(-1, MAP_PRIVATE | MAP_ANONYMOUS);
  if (mapped != NULL) {
    initialise(mapped, mapped_machine);
  }
}

struct fake_state *fake_state_open(const struct fake_machine *machine) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  static pthread_mutex_t machine_lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&machine_lock); /* pthread_once passes nothing to what it calls */
  mapped_machine = machine;
  pthread_mutex_unlock(&machine_lock);
  pthread_once(&once, open_once);
  return mapped;
}

/* Sums follow from the slots, so a critical section cut short needs nothing but adding them up again. */
static void repair(struct fake_state *state) {
  memset(state->used, 0, sizeof state->used);
  for (uint32_t i = 0; i < state->slots_used; i++) {
    for (int unit = 0; state->processes[i].pid != 0 && unit < FAKE_MAX_UNITS; unit++) {
      state->used[unit] += state->processes[i].used[unit];
    }
  }
  for (int unit = 0; unit < FAKE_MAX_UNITS; unit++) {
    state->used[unit] += fake_shared_orphans(state, unit);
  }
}

void fake_state_lock(struct fake_state *state) {
  if (pthread_mutex_lock(&state->lock) == EOWNERDEAD) {
    repair(state);
    pthread_mutex_consistent(&state->lock);
  }
}

void fake_state_unlock(struct fake_state *state) { pthread_mutex_unlock(&state->lock); }

static void clear_slot(struct fake_state *state, struct fake_process *process) {
  process->pid = 0;
  fake_shared_forget(state, (uint32_t)(process - state->processes));
  for (int unit = 0; unit < FAKE_MAX_UNITS; unit++) {
    state->used[unit] -= process->used[unit];
  }
  memset(process, 0, sizeof *process);
}

void fake_state_reap(struct fake_state *state) {
  for (uint32_t i = 0; i < state->slots_used; i++) {
    struct fake_process *process = &state->processes[i];
    if (process->pid != 0 && process != self_slot && !fake_tenure_held(i)) {
      clear_slot(state, process);
    }
  }
}

/* A slot of no live process, held by this one from now on. Needs the lock. */
static struct fake_process *take_slot(struct fake_state *state) {
  for (uint32_t i = 0; i < FAKE_MAX_PROCESSES; i++) {
    struct fake_process *process = &state->processes[i];
    if (process->pid == 0 && fake_tenure_take(i)) {
      state->slots_used = i < state->slots_used ? state->slots_used : i + 1;
      memset(process, 0, sizeof *process); /* whoever had it may have died while clearing it */
      process->pid = (int32_t)getpid();
      return process;
    }
  }
  return NULL;
}

static void forget_self(void) { self_slot = NULL; }

static struct fake_process *claim(struct fake_state *state) {
  static bool fork_handled;
  fake_state_lock(state);
  struct fake_process *slot = self_slot; /* another thread may have been faster */
  if (slot == NULL) {
    fake_state_reap(state);
    slot = take_slot(state);
    __atomic_store_n(&self_slot, slot, __ATOMIC_RELEASE);
  }
  if (!fork_handled) {
    fork_handled = pthread_atfork(NULL, NULL, forget_self) == 0;
  }
  fake_state_unlock(state);
  return slot;
}

struct fake_process *fake_state_self(struct fake_state *state) {
  struct fake_process *slot = __atomic_load_n(&self_slot, __ATOMIC_ACQUIRE);
  return slot != NULL ? slot : claim(state);
}

uint64_t fake_state_charge_up_to(struct fake_state *state, int unit, uint64_t bytes) {
  struct fake_process *self = fake_state_self(state);
  uint64_t capacity = mapped_machine->units[unit].memory_bytes;
  if (self == NULL) {
    return 0;
  }
  fake_state_lock(state);
  if (state->used[unit] + bytes > capacity) {
    fake_state_reap(state);
  }
  uint64_t room = capacity > state->used[unit] ? capacity - state->used[unit] : 0;
  uint64_t taken = bytes < room ? bytes : room;
  self->used[unit] += taken;
  state->used[unit] += taken;
  fake_state_unlock(state);
  return taken;
}

bool fake_state_charge(struct fake_state *state, int unit, uint64_t bytes) {
  struct fake_process *self = fake_state_self(state);
  uint64_t capacity = mapped_machine->units[unit].memory_bytes;
  if (self == NULL || bytes > capacity) {
    return false;
  }
  fake_state_lock(state);
  if (state->used[unit] + bytes > capacity) {
    fake_state_reap(state);
  }
  bool fits = state->used[unit] + bytes <= capacity;
  if (fits) {
    self->used[unit] += bytes;
    state->used[unit] += bytes;
  }
  fake_state_unlock(state);
  return fits;
}

void fake_state_uncharge(struct fake_state *state, int unit, uint64_t bytes) {
  struct fake_process *self = fake_state_self(state);
  if (self == NULL || bytes == 0) {
    return;
  }
  fake_state_lock(state);
  self->used[unit] -= bytes;
  state->used[unit] -= bytes;
  fake_state_unlock(state);
}

void fake_state_count_context(struct fake_state *state, int unit, int change) {
  struct fake_process *self = fake_state_self(state);
  if (self != NULL) {
    fake_state_lock(state);
    self->contexts[unit] += (uint32_t)change;
    fake_state_unlock(state);
  }
}

uint64_t fake_state_used(struct fake_state *state, int unit) {
  const struct fake_machine *machine = mapped_machine;
  fake_state_lock(state);
  fake_state_reap(state);
  uint64_t used = state->used[unit];
  for (int i = machine->device_count; i < machine->unit_count && unit < machine->device_count; i++) {
    used += machine->units[i].device == unit ? state->used[i] : 0;
  }
  fake_state_unlock(state);
  return used;
}

uint32_t fake_state_processes(struct fake_state *state, int unit, struct fake_process_use *out, uint32_t capacity) {
  const struct fake_machine *machine = mapped_machine;
  uint32_t found = 0;
  fake_state_lock(state);
  fake_state_reap(state);
  for (uint32_t i = 0; i < state->slots_used; i++) {
    const struct fake_process *process = &state->processes[i];
    uint64_t used = process->used[unit] + fake_shared_listed(state, i, unit);
    uint64_t contexts = process->contexts[unit];
    for (int k = machine->device_count; k < machine->unit_count && unit < machine->device_count; k++) {
      used += machine->units[k].device == unit ? process->used[k] : 0;
      contexts += machine->units[k].device == unit ? process->contexts[k] : 0;
    }
    if (process->pid == 0 || (used == 0 && contexts == 0)) {
      continue;
    }
    if (found < capacity) {
      out[found] = (struct fake_process_use){.pid = process->pid, .slot = i, .used = used};
    }
    found++;
  }
  fake_state_unlock(state);
  return found;
}
