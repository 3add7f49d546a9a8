#include "interpose/timer.h"

#include "api.h"
#include "hami_table.h"

HAMI_DEFINE_TIMER(HAMI_CALL(hipEventCreate, (hipEvent_t *)&event), HAMI_CALL(hipEventRecord, event, stream),
                  HAMI_CALL(hipEventQuery, event), HAMI_CALL(hipEventElapsedTime, &ms, begin, end),
                  HAMI_CALL(hipEventDestroy, event), HAMI_CALL(hipStreamIsCapturing, stream, &status));
