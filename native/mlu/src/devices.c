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

void *hami_queue_of_invocation(const uintptr_t *words) {
  /* The releases before 5 have no cnrtQueueCreate; the last of them, which may have both, still has the _V3 call. */
  bool since_5 = HAMI_REAL(cnrtQueueCreate) != NULL && hami_real(HAMI_FUNCTION_cnrtInvokeKernel_V3) == NULL;
  return since_5 ? (void *)words[6] : HAMI_UNKNOWN_STREAM;
}
