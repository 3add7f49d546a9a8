/* Launches wait for the share of device time. Arguments: tests/interpose/pacing.h. */
#include "tests/interpose/pacing.h"

#include <stdbool.h>

#include "ascend/api.h"
#include "tests/core/check.h"

/* By both the older way and the one that ACL takes now, in turns. */
static int launch(const uint64_t *duration_ns) {
  static bool newer;
  newer = !newer;
  return newer ? rtsLaunchKernelWithHostArgs((void *)(uintptr_t)duration_ns, 7, NULL, NULL, (void *)0x1234, 8, NULL, 9)
               : rtKernelLaunch(duration_ns, 1, NULL, 0, NULL, NULL);
}

static void synchronise(void) { CHECK_EQUAL(RT_ERROR_NONE, rtStreamSynchronize(NULL)); }

int main(int argc, char **argv) {
  static const struct pacing_vendor vendor = {.launch = launch, .synchronise = synchronise};
  return pacing_load(argc, argv, &vendor);
}
