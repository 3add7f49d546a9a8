/*
 * Who is alive. Each process that uses the cards holds a lock on one byte of the state file, by an open file of its
 * own: the kernel drops it when the process ends in whatever way, even before its parent collects it, and it means the
 * same in every pid namespace. Calls need the state's lock.
 */
#ifndef HAMI_FAKE_TENURE_H
#define HAMI_FAKE_TENURE_H

#include <stdbool.h>
#include <stdint.h>

/* Names the state file, once; without it the state is private and nobody else holds anything. */
bool fake_tenure_open(const char *path);

/* Holds `slot` until this process ends; false when somebody else does. A forked child holds nothing. */
bool fake_tenure_take(uint32_t slot);

/* Whether another open file, this process's other double's included, holds `slot`. */
bool fake_tenure_held(uint32_t slot);

#endif
