#include "host.h"

#include <string.h>

#include "engine.h"

enum fake_machine_status fake_host_open(const char *vendor, struct fake_host *host) {
  enum fake_machine_status status = fake_machine_load(&host->machine);
  if (status != FAKE_MACHINE_READY) {
    return status;
  }
  if (strcmp(host->machine->vendor, vendor) != 0) {
    return FAKE_MACHINE_NONE;
  }
  host->state = fake_state_open(host->machine);
  return host->state == NULL ? FAKE_MACHINE_BROKEN : FAKE_MACHINE_READY;
}

uint64_t fake_host_used_bytes(const struct fake_host *host, int device) {
  return fake_state_used(host->state, device) + host->machine->devices[device].reserved_bytes;
}

unsigned fake_host_utilisation(const struct fake_host *host, int device) {
  fake_state_lock(host->state);
  unsigned percent = fake_engine_utilisation(host->state, device);
  fake_state_unlock(host->state);
  return percent;
}

uint32_t fake_host_health(const struct fake_host *host, int device) {
  return __atomic_load_n(&host->state->health[device], __ATOMIC_SEQ_CST);
}

int fake_host_link(const struct fake_host *host, int device, int peer, const char *const *kinds) {
  const struct fake_device *card = &host->machine->devices[device];
  for (int place = 0; kinds[place] != NULL; place++) {
    for (unsigned i = 0; i < card->link_count; i++) {
      if (card->links[i].peer == peer && strcmp(card->links[i].kind, kinds[place]) == 0) {
        return place;
      }
    }
  }
  return -1;
}
