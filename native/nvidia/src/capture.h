/* Whether a stream is recording a graph. While it is, calls on it do nothing now: no charge, no pacing, no events. */
#ifndef HAMI_NVIDIA_CAPTURE_H
#define HAMI_NVIDIA_CAPTURE_H

#include <stdbool.h>

#include "real.h"

/* The legacy stream cannot be captured and the query is an error on it while another stream captures: nothing to ask.
 * A driver without the query has no capture. */
static inline bool hami_capture_active(CUstream stream, bool per_thread) {
  if (stream == CU_STREAM_LEGACY || (stream == NULL && !per_thread)) {
    return false;
  }
  __typeof__(&cuStreamIsCapturing) ask =
      per_thread ? HAMI_REAL(cuStreamIsCapturing_ptsz) : HAMI_REAL(cuStreamIsCapturing);
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  return ask != NULL && ask(stream, &status) == CUDA_SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* Creating and asking events, and allocating, is refused to all threads while any thread captures in global mode; a
 * thread may say that it knows what it does. Called a second time with the same `mode` it goes back to what was. */
static inline void hami_capture_exchange_mode(CUstreamCaptureMode *mode) {
  __typeof__(&cuThreadExchangeStreamCaptureMode) exchange = HAMI_REAL(cuThreadExchangeStreamCaptureMode);
  if (exchange != NULL) {
    (void)exchange(mode);
  }
}

#endif
