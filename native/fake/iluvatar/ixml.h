/* IXML: NVML's names by NVML's header, and what is IXML's own. */
#ifndef HAMI_FAKE_IXML_H
#define HAMI_FAKE_IXML_H

#include "nvidia/src/vendor.h"

/* A bit for each kind of fault; 0 is well. */
__attribute__((visibility("default"))) nvmlReturn_t ixmlDeviceGetHealth(nvmlDevice_t device,
                                                                        unsigned long long *health);

#endif
