/*
 * This process's place in the shared region: it is taken at the first operation, and again when it was lost, filled
 * with what the process holds, and looked after as long as the process runs. The ledger's, and in its turn only.
 */
#ifndef HAMI_CORE_MEMBERSHIP_H
#define HAMI_CORE_MEMBERSHIP_H

#include "core/ledger.h"

/* Begins this process's turn: takes a slot if there is none, and does what is due now and then. `now` is of the coarse
 * clock. The turn ends with hami_self_leave. */
void hami_membership_take_turn(const struct hami_ledger *ledger, uint64_t now);

/* Whether something is due that a turn would do. Callable without one. */
bool hami_membership_due(const struct hami_ledger *ledger, uint64_t now);

/* Whether the region has this process's charges on `device`: without one, books are kept for this process alone. */
bool hami_membership_covers(const struct hami_ledger *ledger, uint32_t device);

/* Writes what this process holds on `device` into its slot. */
void hami_membership_publish_charge(const struct hami_ledger *ledger, uint32_t device);

/* Frees the slots of dead processes; returns their number. */
uint32_t hami_membership_reap(const struct hami_ledger *ledger);

#endif
