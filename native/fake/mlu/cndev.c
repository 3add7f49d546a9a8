/*
 * A test double of libcndev.so. Handles are not indices, so that a caller who mixes them up learns of it; a version
 * that the library does not speak is refused.
 */
#include "cndev.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/fault.h"
#include "common/host.h"

#define FIRST_HANDLE 0x100

static struct fake_host host;
static bool initialised;

static cndevRet_t code_of(enum fake_machine_status status) {
  switch (status) {
  case FAKE_MACHINE_READY:
    return CNDEV_SUCCESS;
  case FAKE_MACHINE_NONE:
    return CNDEV_ERROR_NO_DRIVER;
  case FAKE_MACHINE_BROKEN:
  default:
    return CNDEV_ERROR_UNKNOWN;
  }
}

#define ENTER_ANYTIME(name)                                                                                            \
  do {                                                                                                                 \
    int fault_code = 0;                                                                                                \
    if (fake_fault(#name, &fault_code)) {                                                                              \
      return fault_code;                                                                                               \
    }                                                                                                                  \
  } while (0)

#define ENTER(name)                                                                                                    \
  ENTER_ANYTIME(name);                                                                                                 \
  if (!initialised) {                                                                                                  \
    return CNDEV_ERROR_UNINITIALIZED;                                                                                  \
  }

/* Then a place to answer in, whose version is spoken, and a known device. */
#define ENTER_DEVICE(name, out, speaks)                                                                                \
  ENTER(name)                                                                                                          \
  if ((out) == NULL) {                                                                                                 \
    return CNDEV_ERROR_INVALID_ARGUMENT;                                                                               \
  }                                                                                                                    \
  if (!(speaks)) {                                                                                                     \
    return CNDEV_ERROR_UNSUPPORTED_API_VERSION;                                                                        \
  }                                                                                                                    \
  int index = device - FIRST_HANDLE;                                                                                   \
  if (index < 0 || index >= host.machine->device_count) {                                                              \
    return CNDEV_ERROR_INVALID_DEVICE_ID;                                                                              \
  }                                                                                                                    \
  const struct fake_device *card = &host.machine->devices[index];                                                      \
  (void)card

static bool spoken(int32_t version) { return version == CNDEV_VERSION_5 || version == CNDEV_VERSION_6; }

cndevRet_t cndevInit(int reserved) {
  (void)reserved;
  ENTER_ANYTIME(cndevInit);
  cndevRet_t result = code_of(fake_host_open("mlu", &host));
  initialised = result == CNDEV_SUCCESS;
  return result;
}

cndevRet_t cndevRelease(void) {
  ENTER(cndevRelease)
  initialised = false;
  return CNDEV_SUCCESS;
}

const char *cndevGetErrorString(cndevRet_t errorId) {
  static __thread char text[32];
  (void)snprintf(text, sizeof text, "error %d", errorId);
  return text;
}

cndevRet_t cndevGetDeviceCount(cndevCardInfo_t *cardNum) {
  ENTER(cndevGetDeviceCount)
  if (cardNum == NULL) {
    return CNDEV_ERROR_INVALID_ARGUMENT;
  }
  if (!spoken(cardNum->version)) {
    return CNDEV_ERROR_UNSUPPORTED_API_VERSION;
  }
  cardNum->number = (uint32_t)host.machine->device_count;
  return CNDEV_SUCCESS;
}

cndevRet_t cndevGetDeviceHandleByIndex(int32_t index, cndevDevice_t *handle) {
  ENTER(cndevGetDeviceHandleByIndex)
  if (handle == NULL) {
    return CNDEV_ERROR_INVALID_ARGUMENT;
  }
  if (index < 0 || index >= host.machine->device_count) {
    return CNDEV_ERROR_INVALID_DEVICE_ID;
  }
  *handle = index + FIRST_HANDLE;
  return CNDEV_SUCCESS;
}

cndevRet_t cndevGetUUID(cndevUUID_t *uuidInfo, cndevDevice_t device) {
  ENTER_DEVICE(cndevGetUUID, uuidInfo, spoken(uuidInfo->version));
  const char *bare = strncmp(card->uuid, "MLU-", 4) == 0 ? card->uuid + 4 : card->uuid;
  memset(uuidInfo->uuid, 0, sizeof uuidInfo->uuid);
  memcpy(uuidInfo->uuid, bare, strnlen(bare, sizeof uuidInfo->uuid - 1));
  uuidInfo->ncsUUID64 = (uint64_t)index;
  return CNDEV_SUCCESS;
}

/* It answers with a name, so a fault can only hang or crash it. */
const char *cndevGetCardNameStringByDevId(cndevDevice_t device) {
  int fault_code = 0;
  int index = device - FIRST_HANDLE;
  bool failing = fake_fault("cndevGetCardNameStringByDevId", &fault_code);
  return failing || !initialised || index < 0 || index >= host.machine->device_count
             ? "Unknown"
             : host.machine->devices[index].model;
}

cndevRet_t cndevGetMemoryUsageV2(cndevMemoryInfoV2_t *memInfo, cndevDevice_t device) {
  ENTER_DEVICE(cndevGetMemoryUsageV2, memInfo, true);
  int64_t total_mib = (int64_t)(card->memory_bytes / FAKE_MIB);
  int64_t used_mib = (int64_t)(fake_host_used_bytes(&host, index) / FAKE_MIB);
  *memInfo = (cndevMemoryInfoV2_t){.physicalMemoryTotal = total_mib,
                                   .physicalMemoryUsed = used_mib,
                                   .reservedMemory = (int64_t)(card->reserved_bytes / FAKE_MIB),
                                   .virtualMemoryTotal = 4 * total_mib,
                                   .virtualMemoryUsed = used_mib};
  return CNDEV_SUCCESS;
}

cndevRet_t cndevGetDeviceUtilizationInfo(cndevUtilizationInfo_t *utilInfo, cndevDevice_t device) {
  ENTER_DEVICE(cndevGetDeviceUtilizationInfo, utilInfo, spoken(utilInfo->version));
  utilInfo->averageCoreUtilization = (int32_t)fake_host_utilisation(&host, index);
  memset(utilInfo->coreUtilization, 0, sizeof utilInfo->coreUtilization);
  return CNDEV_SUCCESS;
}

cndevRet_t cndevGetCardHealthState(cndevCardHealthState_t *cardHealthState, cndevDevice_t device) {
  ENTER_DEVICE(cndevGetCardHealthState, cardHealthState, spoken(cardHealthState->version));
  bool well = fake_host_health(&host, index) == 0;
  cardHealthState->health = well;
  cardHealthState->deviceState = well;
  cardHealthState->driverState = CNDEV_HEALTH_STATE_DRIVER_RUNNING;
  return CNDEV_SUCCESS;
}

cndevRet_t cndevGetNUMANodeIdByDevId(cndevNUMANodeId_t *numaNodeId, cndevDevice_t device) {
  ENTER_DEVICE(cndevGetNUMANodeIdByDevId, numaNodeId, spoken(numaNodeId->version));
  numaNodeId->nodeId = card->numa;
  return CNDEV_SUCCESS;
}

cndevRet_t cndevGetVersionInfo(cndevVersionInfo_t *versInfo, cndevDevice_t device) {
  ENTER_DEVICE(cndevGetVersionInfo, versInfo, spoken(versInfo->version));
  unsigned major = 0;
  unsigned minor = 0;
  unsigned build = 0;
  (void)sscanf(host.machine->driver_version, "%u.%u.%u", &major, &minor, &build);
  versInfo->driverMajorVersion = major;
  versInfo->driverMinorVersion = minor;
  versInfo->driverBuildVersion = build;
  return CNDEV_SUCCESS;
}

cndevRet_t cndevGetPCIeInfo(cndevPCIeInfo_t *deviceInfo, cndevDevice_t device) {
  ENTER_DEVICE(cndevGetPCIeInfo, deviceInfo, spoken(deviceInfo->version));
  deviceInfo->domain = card->pci_domain;
  deviceInfo->bus = card->pci_bus;
  deviceInfo->device = card->pci_device;
  deviceInfo->function = 0;
  return CNDEV_SUCCESS;
}

cndevRet_t cndevTopologyGetRelationship(cndevTopologyRelationship_t *relationship, cndevDevice_t device,
                                        cndevDevice_t peer) {
  static const char *const levels[] = {"same-board", "single-switch", "multi-switch", "host-bridge", "same-cpu"};
  enum { BEYOND = 6 };
  ENTER_DEVICE(cndevTopologyGetRelationship, relationship, spoken(relationship->version));
  if (peer - FIRST_HANDLE < 0 || peer - FIRST_HANDLE >= host.machine->device_count) {
    return CNDEV_ERROR_INVALID_DEVICE_ID;
  }
  relationship->relation = BEYOND;
  for (unsigned i = 0; i < card->link_count; i++) {
    for (int level = 0; level < BEYOND - 1; level++) {
      if (card->links[i].peer == peer - FIRST_HANDLE && strcmp(card->links[i].kind, levels[level]) == 0) {
        relationship->relation = level + 1;
      }
    }
  }
  return CNDEV_SUCCESS;
}

cndevRet_t cndevGetProcessInfo(uint32_t *infoCount, cndevProcessInfo_t *procInfo, cndevDevice_t device) {
  ENTER_DEVICE(cndevGetProcessInfo, infoCount, procInfo == NULL || *infoCount == 0 || spoken(procInfo[0].version));
  struct fake_process_use uses[FAKE_MAX_PROCESSES];
  uint32_t capacity = *infoCount;
  uint32_t found = fake_state_processes(host.state, index, uses, FAKE_MAX_PROCESSES);
  *infoCount = found;
  if (found > capacity || (found > 0 && procInfo == NULL)) {
    return CNDEV_ERROR_INSUFFICIENT_SPACE;
  }
  for (uint32_t i = 0; i < found; i++) {
    procInfo[i].pid = (uint32_t)uses[i].pid;
    procInfo[i].physicalMemoryUsed = uses[i].used / 1024;
    procInfo[i].virtualMemoryUsed = uses[i].used / 1024;
  }
  return CNDEV_SUCCESS;
}
