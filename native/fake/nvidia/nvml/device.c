/* Who the devices are: counts, handles, names, addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

static nvmlReturn_t count(unsigned *out) {
  NVML_NEED(out != NULL);
  *out = (unsigned)fake_nvml.machine->device_count;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *out) {
  NVML_ENTER(nvmlDeviceGetCount_v2);
  return count(out);
}

nvmlReturn_t nvmlDeviceGetCount(unsigned *out) {
  NVML_ENTER(nvmlDeviceGetCount);
  return count(out);
}

static nvmlReturn_t by_index(unsigned index, nvmlDevice_t *out) {
  NVML_NEED(out != NULL && index < (unsigned)fake_nvml.machine->device_count);
  *out = &fake_nvml.devices[index];
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *out) {
  NVML_ENTER(nvmlDeviceGetHandleByIndex_v2);
  return by_index(index, out);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned index, nvmlDevice_t *out) {
  NVML_ENTER(nvmlDeviceGetHandleByIndex);
  return by_index(index, out);
}

static const char *uuid_of(int unit) {
  const struct fake_instance *instance = fake_nvml_instance(unit);
  return instance == NULL ? fake_nvml.machine->devices[unit].uuid : instance->uuid;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *out) {
  NVML_ENTER(nvmlDeviceGetHandleByUUID);
  NVML_NEED(uuid != NULL && out != NULL);
  for (int unit = 0; unit < fake_nvml.machine->unit_count; unit++) {
    if (strcmp(uuid_of(unit), uuid) == 0) {
      *out = &fake_nvml.devices[unit];
      return NVML_SUCCESS;
    }
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *out) {
  NVML_ENTER(nvmlDeviceGetHandleBySerial);
  NVML_NEED(serial != NULL && out != NULL);
  for (int i = 0; i < fake_nvml.machine->device_count; i++) {
    if (strcmp(fake_nvml.machine->devices[i].serial, serial) == 0) {
      *out = &fake_nvml.devices[i];
      return NVML_SUCCESS;
    }
  }
  return NVML_ERROR_NOT_FOUND;
}

static nvmlReturn_t by_pci(const char *text, nvmlDevice_t *out) {
  unsigned domain = 0;
  unsigned bus = 0;
  unsigned device = 0;
  NVML_NEED(text != NULL && out != NULL);
  if (sscanf(text, "%x:%x:%x", &domain, &bus, &device) != 3 &&
      (domain = 0, sscanf(text, "%x:%x", &bus, &device)) != 2) {
    return NVML_ERROR_INVALID_ARGUMENT;
  }
  for (int i = 0; i < fake_nvml.machine->device_count; i++) {
    const struct fake_device *card = &fake_nvml.machine->devices[i];
    if (card->pci_domain == domain && card->pci_bus == bus && card->pci_device == device) {
      *out = &fake_nvml.devices[i];
      return NVML_SUCCESS;
    }
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *text, nvmlDevice_t *out) {
  NVML_ENTER(nvmlDeviceGetHandleByPciBusId_v2);
  return by_pci(text, out);
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *text, nvmlDevice_t *out) {
  NVML_ENTER(nvmlDeviceGetHandleByPciBusId);
  return by_pci(text, out);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *out, unsigned length) {
  NVML_ENTER_DEVICE(nvmlDeviceGetName, device);
  const struct fake_instance *instance = fake_nvml_instance(unit);
  char text[160];
  snprintf(text, sizeof text, instance == NULL ? "%s" : "%s MIG %s", card->model,
           instance == NULL ? "" : card->profiles[instance->profile].name);
  return fake_nvml_text(out, length, text);
}

nvmlReturn_t nvmlDeviceGetBrand(nvmlDevice_t device, nvmlBrandType_t *brand) {
  NVML_ENTER_DEVICE(nvmlDeviceGetBrand, device);
  NVML_NEED(brand != NULL);
  *brand = NVML_BRAND_NVIDIA;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index) {
  NVML_ENTER_DEVICE(nvmlDeviceGetIndex, device);
  NVML_NEED(index != NULL);
  *index = fake_nvml_instance(unit) == NULL ? (unsigned)card->index : (unsigned)fake_nvml.machine->units[unit].instance;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char *out, unsigned length) {
  NVML_ENTER_DEVICE(nvmlDeviceGetSerial, device);
  return fake_nvml_text(out, length, card->serial);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *out, unsigned length) {
  NVML_ENTER_DEVICE(nvmlDeviceGetUUID, device);
  return fake_nvml_text(out, length, uuid_of(unit));
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned *number) {
  NVML_ENTER_DEVICE(nvmlDeviceGetMinorNumber, device);
  NVML_NEED(number != NULL);
  *number = (unsigned)card->index;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetBoardId(nvmlDevice_t device, unsigned *id) {
  NVML_ENTER_DEVICE(nvmlDeviceGetBoardId, device);
  NVML_NEED(id != NULL);
  *id = card->pci_bus << 8;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMultiGpuBoard(nvmlDevice_t device, unsigned *multiple) {
  NVML_ENTER_DEVICE(nvmlDeviceGetMultiGpuBoard, device);
  NVML_NEED(multiple != NULL);
  *multiple = 0;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetVbiosVersion(nvmlDevice_t device, char *out, unsigned length) {
  NVML_ENTER_DEVICE(nvmlDeviceGetVbiosVersion, device);
  return fake_nvml_text(out, length, "94.02.5C.00.05");
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor) {
  NVML_ENTER_DEVICE(nvmlDeviceGetCudaComputeCapability, device);
  NVML_NEED(major != NULL && minor != NULL);
  *major = (int)card->compute_major;
  *minor = (int)card->compute_minor;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t device, nvmlDeviceArchitecture_t *architecture) {
  NVML_ENTER_DEVICE(nvmlDeviceGetArchitecture, device);
  NVML_NEED(architecture != NULL);
  switch (card->compute_major) {
  case 7:
    *architecture = card->compute_minor == 5 ? NVML_DEVICE_ARCH_TURING : NVML_DEVICE_ARCH_VOLTA;
    break;
  case 8:
    *architecture = card->compute_minor == 9 ? NVML_DEVICE_ARCH_ADA : NVML_DEVICE_ARCH_AMPERE;
    break;
  case 9:
    *architecture = NVML_DEVICE_ARCH_HOPPER;
    break;
  case 10:
  case 12:
    *architecture = NVML_DEVICE_ARCH_BLACKWELL;
    break;
  default:
    *architecture = NVML_DEVICE_ARCH_UNKNOWN;
    break;
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNumGpuCores(nvmlDevice_t device, unsigned *cores) {
  NVML_ENTER_DEVICE(nvmlDeviceGetNumGpuCores, device);
  NVML_NEED(cores != NULL);
  *cores = card->multiprocessors * (card->compute_major == 8 && card->compute_minor == 0 ? 64u : 128u);
  return NVML_SUCCESS;
}

/* The layouts grew at the end, so the oldest one is a prefix: `whole` says whether the caller's has the long bus id. */
static nvmlReturn_t pci(const struct fake_device *card, nvmlPciInfo_t *out, bool whole) {
  NVML_NEED(out != NULL);
  snprintf(out->busIdLegacy, sizeof out->busIdLegacy, "%04x:%02x:%02x.0", card->pci_domain & 0xFFFF, card->pci_bus,
           card->pci_device);
  out->domain = card->pci_domain;
  out->bus = card->pci_bus;
  out->device = card->pci_device;
  out->pciDeviceId = 0x223510DEu; /* an A40's */
  out->pciSubSystemId = 0x145A10DEu;
  if (whole) {
    snprintf(out->busId, sizeof out->busId, "%08X:%02X:%02X.0", card->pci_domain, card->pci_bus, card->pci_device);
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetPciInfo_v3, device);
  return pci(card, out, true);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetPciInfo_v2, device);
  return pci(card, out, false);
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetPciInfo, device);
  return pci(card, out, false);
}

nvmlReturn_t nvmlDeviceGetMemoryAffinity(nvmlDevice_t device, unsigned size, unsigned long *nodes,
                                         nvmlAffinityScope_t scope) {
  NVML_ENTER_DEVICE(nvmlDeviceGetMemoryAffinity, device);
  const unsigned bits = 8 * sizeof *nodes;
  (void)scope;
  NVML_NEED(nodes != NULL && size > 0);
  if (card->numa < 0) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  memset(nodes, 0, size * sizeof *nodes);
  if ((unsigned)card->numa / bits < size) {
    nodes[(unsigned)card->numa / bits] = 1ul << ((unsigned)card->numa % bits);
  }
  return NVML_SUCCESS;
}
