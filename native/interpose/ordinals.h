/*
 * Which device of the share a runtime's device number means, for vendors whose runtime has no uuid to ask for. The
 * limits list the devices in the order in which the container sees them; the vendor's variable, where it is set, hides
 * and renumbers them for one program ("2,0": number 0 is the third). Where no container renumbers, HAMI_DEVICE_NUMBERS
 * gives the driver's numbers of the devices, in the order of the limits. Callable inside wrappers only.
 */
#ifndef HAMI_INTERPOSE_ORDINALS_H
#define HAMI_INTERPOSE_ORDINALS_H

/* Ledger index, never HAMI_NO_DEVICE: what cannot be told apart counts against the last device of the share, so that no
 * value of the variable lifts a limit. */
int hami_ordinals_device(int ordinal);

/* The rule itself: `order` and `numbers` are the variables' values, NULL when unset; `count` the devices of the share,
 * at least 1. */
int hami_ordinals_resolve(const char *order, const char *numbers, int ordinal, int count);

#endif
