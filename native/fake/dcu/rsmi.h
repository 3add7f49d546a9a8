/*
 * rocm_smi, as far as probes ask it: facts of the interface, read in rocm_smi.h of Project-HAMi/dcu-dcgm (DTK's 2.8).
 */
#ifndef HAMI_FAKE_RSMI_H
#define HAMI_FAKE_RSMI_H

#include <stddef.h>
#include <stdint.h>

enum {
  RSMI_SUCCESS = 0,
  RSMI_INVALID_ARGS = 1,
  RSMI_NOT_SUPPORTED = 2,
  RSMI_INIT_ERROR = 8,
  RSMI_NOT_FOUND = 10,
  RSMI_INSUFFICIENT_SIZE = 11,
};

struct process_info {
  uint32_t process_id;
  uint32_t pasid;
  uint64_t vram_usage;
  uint64_t sdma_usage;
  uint32_t cu_occupancy;
};

struct error_count {
  uint64_t correctable_err;
  uint64_t uncorrectable_err;
};

#pragma GCC visibility push(default)
int rsmi_init(uint64_t flags);
int rsmi_shut_down(void);
int rsmi_num_monitor_devices(uint32_t *count);
int rsmi_version_str_get(int component, char *text, uint32_t size);
int rsmi_dev_name_get(uint32_t device, char *name, size_t size);
int rsmi_dev_serial_number_get(uint32_t device, char *serial, uint32_t size);
int rsmi_dev_pci_id_get(uint32_t device, uint64_t *bdf);
int rsmi_dev_memory_total_get(uint32_t device, int type, uint64_t *bytes);
int rsmi_dev_memory_usage_get(uint32_t device, int type, uint64_t *bytes);
int rsmi_dev_busy_percent_get(uint32_t device, uint32_t *percent);
int rsmi_topo_numa_affinity_get(uint32_t device, uint32_t *node);
int rsmi_topo_get_link_type(uint32_t device, uint32_t peer, uint64_t *hops, int *type);
int rsmi_dev_ecc_count_get(uint32_t device, int block, struct error_count *count);
int rsmi_compute_process_info_get(struct process_info *processes, uint32_t *count);
int rsmi_compute_process_info_by_device_get(uint32_t pid, uint32_t device, struct process_info *process);
#pragma GCC visibility pop

#endif
