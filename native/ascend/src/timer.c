#include "timer.h"

#include "api.h"
#include "hami_table.h"
#include "interpose/real.h"

#define NS_PER_MS 1e6F

static void drop(void *event) {
  __typeof__(&rtEventDestroy) destroy = HAMI_REAL(rtEventDestroy);
  if (destroy != NULL) {
    (void)destroy(event);
  }
}

static void *mark(void *stream) {
  __typeof__(&rtEventCreate) create = HAMI_REAL(rtEventCreate);
  __typeof__(&rtEventRecord) record = HAMI_REAL(rtEventRecord);
  rtEvent_t event = NULL;
  if (create == NULL || record == NULL || create(&event) != RT_ERROR_NONE) {
    return NULL;
  }
  if (record(event, stream) != RT_ERROR_NONE) {
    drop(event);
    return NULL;
  }
  return event;
}

static bool reached(void *event) {
  __typeof__(&rtEventQuery) query = HAMI_REAL(rtEventQuery);
  return query != NULL && query(event) == RT_ERROR_NONE;
}

static uint64_t between_ns(void *begin, void *end) {
  __typeof__(&rtEventElapsedTime) elapsed = HAMI_REAL(rtEventElapsedTime);
  float ms = 0;
  return elapsed != NULL && elapsed(&ms, begin, end) == RT_ERROR_NONE && ms > 0 ? (uint64_t)(ms * NS_PER_MS) : 0;
}

static bool recording(void *stream) {
  __typeof__(&rtStreamGetCaptureInfo) get_info = HAMI_REAL(rtStreamGetCaptureInfo);
  int32_t status = 0;
  rtModel_t model = NULL;
  /* 0: none. The default stream cannot be captured. */
  return stream != NULL && get_info != NULL && get_info(stream, &status, &model) == RT_ERROR_NONE && status != 0;
}

const struct hami_timer hami_ascend_timer = {
    .mark = mark, .reached = reached, .between_ns = between_ns, .drop = drop, .recording = recording};
