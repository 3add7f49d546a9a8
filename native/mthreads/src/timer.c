#include "interpose/timer.h"

#include "api.h"
#include "hami_table.h"

HAMI_DEFINE_TIMER(HAMI_CALL(muEventCreate, (MUevent *)&event, 0), HAMI_CALL(muEventRecord, event, stream),
                  HAMI_CALL(muEventQuery, event), HAMI_CALL(muEventElapsedTime, &ms, begin, end),
                  HAMI_CALL(muEventDestroy_v2, event), HAMI_CALL(muStreamIsCapturing, stream, &status));
