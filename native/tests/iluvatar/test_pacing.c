/* Launches wait for the share of device time over a driver that lacks most of CUDA's calls. Arguments:
 * tests/interpose/pacing.h. */
#include "tests/interpose/pacing.h"

#include "nvidia/src/vendor.h"

#include "tests/core/check.h"

static int launch(const uint64_t *duration_ns) {
  CUfunction kernel = (CUfunction)(uintptr_t)duration_ns;
  return (int)cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
}

static void synchronise(void) { CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize()); }

int main(int argc, char **argv) {
  static const struct pacing_vendor vendor = {.launch = launch, .synchronise = synchronise};
  return pacing_load(argc, argv, &vendor);
}
