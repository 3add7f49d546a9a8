/* The runtime's events as the pacing uses them. */
#ifndef HAMI_ASCEND_TIMER_H
#define HAMI_ASCEND_TIMER_H

#include "interpose/launches.h"

extern const struct hami_timer hami_ascend_timer;

#endif
