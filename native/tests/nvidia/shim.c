/* A library that brings the driver with it, as a program's plugin would, and asks for what comes after itself. */
#include <dlfcn.h>

__attribute__((visibility("default"))) void *shim_next(const char *name);

void *shim_next(const char *name) {
  void *volatile found =
      dlsym(RTLD_NEXT, name); /* not as the last thing: the C library tells callers by where it returns */
  return found;
}
