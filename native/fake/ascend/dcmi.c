/*
 * A test double of libdcmi.so: a card for each device of the machine, with numbers that are no indices, so that a
 * caller who mixes them up learns of it. A sick device has one error, and the code it was given as its health.
 */
#include "dcmi.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/fault.h"
#include "common/host.h"

#define FIRST_CARD 5
#define CARD_STEP 3
#define ERROR_CODE 0x80E01801U
#define LEAST_TEXT 48 /* the shortest place for an error's text that is taken */

static struct fake_host host;
static bool initialised;

static int index_of(int card_id, int device_id) {
  int index = (card_id - FIRST_CARD) / CARD_STEP;
  bool known = card_id >= FIRST_CARD && (card_id - FIRST_CARD) % CARD_STEP == 0 && device_id == 0 &&
               index < host.machine->device_count;
  return known ? index : -1;
}

#define ENTER_ANYTIME(name)                                                                                            \
  do {                                                                                                                 \
    int fault_code = 0;                                                                                                \
    if (fake_fault(#name, &fault_code)) {                                                                              \
      return fault_code;                                                                                               \
    }                                                                                                                  \
  } while (0)

#define ENTER(name, out)                                                                                               \
  ENTER_ANYTIME(name);                                                                                                 \
  if (!initialised) {                                                                                                  \
    return DCMI_ERR_CODE_DEVICE_NOT_READY;                                                                             \
  }                                                                                                                    \
  if ((out) == NULL) {                                                                                                 \
    return DCMI_ERR_CODE_INVALID_PARAMETER;                                                                            \
  }

#define ENTER_DEVICE(name, out)                                                                                        \
  ENTER(name, out)                                                                                                     \
  int index = index_of(card_id, device_id);                                                                            \
  if (index < 0) {                                                                                                     \
    return DCMI_ERR_CODE_DEVICE_NOT_EXIST;                                                                             \
  }                                                                                                                    \
  const struct fake_device *card = &host.machine->devices[index];                                                      \
  (void)card

int dcmi_init(void) {
  ENTER_ANYTIME(dcmi_init);
  enum fake_machine_status status = fake_host_open("ascend", &host);
  initialised = status == FAKE_MACHINE_READY;
  if (initialised) {
    return DCMI_OK;
  }
  return status == FAKE_MACHINE_NONE ? DCMI_ERR_CODE_DEVICE_NOT_EXIST : DCMI_ERR_CODE_INNER_ERR;
}

int dcmi_get_driver_version(char *driver_ver, unsigned int len) {
  ENTER(dcmi_get_driver_version, driver_ver)
  (void)snprintf(driver_ver, len, "%s", host.machine->driver_version);
  return DCMI_OK;
}

int dcmi_get_card_list(int *card_num, int *card_list, int list_len) {
  ENTER(dcmi_get_card_list, card_num)
  if (card_list == NULL || list_len < host.machine->device_count) {
    return DCMI_ERR_CODE_INVALID_PARAMETER;
  }
  *card_num = host.machine->device_count;
  for (int i = 0; i < host.machine->device_count; i++) {
    card_list[i] = FIRST_CARD + CARD_STEP * i;
  }
  return DCMI_OK;
}

int dcmi_get_device_num_in_card(int card_id, int *device_num) {
  ENTER(dcmi_get_device_num_in_card, device_num)
  *device_num = 1;
  return index_of(card_id, 0) < 0 ? DCMI_ERR_CODE_DEVICE_NOT_EXIST : DCMI_OK;
}

int dcmi_get_device_type(int card_id, int device_id, enum dcmi_unit_type *device_type) {
  ENTER_DEVICE(dcmi_get_device_type, device_type);
  *device_type = NPU_TYPE;
  return DCMI_OK;
}

int dcmi_get_device_logic_id(int *device_logic_id, int card_id, int device_id) {
  ENTER_DEVICE(dcmi_get_device_logic_id, device_logic_id);
  *device_logic_id = index;
  return DCMI_OK;
}

int dcmi_get_device_phyid_from_logicid(unsigned int logicid, unsigned int *phyid) {
  ENTER(dcmi_get_device_phyid_from_logicid, phyid)
  *phyid = logicid;
  return logicid < (unsigned int)host.machine->device_count ? DCMI_OK : DCMI_ERR_CODE_DEVICE_NOT_EXIST;
}

int dcmi_get_device_chip_info_v2(int card_id, int device_id, struct dcmi_chip_info_v2 *chip_info) {
  ENTER_DEVICE(dcmi_get_device_chip_info_v2, chip_info);
  memset(chip_info, 0, sizeof *chip_info);
  (void)snprintf((char *)chip_info->chip_type, sizeof chip_info->chip_type, "Ascend");
  (void)snprintf((char *)chip_info->chip_name, sizeof chip_info->chip_name, "%.31s", card->model);
  (void)snprintf((char *)chip_info->chip_ver, sizeof chip_info->chip_ver, "V1");
  chip_info->aicore_cnt = card->multiprocessors;
  return DCMI_OK;
}

int dcmi_get_device_die_v2(int card_id, int device_id, enum dcmi_die_type input_type, struct dcmi_die_id *die_id) {
  ENTER_DEVICE(dcmi_get_device_die_v2, die_id);
  if (input_type != VDIE) {
    return DCMI_ERR_CODE_NOT_SUPPORT;
  }
  unsigned int *part = die_id->soc_die;
  int read = sscanf(card->uuid, "%8X-%8X-%8X-%8X-%8X", &part[0], &part[1], &part[2], &part[3], &part[4]);
  return read == 5 ? DCMI_OK : DCMI_ERR_CODE_INNER_ERR;
}

int dcmi_get_device_hbm_info(int card_id, int device_id, struct dcmi_hbm_info *hbm_info) {
  ENTER_DEVICE(dcmi_get_device_hbm_info, hbm_info);
  *hbm_info = (struct dcmi_hbm_info){.memory_size = card->memory_bytes / FAKE_MIB,
                                     .freq = 1600,
                                     .memory_usage = fake_host_used_bytes(&host, index) / FAKE_MIB,
                                     .temp = (int)card->temperature_c};
  return DCMI_OK;
}

int dcmi_get_device_utilization_rate(int card_id, int device_id, int input_type, unsigned int *utilization_rate) {
  ENTER_DEVICE(dcmi_get_device_utilization_rate, utilization_rate);
  if (input_type != DCMI_UTILIZATION_RATE_AICORE) {
    return DCMI_ERR_CODE_NOT_SUPPORT;
  }
  *utilization_rate = fake_host_utilisation(&host, index);
  return DCMI_OK;
}

int dcmi_get_device_health(int card_id, int device_id, unsigned int *health) {
  ENTER_DEVICE(dcmi_get_device_health, health);
  *health = fake_host_health(&host, index);
  return DCMI_OK;
}

int dcmi_get_device_errorcode_v2(int card_id, int device_id, int *error_count, unsigned int *error_code_list,
                                 unsigned int list_len) {
  ENTER_DEVICE(dcmi_get_device_errorcode_v2, error_count);
  *error_count = fake_host_health(&host, index) == 0 ? 0 : 1;
  if (*error_count > 0 && (error_code_list == NULL || list_len < 1)) {
    return DCMI_ERR_CODE_INVALID_PARAMETER;
  }
  if (*error_count > 0) {
    error_code_list[0] = ERROR_CODE;
  }
  return DCMI_OK;
}

int dcmi_get_device_errorcode_string(int card_id, int device_id, unsigned int error_code, unsigned char *error_info,
                                     int buf_size) {
  ENTER_DEVICE(dcmi_get_device_errorcode_string, error_info);
  if (buf_size < LEAST_TEXT) {
    return DCMI_ERR_CODE_INVALID_PARAMETER;
  }
  (void)snprintf((char *)error_info, (size_t)buf_size, "simulated fault %X", error_code);
  return DCMI_OK;
}

int dcmi_get_device_pcie_info_v2(int card_id, int device_id, struct dcmi_pcie_info_all *pcie_info) {
  ENTER_DEVICE(dcmi_get_device_pcie_info_v2, pcie_info);
  *pcie_info = (struct dcmi_pcie_info_all){
      .domain = (int)card->pci_domain, .bdf_busid = card->pci_bus, .bdf_deviceid = card->pci_device};
  return DCMI_OK;
}

int dcmi_get_device_resource_info(int card_id, int device_id, struct dcmi_proc_mem_info *proc_info, int *proc_num) {
  ENTER_DEVICE(dcmi_get_device_resource_info, proc_num);
  struct fake_process_use uses[FAKE_MAX_PROCESSES];
  uint32_t found = fake_state_processes(host.state, index, uses, FAKE_MAX_PROCESSES);
  if (proc_info == NULL) {
    return DCMI_ERR_CODE_INVALID_PARAMETER;
  }
  *proc_num = (int)found;
  for (uint32_t i = 0; i < found; i++) {
    proc_info[i] = (struct dcmi_proc_mem_info){.proc_id = uses[i].pid, .proc_mem_usage = uses[i].used};
  }
  return DCMI_OK;
}

int dcmi_get_device_share_enable(int card_id, int device_id, int *enable_flag) {
  ENTER_DEVICE(dcmi_get_device_share_enable, enable_flag);
  *enable_flag = 1;
  return DCMI_OK;
}
