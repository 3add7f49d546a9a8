/*
 * The inside of the libnvidia-ml double. A device handle is the address of a row of one table, a row per card and per
 * MIG instance. Nothing here changes after nvmlInit but a count and the event sets.
 */
#ifndef HAMI_FAKE_NVML_DRIVER_H
#define HAMI_FAKE_NVML_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __NVML_API_VERSION_INTERNAL
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#pragma GCC visibility push(default)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <nvml.h>
#pragma GCC diagnostic pop
#pragma GCC visibility pop

#include "common/engine.h"
#include "common/fault.h"
#include "common/machine.h"
#include "common/state.h"
#include "partitions.h"

struct nvmlDevice_st {
  int unit;
};

struct fake_nvml {
  const struct fake_machine *machine;
  struct fake_state *state;
  struct nvmlDevice_st devices[FAKE_MAX_UNITS];
};

extern struct fake_nvml fake_nvml;

nvmlReturn_t fake_nvml_status(void); /* NVML_SUCCESS between nvmlInit and nvmlShutdown */

/* The card behind a handle (a MIG instance's parent); NULL when the handle is none. `unit` may be NULL. */
const struct fake_device *fake_nvml_card(nvmlDevice_t handle, int *unit);
const struct fake_instance *fake_nvml_instance(int unit); /* NULL for a whole card */

/* First lines of every function: faults, then an initialised library, then a good handle. */
#define NVML_ENTER_ANYTIME(name)                                                                                       \
  do {                                                                                                                 \
    int fault_code;                                                                                                    \
    if (fake_fault(#name, &fault_code)) {                                                                              \
      return (nvmlReturn_t)fault_code;                                                                                 \
    }                                                                                                                  \
  } while (0)
#define NVML_ENTER(name)                                                                                               \
  NVML_ENTER_ANYTIME(name);                                                                                            \
  do {                                                                                                                 \
    nvmlReturn_t status_code = fake_nvml_status();                                                                     \
    if (status_code != NVML_SUCCESS) {                                                                                 \
      return status_code;                                                                                              \
    }                                                                                                                  \
  } while (0)
#define NVML_ENTER_DEVICE(name, handle)                                                                                \
  int unit = 0;                                                                                                        \
  NVML_ENTER(name);                                                                                                    \
  const struct fake_device *card = fake_nvml_card(handle, &unit);                                                      \
  if (card == NULL) {                                                                                                  \
    return NVML_ERROR_INVALID_ARGUMENT;                                                                                \
  }                                                                                                                    \
  (void)unit
#define NVML_NEED(condition)                                                                                           \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      return NVML_ERROR_INVALID_ARGUMENT;                                                                              \
    }                                                                                                                  \
  } while (0)

nvmlReturn_t fake_nvml_text(char *out, unsigned length, const char *text);

#endif
