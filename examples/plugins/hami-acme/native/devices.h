/* What the generated wrappers ask besides interpose/wrap.h. */
#ifndef HAMI_DEVICES_H
#define HAMI_DEVICES_H

#include "api.h"
#include "interpose/ordinals.h"

#endif
