/*
 * A test double of libmtml.so.2, as far as probes ask it. A handle of a card, its memory and its engine is a piece of
 * memory of its own, as the real one's may be: what is not freed shows. A card's health code other than 0 is a memory
 * page that waits to be retired.
 */
#include "mtml.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/fault.h"
#include "common/host.h"

struct handle {
  int device;
};

static struct fake_host host;
static int handles;

int hami_fake_mtml_handles(void) { return __atomic_load_n(&handles, __ATOMIC_SEQ_CST); }

#define ENTER(name)                                                                                                    \
  do {                                                                                                                 \
    int fault_code;                                                                                                    \
    if (fake_fault(#name, &fault_code)) {                                                                              \
      return (MtmlReturn)fault_code;                                                                                   \
    }                                                                                                                  \
    if (host.state == NULL) {                                                                                          \
      return MTML_ERROR_DRIVER_NOT_LOADED;                                                                             \
    }                                                                                                                  \
  } while (0)

#define ENTER_CARD(name, given, out)                                                                                   \
  ENTER(name);                                                                                                         \
  if ((given) == NULL || (out) == NULL) {                                                                              \
    return MTML_ERROR_INVALID_ARGUMENT;                                                                                \
  }                                                                                                                    \
  int device = ((const struct handle *)(given))->device;                                                               \
  const struct fake_device *card = &host.machine->devices[device];                                                     \
  (void)card

static MtmlReturn make(int device, void *out) {
  struct handle *made = malloc(sizeof *made);
  if (made == NULL || out == NULL) {
    free(made);
    return MTML_ERROR_INVALID_ARGUMENT;
  }
  made->device = device;
  *(struct handle **)out = made;
  (void)__atomic_add_fetch(&handles, 1, __ATOMIC_SEQ_CST);
  return MTML_SUCCESS;
}

static MtmlReturn drop(void *handle) {
  if (handle == NULL) {
    return MTML_ERROR_INVALID_ARGUMENT;
  }
  free(handle);
  (void)__atomic_sub_fetch(&handles, 1, __ATOMIC_SEQ_CST);
  return MTML_SUCCESS;
}

static MtmlReturn copy(char *out, unsigned int length, const char *text) {
  return (unsigned int)snprintf(out, length, "%s", text) < length ? MTML_SUCCESS : MTML_ERROR_INSUFFICIENT_SIZE;
}

static MtmlReturn copy_numbered(char *out, unsigned int length, const char *stem, int number) {
  return (unsigned int)snprintf(out, length, "%s%d", stem, number) < length ? MTML_SUCCESS
                                                                            : MTML_ERROR_INSUFFICIENT_SIZE;
}

MtmlReturn mtmlLibraryInit(MtmlLibrary **lib) {
  int fault_code;
  if (fake_fault("mtmlLibraryInit", &fault_code)) {
    return (MtmlReturn)fault_code;
  }
  return fake_host_open("mthreads", &host) == FAKE_MACHINE_READY ? make(0, lib) : MTML_ERROR_DRIVER_NOT_LOADED;
}

MtmlReturn mtmlLibraryShutDown(MtmlLibrary *lib) { return drop(lib); }

MtmlReturn mtmlLibraryCountDevice(const MtmlLibrary *lib, unsigned int *count) {
  ENTER(mtmlLibraryCountDevice);
  if (lib == NULL || count == NULL) {
    return MTML_ERROR_INVALID_ARGUMENT;
  }
  *count = (unsigned int)host.machine->device_count;
  return MTML_SUCCESS;
}

MtmlReturn mtmlLibraryInitSystem(const MtmlLibrary *lib, MtmlSystem **sys) {
  ENTER(mtmlLibraryInitSystem);
  return lib == NULL ? MTML_ERROR_INVALID_ARGUMENT : make(0, sys);
}

MtmlReturn mtmlLibraryFreeSystem(MtmlSystem *sys) { return drop(sys); }

MtmlReturn mtmlSystemGetDriverVersion(const MtmlSystem *sys, char *version, unsigned int length) {
  ENTER_CARD(mtmlSystemGetDriverVersion, sys, version);
  return copy(version, length, host.machine->driver_version);
}

MtmlReturn mtmlLibraryInitDeviceByIndex(const MtmlLibrary *lib, unsigned int index, MtmlDevice **dev) {
  ENTER(mtmlLibraryInitDeviceByIndex);
  bool known = lib != NULL && index < (unsigned int)host.machine->device_count;
  return known ? make((int)index, dev) : MTML_ERROR_INVALID_ARGUMENT;
}

MtmlReturn mtmlLibraryFreeDevice(MtmlDevice *dev) { return drop(dev); }

MtmlReturn mtmlDeviceGetUUID(const MtmlDevice *dev, char *uuid, unsigned int length) {
  ENTER_CARD(mtmlDeviceGetUUID, dev, uuid);
  return copy(uuid, length, card->uuid);
}

MtmlReturn mtmlDeviceGetName(const MtmlDevice *dev, char *name, unsigned int length) {
  ENTER_CARD(mtmlDeviceGetName, dev, name);
  return copy(name, length, card->model);
}

MtmlReturn mtmlDeviceGetPciInfo(const MtmlDevice *dev, MtmlPciInfo *pci) {
  ENTER_CARD(mtmlDeviceGetPciInfo, dev, pci);
  *pci = (MtmlPciInfo){.segment = card->pci_domain, .bus = card->pci_bus, .device = card->pci_device};
  (void)snprintf(pci->sbdf, sizeof pci->sbdf, "%04x:%02x:%02x.0", card->pci_domain, card->pci_bus, card->pci_device);
  return MTML_SUCCESS;
}

MtmlReturn mtmlDeviceGetGpuPath(const MtmlDevice *dev, char *path, unsigned int length) {
  ENTER_CARD(mtmlDeviceGetGpuPath, dev, path);
  return copy_numbered(path, length, "/dev/mtgpu", device);
}

MtmlReturn mtmlDeviceGetPrimaryPath(const MtmlDevice *dev, char *path, unsigned int length) {
  ENTER_CARD(mtmlDeviceGetPrimaryPath, dev, path);
  return copy_numbered(path, length, "/dev/dri/card", device);
}

MtmlReturn mtmlDeviceGetRenderPath(const MtmlDevice *dev, char *path, unsigned int length) {
  ENTER_CARD(mtmlDeviceGetRenderPath, dev, path);
  return copy_numbered(path, length, "/dev/dri/renderD", device + 128);
}

MtmlReturn mtmlDeviceGetMemoryAffinityWithinNode(const MtmlDevice *dev, unsigned int nodeSetSize,
                                                 unsigned long *nodeSet) {
  const unsigned int bits = 8 * sizeof *nodeSet;
  ENTER_CARD(mtmlDeviceGetMemoryAffinityWithinNode, dev, nodeSet);
  if (card->numa < 0) {
    return MTML_ERROR_NOT_SUPPORTED;
  }
  for (unsigned int word = 0; word < nodeSetSize; word++) {
    nodeSet[word] = word == (unsigned int)card->numa / bits ? 1UL << ((unsigned int)card->numa % bits) : 0;
  }
  return MTML_SUCCESS;
}

MtmlReturn mtmlDeviceGetTopologyLevel(const MtmlDevice *dev1, const MtmlDevice *dev2, int *level) {
  static const char *const levels[] = {
      "same-board", "single-switch", "multi-switch", "host-bridge", "same-cpu", "cross-cpu", NULL};
  ENTER_CARD(mtmlDeviceGetTopologyLevel, dev1, level);
  if (dev2 == NULL) {
    return MTML_ERROR_INVALID_ARGUMENT;
  }
  *level = fake_host_link(&host, device, ((const struct handle *)dev2)->device, levels);
  return *level < 0 ? MTML_ERROR_NOT_SUPPORTED : MTML_SUCCESS;
}

MtmlReturn mtmlDeviceInitMemory(const MtmlDevice *dev, MtmlMemory **mem) {
  ENTER_CARD(mtmlDeviceInitMemory, dev, mem);
  return make(device, mem);
}

MtmlReturn mtmlDeviceFreeMemory(MtmlMemory *mem) { return drop(mem); }

MtmlReturn mtmlMemoryGetTotal(const MtmlMemory *mem, unsigned long long *total) {
  ENTER_CARD(mtmlMemoryGetTotal, mem, total);
  *total = card->memory_bytes;
  return MTML_SUCCESS;
}

MtmlReturn mtmlMemoryGetUsed(const MtmlMemory *mem, unsigned long long *used) {
  ENTER_CARD(mtmlMemoryGetUsed, mem, used);
  *used = fake_host_used_bytes(&host, device);
  return MTML_SUCCESS;
}

MtmlReturn mtmlMemoryGetUtilization(const MtmlMemory *mem, unsigned int *utilization) {
  ENTER_CARD(mtmlMemoryGetUtilization, mem, utilization);
  *utilization = (unsigned int)(fake_host_used_bytes(&host, device) * 100 / card->memory_bytes);
  return MTML_SUCCESS;
}

MtmlReturn mtmlMemoryGetRetiredPagesPendingStatus(const MtmlMemory *mem, unsigned int *isPending) {
  ENTER_CARD(mtmlMemoryGetRetiredPagesPendingStatus, mem, isPending);
  *isPending = fake_host_health(&host, device) != 0;
  return MTML_SUCCESS;
}

MtmlReturn mtmlDeviceInitGpu(const MtmlDevice *dev, MtmlGpu **gpu) {
  ENTER_CARD(mtmlDeviceInitGpu, dev, gpu);
  return make(device, gpu);
}

MtmlReturn mtmlDeviceFreeGpu(MtmlGpu *gpu) { return drop(gpu); }

MtmlReturn mtmlGpuGetUtilization(const MtmlGpu *gpu, unsigned int *utilization) {
  ENTER_CARD(mtmlGpuGetUtilization, gpu, utilization);
  *utilization = fake_host_utilisation(&host, device);
  return MTML_SUCCESS;
}

const char *mtmlErrorString(MtmlReturn result) { return result == MTML_SUCCESS ? "Success" : "An error"; }
