/* What the generated wrappers of this library ask besides interpose/wrap.h. */
#ifndef HAMI_DEVICES_H
#define HAMI_DEVICES_H

#include "api.h"
#include "interpose/ordinals.h"

/* Queue of a call of cnrtInvokeKernel, by its words: (kernel, dim, type, args, reserved, queue) since its release 5,
 * (kernel, dim, params, type, queue) before, in which queues are not the driver's: HAMI_UNKNOWN_STREAM. */
void *hami_queue_of_invocation(const uintptr_t *words);

#endif
