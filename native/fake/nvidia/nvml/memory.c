/* Memory, processes and utilisation: what the shared state says. */
#include <string.h>
#include <time.h>

#include "driver.h"

struct memory {
  uint64_t total;
  uint64_t reserved;
  uint64_t used;
};

static struct memory memory_of(const struct fake_device *card, int unit) {
  const struct fake_instance *instance = fake_nvml_instance(unit);
  return (struct memory){.total = instance == NULL ? card->memory_bytes : fake_nvml.machine->units[unit].memory_bytes,
                         .reserved = instance == NULL ? card->reserved_bytes : 0,
                         .used = fake_state_used(fake_nvml.state, unit)};
}

/* The first layout has no place for what the driver keeps for itself; it counts as used there. */
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetMemoryInfo, device);
  NVML_NEED(out != NULL);
  if (card->unified_memory) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  struct memory memory = memory_of(card, unit);
  out->total = memory.total;
  out->used = memory.used + memory.reserved;
  out->free = memory.total - out->used;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetMemoryInfo_v2, device);
  NVML_NEED(out != NULL);
  if (out->version != nvmlMemory_v2) {
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  }
  if (card->unified_memory) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  struct memory memory = memory_of(card, unit);
  out->total = memory.total;
  out->reserved = memory.reserved;
  out->used = memory.used;
  out->free = memory.total - memory.used - memory.reserved;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetBAR1MemoryInfo, device);
  NVML_NEED(out != NULL);
  out->bar1Total = 65536 * FAKE_MIB;
  out->bar1Used = 2 * FAKE_MIB;
  out->bar1Free = out->bar1Total - out->bar1Used;
  return NVML_SUCCESS;
}

/* ---- processes ------------------------------------------------------------------------------------------------- */

static const unsigned no_instance = 0xFFFFFFFF; /* what the driver writes where MIG is off */

/* Each layout is a prefix of the next one, apart from padding: rows are written field by field. */
static void write_row(void *rows, unsigned index, int layout, int unit, const struct fake_process_use *use) {
  const struct fake_instance *instance = fake_nvml_instance(unit);
  unsigned id = instance == NULL ? no_instance : fake_partitions_id(fake_nvml.machine, unit);
  if (layout == 1) {
    ((nvmlProcessInfo_v1_t *)rows)[index] =
        (nvmlProcessInfo_v1_t){.pid = (unsigned)use->pid, .usedGpuMemory = use->used};
  } else {
    ((nvmlProcessInfo_v2_t *)rows)[index] = (nvmlProcessInfo_v2_t){.pid = (unsigned)use->pid,
                                                                   .usedGpuMemory = use->used,
                                                                   .gpuInstanceId = id,
                                                                   .computeInstanceId = instance == NULL ? id : 0};
  }
}

static nvmlReturn_t list_processes(int unit, unsigned *count, void *rows, int layout) {
  struct fake_process_use uses[FAKE_MAX_PROCESSES];
  NVML_NEED(count != NULL && (*count == 0 || rows != NULL));
  uint32_t found = fake_state_processes(fake_nvml.state, unit, uses, FAKE_MAX_PROCESSES);
  unsigned capacity = *count;
  *count = found;
  if (capacity < found) {
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  for (uint32_t i = 0; i < found; i++) {
    write_row(rows, i, layout, unit, &uses[i]);
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_v1_t *rows) {
  NVML_ENTER_DEVICE(nvmlDeviceGetComputeRunningProcesses, device);
  return list_processes(unit, count, rows, 1);
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_v2_t *rows) {
  NVML_ENTER_DEVICE(nvmlDeviceGetComputeRunningProcesses_v2, device);
  return list_processes(unit, count, rows, 2);
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *rows) {
  NVML_ENTER_DEVICE(nvmlDeviceGetComputeRunningProcesses_v3, device);
  return list_processes(unit, count, rows, 3);
}

/* Nothing draws on these machines, and no MPS server runs. */
static nvmlReturn_t no_processes(unsigned *count) {
  NVML_NEED(count != NULL);
  *count = 0;
  return NVML_SUCCESS;
}

#define NO_PROCESSES(name, type)                                                                                       \
  nvmlReturn_t name(nvmlDevice_t device, unsigned *count, type *rows) {                                                \
    NVML_ENTER_DEVICE(name, device);                                                                                   \
    (void)rows;                                                                                                        \
    return no_processes(count);                                                                                        \
  }
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses, nvmlProcessInfo_v1_t)
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlProcessInfo_v2_t)
NO_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlProcessInfo_t)
NO_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses, nvmlProcessInfo_v1_t)
NO_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlProcessInfo_v2_t)
NO_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, nvmlProcessInfo_t)

