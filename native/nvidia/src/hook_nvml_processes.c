/*
 * NVML's process lists: this container's processes, as the ledger knows them. They are all compute processes; what
 * else a driver lists as graphics or MPS clients belongs to somebody else or is none of the ledger's.
 *
 * The driver is asked first how many it has, which checks the handle and the caller's rights. Arrays are written in the
 * layout that belongs to the function's name; where a driver's layout is in doubt, its own list stands.
 */
#include <string.h>

#include "hook.h"
#include "processes.h"

typedef nvmlReturn_t (*list_v1_function)(nvmlDevice_t, unsigned int *, nvmlProcessInfo_v1_t *);
typedef nvmlReturn_t (*list_v2_function)(nvmlDevice_t, unsigned int *, nvmlProcessInfo_v2_t *);

static bool answered(nvmlReturn_t result) { return result == NVML_SUCCESS || result == NVML_ERROR_INSUFFICIENT_SIZE; }

static void write_v1(nvmlProcessInfo_v1_t *infos, const struct hami_processes *processes) {
  for (size_t i = 0; i < processes->count; i++) {
    infos[i] = (nvmlProcessInfo_v1_t){.pid = processes->rows[i].pid, .usedGpuMemory = processes->rows[i].bytes};
  }
}

static void write_v2(nvmlProcessInfo_v2_t *infos, const struct hami_processes *processes) {
  for (size_t i = 0; i < processes->count; i++) {
    infos[i] = (nvmlProcessInfo_v2_t){.pid = processes->rows[i].pid,
                                      .usedGpuMemory = processes->rows[i].bytes,
                                      .gpuInstanceId = processes->gpu_instance,
                                      .computeInstanceId = processes->compute_instance};
  }
}

