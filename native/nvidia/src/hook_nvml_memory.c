/* NVML's memory figures: the share instead of the card. */
#include "devices.h"
#include "growth.h"
#include "hook.h"
#include "share.h"

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
  HAMI_NVML_ENTER(nvmlDeviceGetMemoryInfo, device, memory);
  nvmlReturn_t result = real(device, memory);
  hami_growth_look();
  struct hami_share share;
  if (result == NVML_SUCCESS && memory != NULL &&
      hami_share_view(hami_devices_of_nvml(device), memory->total, memory->free, &share)) {
    memory->total = share.total_bytes;
    memory->used = share.used_bytes;
    memory->free = share.free_bytes;
  }
  HAMI_LEAVE(result);
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
  HAMI_NVML_ENTER(nvmlDeviceGetMemoryInfo_v2, device, memory);
  nvmlReturn_t result = real(device, memory);
  hami_growth_look();
  struct hami_share share;
  /* A version the driver accepts and this file does not know has another layout. */
  if (result == NVML_SUCCESS && memory != NULL && memory->version == nvmlMemory_v2 &&
      hami_share_view(hami_devices_of_nvml(device), memory->total, memory->free, &share)) {
    memory->total = share.total_bytes;
    memory->reserved = 0; /* the driver's own memory is outside the share */
    memory->used = share.used_bytes;
    memory->free = share.free_bytes;
  }
  HAMI_LEAVE(result);
}
