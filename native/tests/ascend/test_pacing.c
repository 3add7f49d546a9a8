/* Launches wait for the share of device time. Run inside a share of 30 percent. */
#include "ascend/api.h"
#include "fake/card/card.h"
#include "tests/core/check.h"
#include "tests/interpose/pacing.h"

static int launch(const uint64_t *duration_ns) { return rtKernelLaunch(duration_ns, 1, NULL, 0, NULL, NULL); }

static void synchronise(void) {
  rtEvent_t event = NULL;
  CHECK_EQUAL(RT_ERROR_NONE, rtEventCreate(&event));
  CHECK_EQUAL(RT_ERROR_NONE, rtEventRecord(event, NULL));
  while (rtEventQuery(event) != RT_ERROR_NONE) {
  }
  CHECK_EQUAL(RT_ERROR_NONE, rtEventDestroy(event));
}

int main(void) {
  pacing_check(launch, synchronise);
  CHECK(rtKernelLaunch(NULL, 1, NULL, 0, NULL, NULL) != RT_ERROR_NONE); /* the driver's own answer */
  return 0;
}
