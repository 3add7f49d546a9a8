#include "processes.h"

#include <unistd.h>

#include "books.h"
#include "devices.h"
#include "growth.h"
#include "own_memory.h"
#include "real.h"

bool hami_processes_list(nvmlDevice_t handle, struct hami_processes *processes) {
  int device = hami_devices_of_nvml(handle);
  if (device == HAMI_NO_DEVICE) {
    return false;
  }
  hami_growth_look();
  size_t found = hami_core_processes(device, processes->rows, HAMI_PROCESSES_MAX);
  found = found > HAMI_PROCESSES_MAX ? HAMI_PROCESSES_MAX : found;
  processes->count = 0;
  for (size_t i = 0; i < found; i++) {
    if (processes->rows[i].bytes != 0) {
      processes->rows[processes->count++] = processes->rows[i];
    }
  }
  processes->gpu_instance = HAMI_NO_INSTANCE;
  processes->compute_instance = HAMI_NO_INSTANCE;
  __typeof__(&nvmlDeviceGetGpuInstanceId) get_gpu_instance = HAMI_REAL(nvmlDeviceGetGpuInstanceId);
  __typeof__(&nvmlDeviceGetComputeInstanceId) get_compute_instance = HAMI_REAL(nvmlDeviceGetComputeInstanceId);
  if (get_gpu_instance != NULL && get_gpu_instance(handle, &processes->gpu_instance) != NVML_SUCCESS) {
    processes->gpu_instance = HAMI_NO_INSTANCE;
  }
  if (get_compute_instance != NULL && get_compute_instance(handle, &processes->compute_instance) != NVML_SUCCESS) {
    processes->compute_instance = HAMI_NO_INSTANCE;
  }
  return true;
}

bool hami_processes_own(const struct hami_processes *processes, unsigned int *pid) {
  if (*pid == hami_own_memory_host_pid()) {
    *pid = (unsigned int)getpid();
    return true;
  }
  for (size_t i = 0; i < processes->count; i++) {
    if (processes->rows[i].pid == *pid) {
      return true;
    }
  }
  return false;
}
