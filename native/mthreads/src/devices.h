/* What the generated wrappers of this library ask besides interpose/wrap.h. */
#ifndef HAMI_DEVICES_H
#define HAMI_DEVICES_H

#include "api.h"

/* Ledger index for physical memory; HAMI_NO_DEVICE when it is not a card's. */
int hami_device_of_prop(const MUmemAllocationProp *prop);

#endif
