/*
 * What processes make of a device's time: samples of this container's processes, under their numbers inside it. The
 * device's own utilisation is left as it is, like its clock and its temperature.
 */
#include "hook.h"
#include "processes.h"

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *utilization,
                                             unsigned int *processSamplesCount, unsigned long long lastSeenTimeStamp) {
  HAMI_NVML_ENTER(nvmlDeviceGetProcessUtilization, device, utilization, processSamplesCount, lastSeenTimeStamp);
  nvmlReturn_t result = real(device, utilization, processSamplesCount, lastSeenTimeStamp);
  struct hami_processes processes;
  if (result != NVML_SUCCESS || utilization == NULL || !hami_processes_list(device, &processes)) {
    HAMI_LEAVE(result);
  }
  unsigned int kept = 0;
  for (unsigned int i = 0; i < *processSamplesCount; i++) {
    nvmlProcessUtilizationSample_t sample = utilization[i];
    if (hami_processes_own(&processes, &sample.pid)) {
      utilization[kept++] = sample;
    }
  }
  *processSamplesCount = kept;
  HAMI_LEAVE(kept == 0 ? NVML_ERROR_NOT_FOUND : result);
}

nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device,
                                                   nvmlProcessesUtilizationInfo_t *procesesUtilInfo) {
  HAMI_NVML_ENTER(nvmlDeviceGetProcessesUtilizationInfo, device, procesesUtilInfo);
  nvmlReturn_t result = real(device, procesesUtilInfo);
  struct hami_processes processes;
  nvmlProcessesUtilizationInfo_t *info = procesesUtilInfo;
  if (result != NVML_SUCCESS || info->version != nvmlProcessesUtilizationInfo_v1 || info->procUtilArray == NULL ||
      !hami_processes_list(device, &processes)) {
    HAMI_LEAVE(result);
  }
  unsigned int kept = 0;
  for (unsigned int i = 0; i < info->processSamplesCount; i++) {
    nvmlProcessUtilizationInfo_v1_t sample = info->procUtilArray[i];
    if (hami_processes_own(&processes, &sample.pid)) {
      info->procUtilArray[kept++] = sample;
    }
  }
  info->processSamplesCount = kept;
  HAMI_LEAVE(kept == 0 ? NVML_ERROR_NOT_FOUND : result);
}
