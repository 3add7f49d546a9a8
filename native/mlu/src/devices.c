#include "devices.h"

#include "hami_table.h"
#include "interpose/wrap.h"

int hami_device_current(void) {
  __typeof__(&cnCtxGetDevice) of_context = HAMI_REAL(cnCtxGetDevice);
  __typeof__(&cnrtGetDevice) of_thread = HAMI_REAL(cnrtGetDevice);
  int ordinal = 0;
  bool known = (of_context != NULL && of_context(&ordinal) == CN_SUCCESS) ||
               (of_thread != NULL && of_thread(&ordinal) == CN_SUCCESS);
  return hami_ordinals_device(known ? ordinal : 0);
}
