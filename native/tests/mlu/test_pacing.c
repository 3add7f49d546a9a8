/* Launches wait for the share of device time, also those that reach the driver by its table. Arguments:
 * tests/interpose/pacing.h. */
#include "tests/interpose/pacing.h"

#include <stdbool.h>

#include "mlu/api.h"
#include "tests/core/check.h"

typedef CNresult (*invoke_function)(CNkernel, unsigned int, unsigned int, unsigned int, KernelClass, unsigned int,
                                    CNqueue, void **, void **);

static invoke_function by_table(void) {
  const void *function = NULL;
  CHECK_EQUAL(CN_SUCCESS, cnGetExportFunction("cnInvokeKernel", &function));
  return (invoke_function)(uintptr_t)function;
}

static int launch(const uint64_t *duration_ns) {
  static bool directly;
  directly = !directly;
  invoke_function invoke = directly ? cnInvokeKernel : by_table();
  return invoke((CNkernel)(uintptr_t)duration_ns, 4, 1, 1, 4, 0, NULL, NULL, NULL);
}

static void synchronise(void) { CHECK_EQUAL(CN_SUCCESS, cnQueueSync(NULL)); }

int main(int argc, char **argv) {
  static const struct pacing_vendor vendor = {.launch = launch, .synchronise = synchronise};
  return pacing_load(argc, argv, &vendor);
}
