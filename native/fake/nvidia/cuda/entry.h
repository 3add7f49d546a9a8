/*
 * What every exported function of the libcuda double starts with: the vendor's header, the driver's own state, and the
 * checks on entry.
 */
#ifndef HAMI_FAKE_CUDA_ENTRY_H
#define HAMI_FAKE_CUDA_ENTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __CUDA_API_VERSION_INTERNAL
#pragma GCC visibility push(default)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cuda.h>
#pragma GCC diagnostic pop
#pragma GCC visibility pop

#include "common/engine.h"
#include "common/fault.h"
#include "common/machine.h"
#include "common/state.h"

#define FAKE_CHUNK_BYTES (2ull * FAKE_MIB) /* granularity of physical memory, as on real cards */
#define FAKE_SMALL_BYTES 512ull            /* granularity of cuMemAlloc */

/* ---- life of the driver (init.c) ---------------------------------------------------------------------------- */

struct fake_driver {
  const struct fake_machine *machine;
  struct fake_state *state;
  int device_count;          /* as CUDA numbers them, after CUDA_VISIBLE_DEVICES */
  int units[FAKE_MAX_UNITS]; /* CUDA device -> unit of the machine */
  uint64_t small_bytes;      /* HAMI_FAKE_GRANULARITY */
  bool self_calls;           /* HAMI_FAKE_SELF_CALLS */
};

extern struct fake_driver fake_driver;
extern pthread_mutex_t fake_lock;

CUresult fake_status(void); /* CUDA_SUCCESS once cuInit has succeeded, and outside of host functions */
const char *fake_twin_enter(const char *name);
void fake_twin_leave(const char *outer);
bool fake_per_thread(void); /* the call came in through a per-thread-stream name */
const char *fake_entry_name(const char *name);

static inline const struct fake_device *fake_device_of_unit(int unit) {
  return &fake_driver.machine->devices[fake_driver.machine->units[unit].device];
}

/* First line of every exported function: counts the call for faults, then needs an initialised driver. */
#define FAKE_ENTER_ANYTIME(name)                                                                                       \
  do {                                                                                                                 \
    int fault_code;                                                                                                    \
    if (fake_fault(fake_entry_name(#name), &fault_code)) {                                                             \
      return (CUresult)fault_code;                                                                                     \
    }                                                                                                                  \
  } while (0)
#define FAKE_ENTER(name)                                                                                               \
  FAKE_ENTER_ANYTIME(name);                                                                                            \
  do {                                                                                                                 \
    CUresult status_code = fake_status();                                                                              \
    if (status_code != CUDA_SUCCESS) {                                                                                 \
      return status_code;                                                                                              \
    }                                                                                                                  \
  } while (0)
#define FAKE_TRY(expression)                                                                                           \
  do {                                                                                                                 \
    CUresult try_code = (expression);                                                                                  \
    if (try_code != CUDA_SUCCESS) {                                                                                    \
      return try_code;                                                                                                 \
    }                                                                                                                  \
  } while (0)

/* With HAMI_FAKE_SELF_CALLS the driver calls its own exports by name, through whatever was preloaded before it. */
void fake_call_self(const char *name);

#endif
