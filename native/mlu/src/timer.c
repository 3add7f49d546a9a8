#include "interpose/timer.h"

#include "api.h"
#include "hami_table.h"

HAMI_DEFINE_TIMER(HAMI_CALL(cnCreateNotifier, (CNnotifier *)&event, 0), HAMI_CALL(cnPlaceNotifier, event, stream),
                  HAMI_CALL(cnQueryNotifier, event), HAMI_CALL(cnNotifierElapsedTime, &ms, begin, end),
                  HAMI_CALL(cnDestroyNotifier, event), HAMI_CALL(cnQueueIsCapturing, stream, &status));
