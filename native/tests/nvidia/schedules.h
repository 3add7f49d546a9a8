/* What the schedules' processes have in common. */
#ifndef HAMI_TESTS_NVIDIA_SCHEDULES_H
#define HAMI_TESTS_NVIDIA_SCHEDULES_H

#include "share.h"

#define SCHEDULES_SHARE_MIB 1000U
#define SCHEDULES_REFUSAL 719 /* what the driver is made to answer */

/* In memory that is not under test, so that the account does not depend on it. */
struct board {
  uint64_t granted_mib; /* without the victim's: what it held may be taken over at its death */
  uint32_t vandalised;  /* the region is not to be believed: each process is held by its own books */
};

extern struct board *board;

/* One process's life: threads that get and give back memory; checks what it is told. */
void schedules_work(unsigned int seed);

/* Physical memory, which needs no context: nothing else is counted. */
CUresult schedules_create(CUmemGenericAllocationHandle *handle, size_t bytes);

#endif
