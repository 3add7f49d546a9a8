/* Launches wait for the share of device time; without a call that tells of captures too. Arguments:
 * tests/interpose/pacing.h. */
#include "tests/interpose/pacing.h"

#include "mthreads/api.h"
#include "tests/core/check.h"

MUresult muCtxSynchronize(void);

static int launch(const uint64_t *duration_ns) {
  MUfunction kernel = (MUfunction)(uintptr_t)duration_ns;
  return muLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
}

static void synchronise(void) { CHECK_EQUAL(MUSA_SUCCESS, muCtxSynchronize()); }

int main(int argc, char **argv) {
  static const struct pacing_vendor vendor = {.launch = launch, .synchronise = synchronise};
  return pacing_load(argc, argv, &vendor);
}
