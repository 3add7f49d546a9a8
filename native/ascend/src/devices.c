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

int hami_device_of_memory(int32_t kind) { return kind == RT_MEMORYINFO_DDR ? HAMI_NO_DEVICE : hami_device_current(); }
