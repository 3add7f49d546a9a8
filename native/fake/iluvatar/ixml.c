/*
 * A test double of libixml.so: the subset of NVML's names that IXML has, process lists in the first layout, and IXML's
 * own health. Facts: api.h of go-ixml, which Deep-Spark/ix-device-plugin carries. A card's health code is what
 * ixmlDeviceGetHealth answers. Without a machine: one card, on which another host's process works.
 */
#include "ixml.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/fault.h"
#include "common/host.h"
#include "fake/card/card.h"

#define OTHER_PID 4000000U
#define OTHER_BYTES (64 * CARD_MIB)

struct nvmlDevice_st {
  int index;
};

static const struct fake_machine one_card = {
    .driver_version = "4.2.0",
    .device_count = 1,
    .devices = {{.uuid = "GPU-11111111-1111-1111-1111-111111111111", .model = "one card", .memory_bytes = CARD_BYTES}},
};
static struct fake_host host;
static struct nvmlDevice_st devices[FAKE_MAX_DEVICES];

static bool alone(void) { return host.machine == &one_card; }

/* An empty variable is a host without a driver. */
static bool configured(void) { return getenv("HAMI_FAKE_MACHINE") != NULL; }

#define ENTER_ANYTIME(name)                                                                                            \
  do {                                                                                                                 \
    int fault_code;                                                                                                    \
    if (fake_fault(#name, &fault_code)) {                                                                              \
      return (nvmlReturn_t)fault_code;                                                                                 \
    }                                                                                                                  \
  } while (0)

#define ENTER(name)                                                                                                    \
  ENTER_ANYTIME(name);                                                                                                 \
  if (host.machine == NULL) {                                                                                          \
    return NVML_ERROR_UNINITIALIZED;                                                                                   \
  }

#define ENTER_CARD(name, given, out)                                                                                   \
  ENTER(name);                                                                                                         \
  if ((given) == NULL || (out) == NULL) {                                                                              \
    return NVML_ERROR_INVALID_ARGUMENT;                                                                                \
  }                                                                                                                    \
  int index = (given)->index;                                                                                          \
  const struct fake_device *card = &host.machine->devices[index];                                                      \
  (void)card

static nvmlReturn_t copy(char *out, unsigned int length, const char *text) {
  return (unsigned int)snprintf(out, length, "%s", text) < length ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

nvmlReturn_t nvmlInit_v2(void) {
  ENTER_ANYTIME(nvmlInit_v2);
  for (int i = 0; i < FAKE_MAX_DEVICES; i++) {
    devices[i].index = i;
  }
  if (!configured()) {
    host.machine = &one_card;
    return NVML_SUCCESS;
  }
  struct fake_host opened = {0};
  if (fake_host_open("iluvatar", &opened) != FAKE_MACHINE_READY) {
    return NVML_ERROR_DRIVER_NOT_LOADED;
  }
  host = opened;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlShutdown(void) { return NVML_SUCCESS; }

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
  ENTER(nvmlSystemGetDriverVersion);
  return copy(version, length, host.machine->driver_version);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *deviceCount) {
  ENTER(nvmlDeviceGetCount_v2);
  *deviceCount = (unsigned int)host.machine->device_count;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  ENTER(nvmlDeviceGetHandleByIndex_v2);
  if (index >= (unsigned int)host.machine->device_count) {
    return NVML_ERROR_INVALID_ARGUMENT;
  }
  *device = &devices[index];
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
  ENTER_CARD(nvmlDeviceGetUUID, device, uuid);
  return copy(uuid, length, card->uuid);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
  ENTER_CARD(nvmlDeviceGetName, device, name);
  return copy(name, length, card->model);
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int *minorNumber) {
  ENTER_CARD(nvmlDeviceGetMinorNumber, device, minorNumber);
  *minorNumber = (unsigned int)index;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci) {
  ENTER_CARD(nvmlDeviceGetPciInfo_v3, device, pci);
  *pci = (nvmlPciInfo_t){.domain = card->pci_domain, .bus = card->pci_bus, .device = card->pci_device};
  (void)snprintf(pci->busId, sizeof pci->busId, "%08x:%02x:%02x.0", card->pci_domain, card->pci_bus, card->pci_device);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
  ENTER_CARD(nvmlDeviceGetMemoryInfo, device, memory);
  uint64_t used = alone() ? OTHER_BYTES : fake_host_used_bytes(&host, index);
  *memory = (nvmlMemory_t){.total = card->memory_bytes, .free = card->memory_bytes - used, .used = used};
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization) {
  ENTER_CARD(nvmlDeviceGetUtilizationRates, device, utilization);
  *utilization = (nvmlUtilization_t){.gpu = alone() ? 0 : fake_host_utilisation(&host, index)};
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int *infoCount,
                                                  nvmlProcessInfo_v1_t *infos) {
  ENTER_CARD(nvmlDeviceGetComputeRunningProcesses, device, infoCount);
  struct fake_process_use uses[FAKE_MAX_PROCESSES] = {{.pid = (int32_t)OTHER_PID, .used = OTHER_BYTES}};
  unsigned int room = *infoCount;
  *infoCount = alone() ? 1 : fake_state_processes(host.state, index, uses, FAKE_MAX_PROCESSES);
  if (*infoCount > room) {
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  for (unsigned int i = 0; i < *infoCount; i++) {
    infos[i] = (nvmlProcessInfo_v1_t){.pid = (unsigned int)uses[i].pid, .usedGpuMemory = uses[i].used};
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t device1, nvmlDevice_t device2,
                                                 nvmlGpuTopologyLevel_t *pathInfo) {
  static const char *const levels[] = {
      "same-board", "single-switch", "multi-switch", "host-bridge", "same-cpu", "cross-cpu", NULL};
  ENTER_CARD(nvmlDeviceGetTopologyCommonAncestor, device1, pathInfo);
  if (device2 == NULL) {
    return NVML_ERROR_INVALID_ARGUMENT;
  }
  int level = alone() ? -1 : fake_host_link(&host, index, device2->index, levels);
  *pathInfo = (nvmlGpuTopologyLevel_t)(level * (int)NVML_TOPOLOGY_SINGLE); /* ten apart */
  return level < 0 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

nvmlReturn_t ixmlDeviceGetHealth(nvmlDevice_t device, unsigned long long *health) {
  ENTER_CARD(ixmlDeviceGetHealth, device, health);
  *health = alone() ? 0 : fake_host_health(&host, index);
  return NVML_SUCCESS;
}
