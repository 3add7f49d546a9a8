/* hydmi, as far as probes ask it: facts of the interface, read in dmi_virtual.h of Project-HAMi/dcu-dcgm. */
#ifndef HAMI_FAKE_DMI_H
#define HAMI_FAKE_DMI_H

#include <stddef.h>
#include <stdint.h>

enum { DMI_SUCCESS = 0, DMI_OPEN_MKFD_FAILED = 3, DMI_INVALID_ARGUMENTS = 10 };

typedef struct {
  char name[256];
  int compute_unit_count;
  size_t global_mem_size;
  size_t usage_mem_size;
  uint64_t container_id;
  int device_id;
} dmiDeviceInfo;

#pragma GCC visibility push(default)
int dmiGetDeviceCount(int *count);
int dmiGetDeviceInfo(int device_id, dmiDeviceInfo *device_info);
int dmiGetDevBusyPercent(int device_id, int *busy_percent);
#pragma GCC visibility pop

#endif
