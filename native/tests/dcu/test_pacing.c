/* Launches wait for the share of device time, and arguments by value survive. Arguments: tests/interpose/pacing.h. */
#include "tests/interpose/pacing.h"

#include "dcu/api.h"
#include "tests/core/check.h"

hipError_t hipDeviceSynchronize(void);

static int launch(const uint64_t *duration_ns) {
  return hipLaunchKernel(duration_ns, (dim3){7, 8, 9}, (dim3){10, 11, 12}, NULL, 13, NULL);
}

static void synchronise(void) { CHECK_EQUAL(hipSuccess, hipDeviceSynchronize()); }

int main(int argc, char **argv) {
  static const struct pacing_vendor vendor = {.launch = launch, .synchronise = synchronise};
  return pacing_load(argc, argv, &vendor);
}
