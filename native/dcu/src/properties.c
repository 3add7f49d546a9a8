/*
 * Device properties: a structure that differs between releases. Its memory field follows the name, at once or after a
 * uuid and a luid. It is changed only where it holds what the driver says elsewhere of this device's memory.
 */
#include <string.h>

#include "api.h"
#include "hami_table.h"
#include "interpose/hook.h"
#include "interpose/ordinals.h"
#include "interpose/share.h"

/* offsetof(hipDeviceProp_tR0000, totalGlobalMem): name[256] comes before it. */
#define OLDER_OFFSET 256
/* offsetof(hipDeviceProp_tR0600, totalGlobalMem): name[256], uuid[16], luid[8] and a 32-bit mask come before it. */
#define NEWER_OFFSET 288

static bool show_share_at(char *prop, size_t offset, size_t card_bytes, int device) {
  size_t shown_bytes = 0;
  memcpy(&shown_bytes, prop + offset, sizeof shown_bytes);
  if (shown_bytes != card_bytes) {
    return false;
  }
  hami_share_show(device, NULL, &shown_bytes);
  memcpy(prop + offset, &shown_bytes, sizeof shown_bytes);
  return true;
}

static void show_share(void *prop, int ordinal) {
  __typeof__(&hipDeviceTotalMem) get_total = HAMI_REAL(hipDeviceTotalMem);
  size_t card_bytes = 0;
  if (prop == NULL || get_total == NULL || get_total(&card_bytes, ordinal) != hipSuccess || card_bytes == 0) {
    return;
  }
  int device = hami_ordinals_device(ordinal);
  if (!show_share_at(prop, OLDER_OFFSET, card_bytes, device)) {
    (void)show_share_at(prop, NEWER_OFFSET, card_bytes, device);
  }
}

#define WITH_SHARE(function)                                                                                           \
  do {                                                                                                                 \
    HAMI_ENTER(HAMI_MISSING, function, prop, deviceId)                                                                 \
    hipError_t result = real(prop, deviceId);                                                                          \
    if (result == hipSuccess) {                                                                                        \
      show_share(prop, deviceId);                                                                                      \
    }                                                                                                                  \
    HAMI_LEAVE(result);                                                                                                \
  } while (0)

hipError_t hipGetDeviceProperties(void *prop, int deviceId) { WITH_SHARE(hipGetDeviceProperties); }
hipError_t hipGetDevicePropertiesR0000(void *prop, int deviceId) { WITH_SHARE(hipGetDevicePropertiesR0000); }
hipError_t hipGetDevicePropertiesR0600(void *prop, int deviceId) { WITH_SHARE(hipGetDevicePropertiesR0600); }
