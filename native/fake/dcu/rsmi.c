/* A test double of librocm_smi64.so.2, as far as probes ask it. A card's health code is its number of memory errors
 * that could not be corrected. */
#include <stdbool.h>
#include <stdio.h>

#include "common/fault.h"
#include "common/host.h"
#include "rsmi.h"

#define BLOCK_UMC 1
#define LINK_PCIE 1
#define LINK_XGMI 2
#define FUNCTIONS_PER_DEVICE 8U

static struct fake_host host;

#define ENTER(name)                                                                                                    \
  do {                                                                                                                 \
    int fault_code;                                                                                                    \
    if (fake_fault(#name, &fault_code)) {                                                                              \
      return fault_code;                                                                                               \
    }                                                                                                                  \
    if (host.state == NULL) {                                                                                          \
      return RSMI_INIT_ERROR;                                                                                          \
    }                                                                                                                  \
  } while (0)

static const struct fake_device *card_of(uint32_t device) {
  return device < (uint32_t)host.machine->device_count ? &host.machine->devices[device] : NULL;
}

#define ENTER_CARD(name, device, out)                                                                                  \
  ENTER(name);                                                                                                         \
  const struct fake_device *card = card_of(device);                                                                    \
  if (card == NULL || (out) == NULL) {                                                                                 \
    return RSMI_INVALID_ARGS;                                                                                          \
  }                                                                                                                    \
  (void)card

int rsmi_init(uint64_t flags) {
  int fault_code;
  (void)flags;
  if (fake_fault("rsmi_init", &fault_code)) {
    return fault_code;
  }
  return fake_host_open("dcu", &host) == FAKE_MACHINE_READY ? RSMI_SUCCESS : RSMI_INIT_ERROR;
}

int rsmi_shut_down(void) { return RSMI_SUCCESS; }

int rsmi_num_monitor_devices(uint32_t *count) {
  ENTER(rsmi_num_monitor_devices);
  *count = (uint32_t)host.machine->device_count;
  return RSMI_SUCCESS;
}

int rsmi_version_str_get(int component, char *text, uint32_t size) {
  ENTER(rsmi_version_str_get);
  return component == 0 && snprintf(text, size, "%s", host.machine->driver_version) >= 0 ? RSMI_SUCCESS
                                                                                         : RSMI_INVALID_ARGS;
}

int rsmi_dev_name_get(uint32_t device, char *name, size_t size) {
  ENTER_CARD(rsmi_dev_name_get, device, name);
  return (size_t)snprintf(name, size, "%s", card->model) < size ? RSMI_SUCCESS : RSMI_INSUFFICIENT_SIZE;
}

int rsmi_dev_serial_number_get(uint32_t device, char *serial, uint32_t size) {
  ENTER_CARD(rsmi_dev_serial_number_get, device, serial);
  return (uint32_t)snprintf(serial, size, "%s", card->serial) < size ? RSMI_SUCCESS : RSMI_INSUFFICIENT_SIZE;
}

int rsmi_dev_pci_id_get(uint32_t device, uint64_t *bdf) {
  ENTER_CARD(rsmi_dev_pci_id_get, device, bdf);
  *bdf = (uint64_t)card->pci_domain << 32 | (uint64_t)card->pci_bus << 8 | card->pci_device * FUNCTIONS_PER_DEVICE;
  return RSMI_SUCCESS;
}

int rsmi_dev_memory_total_get(uint32_t device, int type, uint64_t *bytes) {
  ENTER_CARD(rsmi_dev_memory_total_get, device, bytes);
  *bytes = card->memory_bytes;
  return type == 0 ? RSMI_SUCCESS : RSMI_NOT_SUPPORTED;
}

int rsmi_dev_memory_usage_get(uint32_t device, int type, uint64_t *bytes) {
  ENTER_CARD(rsmi_dev_memory_usage_get, device, bytes);
  *bytes = fake_host_used_bytes(&host, (int)device);
  return type == 0 ? RSMI_SUCCESS : RSMI_NOT_SUPPORTED;
}

int rsmi_dev_busy_percent_get(uint32_t device, uint32_t *percent) {
  ENTER_CARD(rsmi_dev_busy_percent_get, device, percent);
  *percent = fake_host_utilisation(&host, (int)device);
  return RSMI_SUCCESS;
}

int rsmi_topo_numa_affinity_get(uint32_t device, uint32_t *node) {
  ENTER_CARD(rsmi_topo_numa_affinity_get, device, node);
  *node = (uint32_t)card->numa; /* all ones where there is none, as sysfs has it */
  return RSMI_SUCCESS;
}

int rsmi_topo_get_link_type(uint32_t device, uint32_t peer, uint64_t *hops, int *type) {
  static const char *const kinds[] = {"xgmi", NULL};
  ENTER_CARD(rsmi_topo_get_link_type, device, type);
  if (card_of(peer) == NULL || hops == NULL) {
    return RSMI_INVALID_ARGS;
  }
  bool direct = fake_host_link(&host, (int)device, (int)peer, kinds) >= 0;
  *hops = direct ? 1 : 2;
  *type = direct ? LINK_XGMI : LINK_PCIE;
  return RSMI_SUCCESS;
}

int rsmi_dev_ecc_count_get(uint32_t device, int block, struct error_count *count) {
  ENTER_CARD(rsmi_dev_ecc_count_get, device, count);
  *count = (struct error_count){.uncorrectable_err = fake_host_health(&host, (int)device)};
  return block == BLOCK_UMC ? RSMI_SUCCESS : RSMI_NOT_SUPPORTED;
}

/* All processes of the host once. As was seen of DTK, this call measures nothing: use is asked by device. */
int rsmi_compute_process_info_get(struct process_info *processes, uint32_t *count) {
  ENTER(rsmi_compute_process_info_get);
  uint32_t found = 0;
  for (int device = 0; device < host.machine->device_count; device++) {
    struct fake_process_use uses[FAKE_MAX_PROCESSES];
    uint32_t on_card = fake_state_processes(host.state, device, uses, FAKE_MAX_PROCESSES);
    for (uint32_t i = 0; i < on_card; i++) {
      if (processes != NULL && found < *count) {
        processes[found] = (struct process_info){.process_id = (uint32_t)uses[i].pid};
      }
      found++;
    }
  }
  bool fits = processes == NULL || found <= *count;
  *count = found < *count || processes == NULL ? found : *count;
  return fits ? RSMI_SUCCESS : RSMI_INSUFFICIENT_SIZE;
}

int rsmi_compute_process_info_by_device_get(uint32_t pid, uint32_t device, struct process_info *process) {
  ENTER_CARD(rsmi_compute_process_info_by_device_get, device, process);
  struct fake_process_use uses[FAKE_MAX_PROCESSES];
  uint32_t count = fake_state_processes(host.state, (int)device, uses, FAKE_MAX_PROCESSES);
  for (uint32_t i = 0; i < count; i++) {
    if ((uint32_t)uses[i].pid == pid) {
      *process = (struct process_info){.process_id = pid, .vram_usage = uses[i].used};
      return RSMI_SUCCESS;
    }
  }
  return RSMI_NOT_FOUND;
}
