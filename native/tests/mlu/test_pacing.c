/* Launches wait for the share of device time, also those that reach the driver by its table. Run inside 30 percent. */
#include <stdbool.h>

#include "fake/card/card.h"
#include "mlu/api.h"
#include "tests/core/check.h"
#include "tests/interpose/pacing.h"

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

static void synchronise(void) {
  CNnotifier notifier = NULL;
  CHECK_EQUAL(CN_SUCCESS, cnCreateNotifier(&notifier, 0));
  CHECK_EQUAL(CN_SUCCESS, cnPlaceNotifier(notifier, NULL));
  while (cnQueryNotifier(notifier) != CN_SUCCESS) {
  }
  CHECK_EQUAL(CN_SUCCESS, cnDestroyNotifier(notifier));
}

int main(void) {
  pacing_check(launch, synchronise);
  CHECK(cnInvokeKernel(NULL, 1, 1, 1, 4, 0, NULL, NULL, NULL) != CN_SUCCESS); /* the driver's own answer */
  return 0;
}
