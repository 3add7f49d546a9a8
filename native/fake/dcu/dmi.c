/* A test double of libhydmi.so.1, as far as probes ask it. */
#include <pthread.h>
#include <stdio.h>

#include "common/fault.h"
#include "common/host.h"
#include "dmi.h"

_Static_assert(sizeof(dmiDeviceInfo) == 296, "as the header's on x86-64");

static struct fake_host host;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_machine(void) { (void)fake_host_open("dcu", &host); }

static const struct fake_device *card_of(int device) {
  return host.state != NULL && device >= 0 && device < host.machine->device_count ? &host.machine->devices[device]
                                                                                  : NULL;
}

#define ENTER(name)                                                                                                    \
  do {                                                                                                                 \
    int fault_code;                                                                                                    \
    if (fake_fault(#name, &fault_code)) {                                                                              \
      return fault_code;                                                                                               \
    }                                                                                                                  \
    (void)pthread_once(&once, open_machine);                                                                           \
    if (host.state == NULL) {                                                                                          \
      return DMI_OPEN_MKFD_FAILED;                                                                                     \
    }                                                                                                                  \
  } while (0)

int dmiGetDeviceCount(int *count) {
  ENTER(dmiGetDeviceCount);
  *count = host.machine->device_count;
  return DMI_SUCCESS;
}

int dmiGetDeviceInfo(int device_id, dmiDeviceInfo *device_info) {
  ENTER(dmiGetDeviceInfo);
  const struct fake_device *card = card_of(device_id);
  if (card == NULL || device_info == NULL) {
    return DMI_INVALID_ARGUMENTS;
  }
  *device_info = (dmiDeviceInfo){.compute_unit_count = (int)card->multiprocessors,
                                 .global_mem_size = card->memory_bytes,
                                 .usage_mem_size = fake_host_used_bytes(&host, device_id),
                                 .device_id = device_id};
  (void)snprintf(device_info->name, sizeof device_info->name, "%s", card->model);
  return DMI_SUCCESS;
}

int dmiGetDevBusyPercent(int device_id, int *busy_percent) {
  ENTER(dmiGetDevBusyPercent);
  if (card_of(device_id) == NULL || busy_percent == NULL) {
    return DMI_INVALID_ARGUMENTS;
  }
  *busy_percent = (int)fake_host_utilisation(&host, device_id);
  return DMI_SUCCESS;
}
