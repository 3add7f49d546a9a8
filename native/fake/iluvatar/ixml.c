/* A test double of libixml.so: NVML's names for one card; process lists in the first layout. */
#include <stdio.h>

#include "nvidia/src/vendor.h"

#include "fake/card/card.h"

#define OTHER_PID 4000000U
#define OTHER_BYTES (64 * CARD_MIB)

static int card;

nvmlReturn_t nvmlInit_v2(void) { return NVML_SUCCESS; }
nvmlReturn_t nvmlShutdown(void) { return NVML_SUCCESS; }

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  *device = (nvmlDevice_t)&card;
  return index == 0 ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
  (void)device;
  (void)snprintf(uuid, length, "GPU-11111111-1111-1111-1111-111111111111");
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
  (void)device;
  *memory = (nvmlMemory_t){.total = CARD_BYTES, .free = CARD_BYTES - OTHER_BYTES, .used = OTHER_BYTES};
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int *infoCount,
                                                  nvmlProcessInfo_v1_t *infos) {
  (void)device;
  if (*infoCount < 1) {
    *infoCount = 1;
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  infos[0] = (nvmlProcessInfo_v1_t){.pid = OTHER_PID, .usedGpuMemory = OTHER_BYTES};
  *infoCount = 1;
  return NVML_SUCCESS;
}
