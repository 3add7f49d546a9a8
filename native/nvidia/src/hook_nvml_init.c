/* NVML's start and end: as if the library did not use it, see nvml_use.h. */
#include "hook.h"
#include "nvml_use.h"

static nvmlReturn_t counted(nvmlReturn_t result) {
  if (result == NVML_SUCCESS) {
    hami_nvml_program_started();
  }
  return result;
}

nvmlReturn_t nvmlInit(void) {
  HAMI_NVML_ENTER(nvmlInit);
  HAMI_LEAVE(counted(real()));
}

nvmlReturn_t nvmlInit_v2(void) {
  HAMI_NVML_ENTER(nvmlInit_v2);
  HAMI_LEAVE(counted(real()));
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
  HAMI_NVML_ENTER(nvmlInitWithFlags, flags);
  HAMI_LEAVE(counted(real(flags)));
}

nvmlReturn_t nvmlShutdown(void) {
  HAMI_NVML_ENTER(nvmlShutdown);
  HAMI_LEAVE(hami_nvml_program_ends(real));
}
