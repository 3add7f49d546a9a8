/*
 * Who holds how much memory on which device, for all processes of a container.
 *
 * The truth is the charge of each process in its own slot of the shared region; what is used on a device is the sum
 * over the slots in use. A reservation is published in the caller's slot before the sum is taken, so of two racing
 * callers the later one always sees the earlier, and the granted sum never exceeds the limit in any interleaving. A
 * process that dies takes its charges with it when its slot is freed; nothing has to be repaired.
 *
 * No lock is shared between processes. Threads of one process take turns on a lock that fork cannot leave locked in
 * the child. A child of fork or clone starts with no charges and takes its own slot at its first operation.
 *
 * Without a usable region the same operations keep books for this process alone, and the limits hold for it alone.
 * Devices are indices of the live limits; an index outside them is never limited and never counted.
 */
#ifndef HAMI_CORE_LEDGER_H
#define HAMI_CORE_LEDGER_H

#include "core/effects.h"
#include "core/live_limits.h"
#include "core/region.h"

struct hami_self; /* this process's part, see process.h */

struct hami_ledger {
  const struct hami_effects *effects;
  struct hami_live_limits *limits;
  struct hami_region *region;
  struct hami_self *self;
  uint64_t stuck_ns;   /* when a request last gave up after a long wait for others'; 0: never */
  uint32_t management; /* as the region's slots say it */
};

/* Prepares a ledger; `region` need not be attached yet. False when the process has no memory for it. */
bool hami_ledger_open(struct hami_ledger *ledger, const struct hami_effects *effects, struct hami_live_limits *limits,
                      struct hami_region *region);

/*
 * Takes `bytes` on `device`, or returns false and leaves everything as it was. `class` is one of HAMI_REGION_CLASSES,
 * for display. Before it refuses it looks for raised limits and for dead owners. While another process's request
 * is in flight and the two do not fit together it waits, without holding anything, for at most some 5 ms.
 */
bool hami_ledger_reserve(struct hami_ledger *ledger, int device, unsigned int class, uint64_t bytes);

/* Counts memory that exists already, limit or not. */
void hami_ledger_force(struct hami_ledger *ledger, int device, unsigned int class, uint64_t bytes);

/* Gives back. More than the process holds gives back what it holds: a counter never wraps. */
void hami_ledger_release(struct hami_ledger *ledger, int device, unsigned int class, uint64_t bytes);

/* Counts `bytes` as another class, for display; what the process holds stays the same throughout. */
void hami_ledger_reclass(struct hami_ledger *ledger, int device, unsigned int from, unsigned int to, uint64_t bytes);

/* Bytes used on `device` by the container, and by this process. Requests in flight do not count. */
uint64_t hami_ledger_used_bytes(struct hami_ledger *ledger, int device);
uint64_t hami_ledger_own_bytes(struct hami_ledger *ledger, int device);

/* All that this process ever took on `device`, whatever it gave back since: two readings tell what was taken between
 * them, the wrap of the counter included. */
uint64_t hami_ledger_taken_bytes(struct hami_ledger *ledger, int device);

/* The limit, HAMI_UNLIMITED when there is none. */
uint64_t hami_ledger_limit_bytes(struct hami_ledger *ledger, int device);

/* Bytes each process of the container holds on `device`, itself included; at most `size` rows, returns the count
 * there is. For process lists. */
struct hami_ledger_row {
  uint32_t pid;
  uint64_t bytes;
};
size_t hami_ledger_rows(struct hami_ledger *ledger, int device, struct hami_ledger_row *rows, size_t size);

/* Frees slots of dead processes, writes the heartbeat: at most once a second, whoever of the container comes first.
 * `coarse_ns` is the clock of that name. */
void hami_ledger_tick(struct hami_ledger *ledger, uint64_t coarse_ns);

/* Says whether the vendor's management library answers this process. Hosts see it at the next tick. */
void hami_ledger_note_management(struct hami_ledger *ledger, bool answers);

/* Gives the slot back; for an orderly end. Not needed: a slot whose owner died is found and freed. */
void hami_ledger_close(struct hami_ledger *ledger);

#endif
