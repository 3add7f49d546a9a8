/*
 * MIG instances that programs made, beside those of the machine file: kept in HAMI_FAKE_STATE with ".mig" after it, so
 * that every process on one simulated machine sees the same, or in this process alone where that is unset.
 *
 * A made instance is a unit behind those of the machine file, the same one in every process. Not callable from a signal
 * handler; calls that change something lock the file.
 */
#ifndef HAMI_FAKE_PARTITIONS_H
#define HAMI_FAKE_PARTITIONS_H

#include <stdbool.h>

#include "common/machine.h"

/* Makes the machine show what there is now. Units of instances that are gone stay, empty. */
void fake_partitions_refresh(const struct fake_machine *machine);

/* The number that the driver calls an instance by; it stays while others come and go. */
unsigned fake_partitions_id(const struct fake_machine *machine, int unit);

/* Makes an instance; its unit, or -1 where its place is taken or no slot is left. */
int fake_partitions_make(const struct fake_machine *machine, int device, unsigned profile, unsigned start);

/* Removes one; false for one of the machine file, which stays. */
bool fake_partitions_drop(const struct fake_machine *machine, int unit);

/* Whether the instance has its compute instance; one of the machine file always does. */
bool fake_partitions_computes(const struct fake_machine *machine, int unit);
void fake_partitions_set_computes(const struct fake_machine *machine, int unit, bool computes);

#endif
