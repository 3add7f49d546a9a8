/*
 * DCMI, Ascend's management library: the functions that its double has, with the types they need. Facts of the
 * interface, read in public copies of dcmi_interface_api.h. A device is named by the card it is on and its number
 * there.
 */
#ifndef HAMI_FAKE_DCMI_H
#define HAMI_FAKE_DCMI_H

#include <stdint.h>

enum {
  DCMI_OK = 0,
  DCMI_ERR_CODE_INVALID_PARAMETER = -8001,
  DCMI_ERR_CODE_INNER_ERR = -8005,
  DCMI_ERR_CODE_DEVICE_NOT_EXIST = -8008,
  DCMI_ERR_CODE_DEVICE_NOT_READY = -8012,
  DCMI_ERR_CODE_NOT_SUPPORT = -8255,
};

enum dcmi_unit_type { NPU_TYPE = 0, MCU_TYPE = 1 };
enum dcmi_die_type { NDIE = 0, VDIE = 1 };
enum { DCMI_UTILIZATION_RATE_AICORE = 2 };

struct dcmi_chip_info_v2 {
  unsigned char chip_type[32];
  unsigned char chip_name[32];
  unsigned char chip_ver[32];
  unsigned int aicore_cnt;
  unsigned char npu_name[32];
};

struct dcmi_die_id {
  unsigned int soc_die[5];
};

/* MB. */
struct dcmi_hbm_info {
  unsigned long long memory_size;
  unsigned int freq;
  unsigned long long memory_usage;
  int temp;
  unsigned int bandwith_util_rate;
};

struct dcmi_pcie_info_all {
  unsigned int venderid;
  unsigned int subvenderid;
  unsigned int deviceid;
  unsigned int subdeviceid;
  int domain;
  unsigned int bdf_busid;
  unsigned int bdf_deviceid;
  unsigned int bdf_funcid;
  unsigned char reserve[32];
};

/* Bytes, as two public users of it take it; a third takes MB. */
struct dcmi_proc_mem_info {
  int proc_id;
  unsigned long proc_mem_usage;
};

#pragma GCC visibility push(default)

int dcmi_init(void);
int dcmi_get_driver_version(char *driver_ver, unsigned int len);
int dcmi_get_card_list(int *card_num, int *card_list, int list_len);
int dcmi_get_device_num_in_card(int card_id, int *device_num);
int dcmi_get_device_type(int card_id, int device_id, enum dcmi_unit_type *device_type);
int dcmi_get_device_logic_id(int *device_logic_id, int card_id, int device_id);
int dcmi_get_device_phyid_from_logicid(unsigned int logicid, unsigned int *phyid);
int dcmi_get_device_chip_info_v2(int card_id, int device_id, struct dcmi_chip_info_v2 *chip_info);
int dcmi_get_device_die_v2(int card_id, int device_id, enum dcmi_die_type input_type, struct dcmi_die_id *die_id);
int dcmi_get_device_hbm_info(int card_id, int device_id, struct dcmi_hbm_info *hbm_info);
int dcmi_get_device_utilization_rate(int card_id, int device_id, int input_type, unsigned int *utilization_rate);
int dcmi_get_device_health(int card_id, int device_id, unsigned int *health);
int dcmi_get_device_errorcode_v2(int card_id, int device_id, int *error_count, unsigned int *error_code_list,
                                 unsigned int list_len);
int dcmi_get_device_errorcode_string(int card_id, int device_id, unsigned int error_code, unsigned char *error_info,
                                     int buf_size);
int dcmi_get_device_pcie_info_v2(int card_id, int device_id, struct dcmi_pcie_info_all *pcie_info);
int dcmi_get_device_resource_info(int card_id, int device_id, struct dcmi_proc_mem_info *proc_info, int *proc_num);
int dcmi_get_device_share_enable(int card_id, int device_id, int *enable_flag);

#pragma GCC visibility pop

#endif
