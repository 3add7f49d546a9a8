#include "control.h"

#include "engine.h"

#pragma GCC visibility push(default)

static struct fake_state *state_with_device(int device) {
  const struct fake_machine *machine = NULL;
  if (fake_machine_load(&machine) != FAKE_MACHINE_READY || device < 0 || device >= machine->unit_count) {
    return NULL;
  }
  return fake_state_open(machine);
}

uint64_t hami_fake_busy_ns(int32_t pid, int device) {
  struct fake_state *state = state_with_device(device);
  return state == NULL ? UINT64_MAX : fake_engine_busy_ns(state, pid, device);
}

uint64_t hami_fake_used_bytes(int32_t pid, int device) {
  struct fake_state *state = state_with_device(device);
  struct fake_process_use uses[FAKE_MAX_PROCESSES];
  if (state == NULL) {
    return UINT64_MAX;
  }
  uint64_t bytes = 0;
  uint32_t count = fake_state_processes(state, device, uses, FAKE_MAX_PROCESSES);
  for (uint32_t i = 0; i < count && i < FAKE_MAX_PROCESSES; i++) {
    bytes += pid == 0 || uses[i].pid == pid ? uses[i].used : 0;
  }
  return bytes;
}

uint64_t hami_fake_now_ns(void) {
  struct fake_state *state = state_with_device(0);
  return state == NULL ? UINT64_MAX : fake_clock_now(state);
}

int hami_fake_post_xid(int device, uint64_t xid) {
  const uint64_t xid_event = 8; /* nvmlEventTypeXidCriticalError */
  struct fake_state *state = state_with_device(device);
  if (state == NULL) {
    return -1;
  }
  fake_state_lock(state);
  state->events[state->event_count % FAKE_MAX_EVENTS] =
      (struct fake_posted_event){.type = xid_event, .data = xid, .device = (uint32_t)device};
  state->event_count++;
  fake_state_unlock(state);
  return 0;
}

int hami_fake_set_health(int device, uint32_t code) {
  struct fake_state *state = device < FAKE_MAX_DEVICES ? state_with_device(device) : NULL;
  if (state == NULL) {
    return -1;
  }
  __atomic_store_n(&state->health[device], code, __ATOMIC_SEQ_CST);
  return 0;
}

#pragma GCC visibility pop