/* ---- utilisation ----------------------------------------------------------------------------------------------- */

static unsigned long long now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (unsigned long long)now.tv_sec * 1000000u + (unsigned long long)now.tv_nsec / 1000u;
}

static unsigned busy_percent(int unit) {
  fake_state_lock(fake_nvml.state);
  unsigned percent = fake_engine_utilisation(fake_nvml.state, unit);
  fake_state_unlock(fake_nvml.state);
  return percent;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetUtilizationRates, device);
  NVML_NEED(out != NULL);
  if (card->mig_enabled || fake_nvml_instance(unit) != NULL) {
    return NVML_ERROR_NOT_SUPPORTED; /* as on real cards in MIG mode */
  }
  out->gpu = busy_percent(unit);
  out->memory = out->gpu / 2;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *rows, unsigned *count,
                                             unsigned long long last_seen) {
  NVML_ENTER_DEVICE(nvmlDeviceGetProcessUtilization, device);
  struct fake_process_use uses[FAKE_MAX_PROCESSES];
  NVML_NEED(count != NULL);
  (void)last_seen;
  if (card->mig_enabled) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  uint32_t found = fake_state_processes(fake_nvml.state, unit, uses, FAKE_MAX_PROCESSES);
  unsigned capacity = *count;
  *count = found;
  if (rows == NULL || capacity < found) {
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  if (found == 0) {
    return NVML_ERROR_NOT_FOUND;
  }
  fake_state_lock(fake_nvml.state);
  for (uint32_t i = 0; i < found; i++) {
    unsigned percent = fake_engine_process_utilisation(fake_nvml.state, uses[i].slot, unit);
    rows[i] = (nvmlProcessUtilizationSample_t){
        .pid = (unsigned)uses[i].pid, .timeStamp = now_us(), .smUtil = percent, .memUtil = percent / 2};
  }
  fake_state_unlock(fake_nvml.state);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device, nvmlProcessesUtilizationInfo_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetProcessesUtilizationInfo, device);
  struct fake_process_use uses[FAKE_MAX_PROCESSES];
  NVML_NEED(out != NULL);
  if (out->version != nvmlProcessesUtilizationInfo_v1) {
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  }
  if (card->mig_enabled) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  uint32_t found = fake_state_processes(fake_nvml.state, unit, uses, FAKE_MAX_PROCESSES);
  unsigned capacity = out->processSamplesCount;
  out->processSamplesCount = found;
  if (out->procUtilArray == NULL || capacity < found) {
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  fake_state_lock(fake_nvml.state);
  for (uint32_t i = 0; i < found; i++) {
    unsigned percent = fake_engine_process_utilisation(fake_nvml.state, uses[i].slot, unit);
    out->procUtilArray[i] = (nvmlProcessUtilizationInfo_v1_t){
        .pid = (unsigned)uses[i].pid, .timeStamp = now_us(), .smUtil = percent, .memUtil = percent / 2};
  }
  fake_state_unlock(fake_nvml.state);
  return NVML_SUCCESS;
}

static nvmlReturn_t idle_unit(unsigned *percent, unsigned *period_us) {
  NVML_NEED(percent != NULL && period_us != NULL);
  *percent = 0;
  *period_us = 167000;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned *percent, unsigned *period_us) {
  NVML_ENTER_DEVICE(nvmlDeviceGetEncoderUtilization, device);
  return idle_unit(percent, period_us);
}

nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned *percent, unsigned *period_us) {
  NVML_ENTER_DEVICE(nvmlDeviceGetDecoderUtilization, device);
  return idle_unit(percent, period_us);
}