/* What the count becomes, and whether the array has room for it. */
static nvmlReturn_t settle_count(unsigned int *count, size_t wanted, bool has_array) {
  bool fits = wanted == 0 || (has_array && *count >= wanted);
  *count = (unsigned int)wanted;
  return fits ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

static nvmlReturn_t list_v1(list_v1_function real, nvmlDevice_t device, unsigned int *count,
                            nvmlProcessInfo_v1_t *infos, bool compute) {
  struct hami_processes processes;
  unsigned int none = 0;
  if (count == NULL || !hami_processes_list(device, &processes)) {
    return real(device, count, infos);
  }
  nvmlReturn_t result = real(device, &none, NULL);
  if (!answered(result)) {
    return result;
  }
  processes.count = compute ? processes.count : 0;
  result = settle_count(count, processes.count, infos != NULL);
  if (result == NVML_SUCCESS) {
    write_v1(infos, &processes);
  }
  return result;
}

static nvmlReturn_t list_v2(list_v2_function real, nvmlDevice_t device, unsigned int *count,
                            nvmlProcessInfo_v2_t *infos, bool compute) {
  struct hami_processes processes;
  unsigned int none = 0;
  if (count == NULL || !hami_processes_list(device, &processes)) {
    return real(device, count, infos);
  }
  nvmlReturn_t result = real(device, &none, NULL);
  if (!answered(result)) {
    return result;
  }
  processes.count = compute ? processes.count : 0;
  result = settle_count(count, processes.count, infos != NULL);
  if (result == NVML_SUCCESS) {
    write_v2(infos, &processes);
  }
  return result;
}

/* The first driver of release 535 gave the _v3 functions a longer struct, which later ones took back. */
static bool v3_is_v2(void) {
  static int known; /* 1: yes, 2: no */
  int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (answer == 0) {
    char version[NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE] = "";
    __typeof__(&nvmlSystemGetDriverVersion) get_version = HAMI_REAL(nvmlSystemGetDriverVersion);
    if (get_version == NULL || get_version(version, sizeof version) != NVML_SUCCESS) {
      return false; /* not kept: NVML may not have been started yet */
    }
    bool longer = strncmp(version, "535.43.", 7) == 0;
    answer = longer ? 2 : 1;
    __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
  }
  return answer == 1;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int *infoCount,
                                                  nvmlProcessInfo_v1_t *infos) {
  HAMI_NVML_ENTER(nvmlDeviceGetComputeRunningProcesses, device, infoCount, infos);
  HAMI_LEAVE(list_v1(real, device, infoCount, infos, true));
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t device, unsigned int *infoCount,
                                                   nvmlProcessInfo_v1_t *infos) {
  HAMI_NVML_ENTER(nvmlDeviceGetGraphicsRunningProcesses, device, infoCount, infos);
  HAMI_LEAVE(list_v1(real, device, infoCount, infos, false));
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses(nvmlDevice_t device, unsigned int *infoCount,
                                                     nvmlProcessInfo_v1_t *infos) {
  HAMI_NVML_ENTER(nvmlDeviceGetMPSComputeRunningProcesses, device, infoCount, infos);
  HAMI_LEAVE(list_v1(real, device, infoCount, infos, false));
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int *infoCount,
                                                     nvmlProcessInfo_v2_t *infos) {
  HAMI_NVML_ENTER(nvmlDeviceGetComputeRunningProcesses_v2, device, infoCount, infos);
  HAMI_LEAVE(list_v2(real, device, infoCount, infos, true));
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t device, unsigned int *infoCount,
                                                      nvmlProcessInfo_v2_t *infos) {
  HAMI_NVML_ENTER(nvmlDeviceGetGraphicsRunningProcesses_v2, device, infoCount, infos);
  HAMI_LEAVE(list_v2(real, device, infoCount, infos, false));
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int *infoCount,
                                                        nvmlProcessInfo_v2_t *infos) {
  HAMI_NVML_ENTER(nvmlDeviceGetMPSComputeRunningProcesses_v2, device, infoCount, infos);
  HAMI_LEAVE(list_v2(real, device, infoCount, infos, false));
}

static nvmlReturn_t list_v3(list_v2_function real, nvmlDevice_t device, unsigned int *count,
                            nvmlProcessInfo_v2_t *infos, bool compute) {
  return v3_is_v2() ? list_v2(real, device, count, infos, compute) : real(device, count, infos);
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *infoCount,
                                                     nvmlProcessInfo_t *infos) {
  HAMI_NVML_ENTER(nvmlDeviceGetComputeRunningProcesses_v3, device, infoCount, infos);
  HAMI_LEAVE(list_v3(real, device, infoCount, infos, true));
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *infoCount,
                                                      nvmlProcessInfo_t *infos) {
  HAMI_NVML_ENTER(nvmlDeviceGetGraphicsRunningProcesses_v3, device, infoCount, infos);
  HAMI_LEAVE(list_v3(real, device, infoCount, infos, false));
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *infoCount,
                                                        nvmlProcessInfo_t *infos) {
  HAMI_NVML_ENTER(nvmlDeviceGetMPSComputeRunningProcesses_v3, device, infoCount, infos);
  HAMI_LEAVE(list_v3(real, device, infoCount, infos, false));
}

nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device, nvmlProcessDetailList_t *plist) {
  HAMI_NVML_ENTER(nvmlDeviceGetRunningProcessDetailList, device, plist);
  struct hami_processes processes;
  if (plist == NULL || plist->version != nvmlProcessDetailList_v1 || !hami_processes_list(device, &processes)) {
    HAMI_LEAVE(real(device, plist));
  }
  nvmlProcessDetailList_t probe = {.version = plist->version, .mode = plist->mode};
  nvmlReturn_t result = real(device, &probe);
  if (answered(result)) {
    bool compute = plist->mode == NVML_PROCESS_MODE_COMPUTE || plist->mode == NVML_PROCESS_MODE_ALL;
    processes.count = compute ? processes.count : 0;
    result = settle_count(&plist->numProcArrayEntries, processes.count, plist->procArray != NULL);
  }
  for (size_t i = 0; result == NVML_SUCCESS && i < processes.count; i++) {
    plist->procArray[i] = (nvmlProcessDetail_v1_t){.pid = processes.rows[i].pid,
                                                   .usedGpuMemory = processes.rows[i].bytes,
                                                   .gpuInstanceId = processes.gpu_instance,
                                                   .computeInstanceId = processes.compute_instance};
  }
  HAMI_LEAVE(result);
}
