/*
 * The simulated machine as a driver's double opens it. A double of one vendor sees nothing of another vendor's machine.
 */
#ifndef HAMI_FAKE_HOST_H
#define HAMI_FAKE_HOST_H

#include "machine.h"
#include "state.h"

struct fake_host {
  const struct fake_machine *machine;
  struct fake_state *state;
};

/* READY with both members set; NONE where HAMI_FAKE_MACHINE is unset or is another vendor's; else BROKEN. */
enum fake_machine_status fake_host_open(const char *vendor, struct fake_host *host);

/* Memory in use by everybody, and percent of the last second that a card was busy. Take the state's lock. */
uint64_t fake_host_used_bytes(const struct fake_host *host, int device);
unsigned fake_host_utilisation(const struct fake_host *host, int device);

/* 0 for a card that is well; else a code in its vendor's own numbers. */
uint32_t fake_host_health(const struct fake_host *host, int device);

/* Place in `kinds` (a NULL ends it) of how two cards are linked, by the machine's file; -1: not by any of them. */
int fake_host_link(const struct fake_host *host, int device, int peer, const char *const *kinds);

#endif
