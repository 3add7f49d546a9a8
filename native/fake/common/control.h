/*
 * For tests: what a simulated machine has been doing, and events to inject. Exported by both doubles; loadable with
 * dlsym or ctypes. All need HAMI_FAKE_MACHINE, and see other processes through HAMI_FAKE_STATE.
 */
#ifndef HAMI_FAKE_CONTROL_H
#define HAMI_FAKE_CONTROL_H

#include <stdint.h>

/* `device` is the index in the machine file. `pid` 0 means all live processes. UINT64_MAX: no machine, or no such. */
uint64_t hami_fake_busy_ns(int32_t pid, int device);
uint64_t hami_fake_used_bytes(int32_t pid, int device);

/* Simulated time in nanoseconds; UINT64_MAX without a machine. */
uint64_t hami_fake_now_ns(void);

/* Makes a card report an Xid error to all that wait for events. 0, or -1 when it cannot be done. */
int hami_fake_post_xid(int device, uint64_t xid);

/* What a card's management library says of its health from now on: 0 is well, else a code in its vendor's own numbers.
 * 0, or -1 when it cannot be done. */
int hami_fake_set_health(int device, uint32_t code);

#endif
