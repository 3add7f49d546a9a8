/* Launches wait for the share of device time. Run inside a share of 30 percent. */
#include <stdbool.h>

#include "ascend/api.h"
#include "fake/card/card.h"
#include "tests/core/check.h"
#include "tests/interpose/pacing.h"

/* By both the older way and the one that ACL takes now, in turns. */
static int launch(const uint64_t *duration_ns) {
  static bool newer;
  newer = !newer;
  return newer ? rtsLaunchKernelWithHostArgs((void *)(uintptr_t)duration_ns, 7, NULL, NULL, (void *)0x1234, 8, NULL, 9)
               : rtKernelLaunch(duration_ns, 1, NULL, 0, NULL, NULL);
}

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
