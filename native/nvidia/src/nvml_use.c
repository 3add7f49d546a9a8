#include "nvml_use.h"

#include <stdint.h>

#include "core/core.h"
#include "real.h"

static uint32_t started;  /* by the library */
static uint32_t programs; /* starts of the program's that have not ended */

bool hami_nvml_start(void) {
  if (__atomic_load_n(&started, __ATOMIC_ACQUIRE) != 0) {
    return true;
  }
  __typeof__(&nvmlInit_v2) init = HAMI_REAL(nvmlInit_v2);
  if (init == NULL || init() != NVML_SUCCESS) {
    hami_core_note_management(false);
    return false;
  }
  hami_nvml_shutdown_function shutdown = HAMI_REAL(nvmlShutdown);
  if (__atomic_exchange_n(&started, 1, __ATOMIC_ACQ_REL) != 0 && shutdown != NULL) {
    (void)shutdown(); /* another thread was as quick: once is enough */
  }
  return true;
}

static void end_own(hami_nvml_shutdown_function shutdown) {
  if (__atomic_exchange_n(&started, 0, __ATOMIC_ACQ_REL) != 0) {
    (void)shutdown();
  }
}

void hami_nvml_program_started(void) { (void)__atomic_add_fetch(&programs, 1, __ATOMIC_ACQ_REL); }

/* Takes one of the program's starts away; the number before, 0 when there is none. */
static uint32_t take_one(void) {
  uint32_t count = __atomic_load_n(&programs, __ATOMIC_ACQUIRE);
  while (count != 0 &&
         !__atomic_compare_exchange_n(&programs, &count, count - 1, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
  return count;
}

nvmlReturn_t hami_nvml_program_ends(hami_nvml_shutdown_function shutdown) {
  uint32_t before = take_one();
  if (before <= 1) {
    end_own(shutdown); /* first: one shutdown too many must not find ours instead */
  }
  nvmlReturn_t result = shutdown();
  if (result != NVML_SUCCESS && before != 0) {
    hami_nvml_program_started(); /* it did not end */
  }
  return result;
}
