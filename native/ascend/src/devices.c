#include "devices.h"
#include "hami_table.h"
#include "interpose/wrap.h"

#include "api.h"

int hami_device_current(void) {
  __typeof__(&rtGetDevice) get_device = HAMI_REAL(rtGetDevice);
  int32_t ordinal = 0;
  /* Before a device is set the runtime has none to answer with; it allocates on none either. */
  return get_device != NULL && get_device(&ordinal) == RT_ERROR_NONE ? hami_ordinals_device(ordinal)
                                                                     : hami_ordinals_device(0);
}

int hami_device_of_memory(int32_t kind) {
  switch (kind) {
  case RT_MEMORYINFO_DDR:
  case RT_MEMORYINFO_DDR_HUGE:
  case RT_MEMORYINFO_DDR_NORMAL:
  case RT_MEMORYINFO_DDR_P2P_HUGE:
  case RT_MEMORYINFO_DDR_P2P_NORMAL:
    return HAMI_NO_DEVICE;
  default:
    return hami_device_current();
  }
}

/* Place of the stream among the control's words; 0: it launches nothing. */
static uint32_t stream_place(uint32_t type) {
  switch (type) {
  case RT_GNL_CTRL_TYPE_FFTS_PLUS_FLAG:
  case RT_GNL_CTRL_TYPE_FFTS_PLUS:
  case RT_GNL_CTRL_TYPE_MULTIPLE_TSK:
  case RT_GNL_CTRL_TYPE_MULTIPLE_TSK_FLAG:
    return 1;
  case RT_GNL_CTRL_TYPE_STARS_TSK:
  case RT_GNL_CTRL_TYPE_STARS_TSK_FLAG:
    return 2;
  default:
    return 0;
  }
}

static bool launches(const uintptr_t *ctrl, uint32_t num, uint32_t type) {
  uint32_t place = stream_place(type);
  return ctrl != NULL && place != 0 && place < num;
}

int hami_control_device(const uintptr_t *ctrl, uint32_t num, uint32_t type) {
  return launches(ctrl, num, type) ? hami_device_current() : HAMI_NO_DEVICE;
}

void *hami_control_stream(const uintptr_t *ctrl, uint32_t num, uint32_t type) {
  return launches(ctrl, num, type) ? (void *)ctrl[stream_place(type)] : HAMI_UNKNOWN_STREAM;
}

uintptr_t hami_control_what(const uintptr_t *ctrl, uint32_t num) { return ctrl != NULL && num > 0 ? ctrl[0] : 0; }
