/* Events: what tests inject (common/control.h), handed to every set that registered for the card. */
#include <stdlib.h>
#include <time.h>

#include "driver.h"

struct nvmlEventSet_st {
  unsigned long long types[FAKE_MAX_DEVICES];
  uint64_t seen; /* events of the machine that this set has looked at */
};

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *out) {
  NVML_ENTER(nvmlEventSetCreate);
  NVML_NEED(out != NULL);
  struct nvmlEventSet_st *set = calloc(1, sizeof *set);
  if (set == NULL) {
    return NVML_ERROR_MEMORY;
  }
  fake_state_lock(fake_nvml.state);
  set->seen = fake_nvml.state->event_count;
  fake_state_unlock(fake_nvml.state);
  *out = set;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
  NVML_ENTER(nvmlEventSetFree);
  NVML_NEED(set != NULL);
  free(set);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetSupportedEventTypes, device);
  NVML_NEED(out != NULL);
  *out = nvmlEventTypeXidCriticalError | nvmlEventTypeDoubleBitEccError | nvmlEventTypeSingleBitEccError;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set) {
  NVML_ENTER_DEVICE(nvmlDeviceRegisterEvents, device);
  NVML_NEED(set != NULL);
  set->types[card->index] |= types;
  return NVML_SUCCESS;
}

/* The oldest event that the set wants and has not seen. */
static bool take(struct nvmlEventSet_st *set, nvmlEventData_t *out) {
  bool found = false;
  struct fake_state *state = fake_nvml.state;
  fake_state_lock(state);
  if (state->event_count - set->seen > FAKE_MAX_EVENTS) {
    set->seen = state->event_count - FAKE_MAX_EVENTS;
  }
  while (!found && set->seen < state->event_count) {
    const struct fake_posted_event *event = &state->events[set->seen++ % FAKE_MAX_EVENTS];
    found = (set->types[event->device] & event->type) != 0;
    if (found) {
      *out = (nvmlEventData_t){.device = &fake_nvml.devices[event->device],
                               .eventType = event->type,
                               .eventData = event->data,
                               .gpuInstanceId = 0xFFFFFFFF,
                               .computeInstanceId = 0xFFFFFFFF};
    }
  }
  fake_state_unlock(state);
  return found;
}

/* The poster is another process as a rule, so the state is looked at every 10 ms. */
static nvmlReturn_t wait_for(struct nvmlEventSet_st *set, nvmlEventData_t *out, unsigned timeout_ms) {
  const unsigned step_ms = 10;
  NVML_NEED(set != NULL && out != NULL);
  for (unsigned waited = 0;; waited += step_ms) {
    if (take(set, out)) {
      return NVML_SUCCESS;
    }
    if (waited >= timeout_ms) {
      return NVML_ERROR_TIMEOUT;
    }
    nanosleep(&(struct timespec){.tv_nsec = step_ms * 1000000L}, NULL);
  }
}

nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_t *out, unsigned timeout_ms) {
  NVML_ENTER(nvmlEventSetWait);
  return wait_for(set, out, timeout_ms);
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *out, unsigned timeout_ms) {
  NVML_ENTER(nvmlEventSetWait_v2);
  return wait_for(set, out, timeout_ms);
}
