#include "devices.h"

#include "hami_table.h"
#include "interpose/wrap.h"

/* The share's device that the calling thread uses. ACME_VISIBLE_DEVICES lists the share's cards in their order, so
 * Acme's ordinals are positions in it. */
int hami_device_current(void) {
  __typeof__(&acmeGetDevice) of_thread = HAMI_REAL(acmeGetDevice);
  int ordinal = 0;
  bool known = of_thread != NULL && of_thread(&ordinal) == ACME_SUCCESS;
  return hami_ordinals_device(known ? ordinal : 0);
}
