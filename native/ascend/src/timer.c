#include "interpose/timer.h"

#include "api.h"
#include "hami_table.h"

static rtError_t capture_status(void *stream, int32_t *status) {
  rtModel_t model = NULL;
  return HAMI_CALL(rtStreamGetCaptureInfo, stream, status, &model);
}

HAMI_DEFINE_TIMER(HAMI_CALL(rtEventCreate, &event), HAMI_CALL(rtEventRecord, event, stream),
                  HAMI_CALL(rtEventQuery, event), HAMI_CALL(rtEventElapsedTime, &ms, begin, end),
                  HAMI_CALL(rtEventDestroy, event), capture_status(stream, &status));
