/* Synchronising: pools give unused memory back to the device then, so what they cost is read anew; launches have
 * finished, and what they took has been taken. */
#include "deferred.h"
#include "growth.h"
#include "hook.h"
#include "pace.h"
#include "pools.h"

/* The end of every wrapper here. `whole` is true where all of a context's work is over, so that giving memory back
 * waits for nothing. */
#define SYNCHRONISE(whole, ...)                                                                                        \
  do {                                                                                                                 \
    CUresult result = real(__VA_ARGS__);                                                                               \
    if (whole) {                                                                                                       \
      (void)hami_deferred_poll();                                                                                      \
    }                                                                                                                  \
    hami_pace_settle();                                                                                                \
    (void)hami_pools_refresh();                                                                                        \
    hami_growth_check();                                                                                               \
    HAMI_LEAVE(result);                                                                                                \
  } while (0)

CUresult cuCtxSynchronize(void) {
  HAMI_CUDA_ENTER(cuCtxSynchronize);
  SYNCHRONISE(true);
}

CUresult cuCtxSynchronize_v2(CUcontext ctx) {
  HAMI_CUDA_ENTER(cuCtxSynchronize_v2, ctx);
  SYNCHRONISE(true, ctx);
}

CUresult cuEventSynchronize(CUevent hEvent) {
  HAMI_CUDA_ENTER(cuEventSynchronize, hEvent);
  SYNCHRONISE(false, hEvent);
}

CUresult cuStreamSynchronize(CUstream hStream) {
  HAMI_CUDA_ENTER(cuStreamSynchronize, hStream);
  SYNCHRONISE(false, hStream);
}

CUresult cuStreamSynchronize_ptsz(CUstream hStream) {
  HAMI_CUDA_ENTER(cuStreamSynchronize_ptsz, hStream);
  SYNCHRONISE(false, hStream);
}
