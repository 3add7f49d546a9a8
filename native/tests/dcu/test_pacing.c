/* Launches wait for the share of device time, and arguments by value survive. Run inside a share of 30 percent. */
#include "dcu/api.h"
#include "fake/card/card.h"
#include "tests/core/check.h"
#include "tests/interpose/pacing.h"

static int launch(const uint64_t *duration_ns) {
  return hipLaunchKernel(duration_ns, (dim3){7, 8, 9}, (dim3){10, 11, 12}, NULL, 13, NULL);
}

static void synchronise(void) {
  hipEvent_t event = NULL;
  CHECK_EQUAL(hipSuccess, hipEventCreate(&event));
  CHECK_EQUAL(hipSuccess, hipEventRecord(event, NULL));
  while (hipEventQuery(event) != hipSuccess) {
  }
  CHECK_EQUAL(hipSuccess, hipEventDestroy(event));
}

int main(void) {
  pacing_check(launch, synchronise);
  return 0;
}
