#include <stdio.h>
#include <string.h>

#include "driver.h"

#define ENTER_DEVICE(name, device)                                                                                     \
  FAKE_ENTER(name);                                                                                                    \
  if (!fake_device_valid(device)) {                                                                                    \
    return CUDA_ERROR_INVALID_DEVICE;                                                                                  \
  }                                                                                                                    \
  const int unit = fake_driver.units[device];                                                                          \
  const struct fake_device *card = fake_device_of_unit(unit);                                                          \
  (void)card

static const struct fake_instance *instance_of(int unit) {
  int instance = fake_driver.machine->units[unit].instance;
  return instance < 0 ? NULL : &fake_device_of_unit(unit)->instances[instance];
}

CUresult cuDeviceGetCount(int *count) {
  FAKE_ENTER(cuDeviceGetCount);
  if (count == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *count = fake_driver.device_count;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  FAKE_ENTER(cuDeviceGet);
  if (device == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!fake_device_valid(ordinal)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  ENTER_DEVICE(cuDeviceGetName, device);
  const struct fake_instance *instance = instance_of(unit);
  if (name == NULL || length <= 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (instance == NULL) {
    snprintf(name, (size_t)length, "%s", card->model);
  } else {
    snprintf(name, (size_t)length, "%s MIG %s", card->model, card->profiles[instance->profile].name);
  }
  return CUDA_SUCCESS;
}

/* The 16 bytes behind "GPU-" or "MIG-" and 32 hex digits; text of another form gives bytes of its own. */
static void uuid_bytes(const char *text, CUuuid *uuid) {
  memset(uuid, 0, sizeof *uuid);
  size_t nibble = 0;
  for (const char *at = text + 4; *at != '\0' && nibble < 2 * sizeof uuid->bytes; at++) {
    unsigned value = 0;
    if (sscanf((char[]){*at, '\0'}, "%1x", &value) == 1) {
      unsigned char byte = (unsigned char)uuid->bytes[nibble / 2];
      uuid->bytes[nibble / 2] = (char)(nibble % 2 == 0 ? value << 4 : byte | value);
      nibble++;
    }
  }
}

static CUresult get_uuid(CUuuid *uuid, CUdevice device, bool of_instance) {
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  if (uuid == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const struct fake_instance *instance = instance_of(fake_driver.units[device]);
  bool use_instance = of_instance && instance != NULL;
  uuid_bytes(use_instance ? instance->uuid : fake_device_of_unit(fake_driver.units[device])->uuid, uuid);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device) {
  FAKE_ENTER(cuDeviceGetUuid);
  return get_uuid(uuid, device, false);
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) {
  FAKE_ENTER(cuDeviceGetUuid_v2);
  return get_uuid(uuid, device, true);
}

CUresult cuDeviceGetLuid(char *luid, unsigned *mask, CUdevice device) {
  ENTER_DEVICE(cuDeviceGetLuid, device);
  (void)luid;
  (void)mask;
  return CUDA_ERROR_NOT_SUPPORTED; /* as on Linux */
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
  ENTER_DEVICE(cuDeviceTotalMem_v2, device);
  if (bytes == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *bytes = fake_driver.machine->units[unit].memory_bytes;
  return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device) {
  ENTER_DEVICE(cuDeviceComputeCapability, device);
  if (major == NULL || minor == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *major = (int)card->compute_major;
  *minor = (int)card->compute_minor;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetProperties(CUdevprop *properties, CUdevice device) {
  ENTER_DEVICE(cuDeviceGetProperties, device);
  if (properties == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *properties = (CUdevprop){.maxThreadsPerBlock = 1024,
                            .maxThreadsDim = {1024, 1024, 64},
                            .maxGridSize = {2147483647, 65535, 65535},
                            .sharedMemPerBlock = 49152,
                            .totalConstantMemory = 65536,
                            .SIMDWidth = 32,
                            .memPitch = 2147483647,
                            .regsPerBlock = 65536,
                            .clockRate = (int)card->sm_clock_mhz * 1000,
                            .textureAlign = 512};
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char *text, int length, CUdevice device) {
  ENTER_DEVICE(cuDeviceGetPCIBusId, device);
  if (text == NULL || length <= 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  snprintf(text, (size_t)length, "%04x:%02x:%02x.0", card->pci_domain, card->pci_bus, card->pci_device);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetByPCIBusId(CUdevice *device, const char *text) {
  FAKE_ENTER(cuDeviceGetByPCIBusId);
  unsigned domain = 0;
  unsigned bus = 0;
  unsigned slot = 0;
  if (device == NULL || text == NULL || sscanf(text, "%x:%x:%x", &domain, &bus, &slot) != 3) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (int i = 0; i < fake_driver.device_count; i++) {
    const struct fake_device *card = fake_device_of_unit(fake_driver.units[i]);
    if (card->pci_domain == domain && card->pci_bus == bus && card->pci_device == slot) {
      *device = i;
      return CUDA_SUCCESS;
    }
  }
  return CUDA_ERROR_INVALID_DEVICE;
}

static unsigned multiprocessors(int unit) {
  const struct fake_device *card = fake_device_of_unit(unit);
  const struct fake_instance *instance = instance_of(unit);
  return instance == NULL ? card->multiprocessors : card->profiles[instance->profile].multiprocessors;
}

/* Attributes that are the same on every card the double knows; values of current data-centre cards. */
static const struct {
  CUdevice_attribute attribute;
  int value;
} common_attributes[] = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49152},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 101376},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 102400},
    {CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
    {CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 16},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, 32},
    {CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1},
    {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2},
    {CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
    {CU_DEVICE_ATTRIBUTE_ECC_ENABLED, 1},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    {CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 1},
    {CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
    {CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1},
    {CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_WIDTH, 131072},
    {CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_WIDTH, 131072},
    {CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_HEIGHT, 65536},
    {CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_WIDTH, 16384},
    {CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_HEIGHT, 16384},
    {CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH, 16384},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 384},
    {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 6291456},
    {CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 32},
};

static bool card_attribute(const struct fake_device *card, int unit, CUdevice_attribute attribute, int *value) {
  switch ((int)attribute) {
  case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
    *value = (int)multiprocessors(unit);
    return true;
  case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
    *value = (int)card->threads_per_multiprocessor;
    return true;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
    *value = (int)card->compute_major;
    return true;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
    *value = (int)card->compute_minor;
    return true;
  case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
    *value = (int)card->sm_clock_mhz * 1000;
    return true;
  case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
    *value = (int)card->memory_clock_mhz * 1000;
    return true;
  case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID:
    *value = (int)card->pci_domain;
    return true;
  case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
    *value = (int)card->pci_bus;
    return true;
  case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID:
    *value = (int)card->pci_device;
    return true;
  case CU_DEVICE_ATTRIBUTE_INTEGRATED:
    *value = card->unified_memory;
    return true;
  case CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID:
    *value = card->numa;
    return true;
  case CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
    *value = fake_driver.machine->cuda_version >= 12020;
    return true;
  default:
    return false;
  }
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  ENTER_DEVICE(cuDeviceGetAttribute, device);
  if (value == NULL || (int)attribute < 1 || attribute >= CU_DEVICE_ATTRIBUTE_MAX) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (card_attribute(card, unit, attribute, value)) {
    return CUDA_SUCCESS;
  }
  *value = 0;
  for (size_t i = 0; i < sizeof common_attributes / sizeof *common_attributes; i++) {
    if (common_attributes[i].attribute == attribute) {
      *value = common_attributes[i].value;
    }
  }
  return CUDA_SUCCESS;
}

static bool linked(const struct fake_device *from, const struct fake_device *to) {
  for (unsigned i = 0; i < from->link_count; i++) {
    if (from->links[i].peer == to->index && strcmp(from->links[i].kind, "nvlink") == 0) {
      return true;
    }
  }
  return false;
}

CUresult cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer) {
  ENTER_DEVICE(cuDeviceCanAccessPeer, device);
  if (can == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!fake_device_valid(peer)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  *can = device != peer && linked(card, fake_device_of_unit(fake_driver.units[peer]));
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attribute, CUdevice device, CUdevice peer) {
  ENTER_DEVICE(cuDeviceGetP2PAttribute, device);
  if (value == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!fake_device_valid(peer) || peer == device) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  bool access = linked(card, fake_device_of_unit(fake_driver.units[peer]));
  *value = attribute == CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK ? !access : access;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetExecAffinitySupport(int *supported, CUexecAffinityType type, CUdevice device) {
  ENTER_DEVICE(cuDeviceGetExecAffinitySupport, device);
  (void)type;
  if (supported == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *supported = 0;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetTexture1DLinearMaxWidth(size_t *width, CUarray_format format, unsigned channels, CUdevice device) {
  ENTER_DEVICE(cuDeviceGetTexture1DLinearMaxWidth, device);
  (void)format;
  (void)channels;
  if (width == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *width = 1u << 28;
  return CUDA_SUCCESS;
}
