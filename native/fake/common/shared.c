#include <stdlib.h>
#include <string.h>

#include "state.h"

static struct fake_shared *find(struct fake_state *state, uint64_t id) {
  for (uint32_t i = 0; i < FAKE_MAX_SHARED; i++) {
    if (state->shared[i].id == id) {
      return &state->shared[i];
    }
  }
  return NULL;
}

static uint32_t slot_of(const struct fake_state *state, const struct fake_process *process) {
  return (uint32_t)(process - state->processes);
}

/* Moves the memory to the figure it belongs in now, or off the card. */
static void settle(struct fake_state *state, struct fake_shared *shared) {
  uint32_t holders = 0;
  int32_t holder = -1;
  for (uint32_t slot = 0; slot < state->slots_used; slot++) {
    if (shared->holds[slot] != 0) {
      holders++;
      holder = (int32_t)slot;
    }
  }
  int32_t payer = shared->payer >= 0 && shared->holds[shared->payer] != 0 ? shared->payer : holders == 1 ? holder : -1;
  if (payer != shared->payer) {
    if (shared->payer >= 0) {
      state->processes[shared->payer].used[shared->unit] -= shared->bytes;
    }
    if (payer >= 0) {
      state->processes[payer].used[shared->unit] += shared->bytes;
    }
    shared->payer = payer;
  }
  if (holders == 0) {
    state->used[shared->unit] -= shared->bytes;
    memset(shared, 0, sizeof *shared);
  }
}

bool fake_state_offer(struct fake_state *state, uint64_t id, int unit, uint64_t bytes) {
  const struct fake_process *self = fake_state_self(state);
  if (self == NULL) {
    return false;
  }
  fake_state_lock(state);
  struct fake_shared *shared = find(state, id);
  if (shared == NULL && (shared = find(state, 0)) != NULL) {
    *shared = (struct fake_shared){.id = id, .bytes = bytes, .unit = unit, .payer = (int32_t)slot_of(state, self)};
    shared->holds[slot_of(state, self)] = 1;
  }
  fake_state_unlock(state);
  return shared != NULL;
}

bool fake_state_hold(struct fake_state *state, uint64_t id) {
  const struct fake_process *self = fake_state_self(state);
  if (self == NULL) {
    return false;
  }
  fake_state_lock(state);
  struct fake_shared *shared = find(state, id);
  if (shared != NULL) {
    shared->holds[slot_of(state, self)]++;
  }
  fake_state_unlock(state);
  return shared != NULL;
}

void fake_state_let_go(struct fake_state *state, uint64_t id) {
  const struct fake_process *self = fake_state_self(state);
  if (self == NULL) {
    return;
  }
  fake_state_lock(state);
  struct fake_shared *shared = find(state, id);
  uint32_t slot = slot_of(state, self);
  if (shared != NULL && shared->holds[slot] != 0) {
    shared->holds[slot]--;
    settle(state, shared);
  }
  fake_state_unlock(state);
}

void fake_shared_forget(struct fake_state *state, uint32_t slot) {
  for (uint32_t i = 0; i < FAKE_MAX_SHARED; i++) {
    struct fake_shared *shared = &state->shared[i];
    if (shared->id != 0 && shared->holds[slot] != 0) {
      shared->holds[slot] = 0;
      settle(state, shared);
    }
  }
}

uint64_t fake_shared_orphans(const struct fake_state *state, int unit) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < FAKE_MAX_SHARED; i++) {
    const struct fake_shared *shared = &state->shared[i];
    bytes += shared->id != 0 && shared->payer < 0 && shared->unit == unit ? shared->bytes : 0;
  }
  return bytes;
}

uint64_t fake_shared_listed(const struct fake_state *state, uint32_t slot, int unit) {
  const char *mode = getenv("HAMI_FAKE_IMPORTS");
  uint64_t bytes = 0;
  for (uint32_t i = 0; mode != NULL && strcmp(mode, "listed") == 0 && i < FAKE_MAX_SHARED; i++) {
    const struct fake_shared *shared = &state->shared[i];
    bool imported = shared->id != 0 && shared->unit == unit && shared->holds[slot] != 0;
    bytes += imported && shared->payer != (int32_t)slot ? shared->bytes : 0;
  }
  return bytes;
}
