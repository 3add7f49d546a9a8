#include "devices.h"

#include "hami_table.h"
#include "interpose/wrap.h"

int hami_device_current(void) {
  __typeof__(&muCtxGetDevice) of_context = HAMI_REAL(muCtxGetDevice);
  __typeof__(&musaGetDevice) of_thread = HAMI_REAL(musaGetDevice);
  int ordinal = 0;
  bool known = (of_context != NULL && of_context(&ordinal) == MUSA_SUCCESS) ||
               (of_thread != NULL && of_thread(&ordinal) == MUSA_SUCCESS);
  return hami_ordinals_device(known ? ordinal : 0);
}

int hami_device_of_prop(const MUmemAllocationProp *prop) {
  if (prop == NULL) {
    return hami_device_current(); /* an argument error, for the driver to report */
  }
  return prop->location.type == MU_MEM_LOCATION_TYPE_DEVICE ? hami_ordinals_device(prop->location.id) : HAMI_NO_DEVICE;
}
