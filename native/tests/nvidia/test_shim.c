/* RTLD_NEXT means "after the caller", also for a plugin whose driver only the plugin can see. Argument: the plugin. */
#include <dlfcn.h>

#include "tests/core/check.h"

int main(int argc, char **argv) {
  CHECK_EQUAL(2, argc);
  void *shim = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  CHECK(shim != NULL);
  void *(*next)(const char *) = (void *(*)(const char *))(uintptr_t)dlsym(shim, "shim_next");
  CHECK(next != NULL);
  CHECK(next("cuMemAlloc_v2") != NULL);
  CHECK(next("cuMemHostAlloc") != NULL);
  CHECK(next("cuNoSuchFunction") == NULL);
  return 0;
}
