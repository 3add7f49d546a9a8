/* Launches wait for the share of device time; without a call that tells of captures too. Share of 30 percent. */
#include "fake/card/card.h"
#include "mthreads/api.h"
#include "tests/core/check.h"
#include "tests/interpose/pacing.h"

static int launch(const uint64_t *duration_ns) {
  MUfunction kernel = (MUfunction)(uintptr_t)duration_ns;
  return muLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
}

static void synchronise(void) {
  MUevent event = NULL;
  CHECK_EQUAL(MUSA_SUCCESS, muEventCreate(&event, 0));
  CHECK_EQUAL(MUSA_SUCCESS, muEventRecord(event, NULL));
  while (muEventQuery(event) != MUSA_SUCCESS) {
  }
  CHECK_EQUAL(MUSA_SUCCESS, muEventDestroy_v2(event));
}

int main(void) {
  pacing_check(launch, synchronise);
  return 0;
}
