/*
 * Every way to look a function up in a driver that came in as a plugin's private import leads to the wrapper; what is
 * not wrapped, and what the driver lacks, is answered as without the library. Arguments: file of the driver's double,
 * a wrapped function, a function that is not, and a symbol version of the first or "-".
 */
#include <dlfcn.h>
#include <stdbool.h>

#include "tests/core/check.h"

static bool in_wrapper(const void *address) {
  Dl_info info;
  return address != NULL && dladdr(address, &info) != 0 && strstr(info.dli_fname, "libhami_") != NULL;
}

int main(int argc, char **argv) {
  CHECK_EQUAL(5, argc);
  const char *wrapped = argv[2];
  const char *other = argv[3];
  CHECK(dlsym(RTLD_DEFAULT, wrapped) == NULL); /* no driver in the process yet: nothing there */
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  CHECK(library != NULL);
  CHECK(in_wrapper(dlsym(library, wrapped)));
  CHECK(in_wrapper(dlsym(library, wrapped))); /* and again */
  CHECK(in_wrapper(dlsym(RTLD_DEFAULT, wrapped)));
  void *plain = dlsym(library, other);
  CHECK(plain != NULL && !in_wrapper(plain));
  CHECK(dlsym(library, "no_such_function_anywhere") == NULL);
  CHECK(dlerror() != NULL);
  if (strcmp(argv[4], "-") != 0) {
    CHECK(in_wrapper(dlvsym(library, wrapped, argv[4])));
    CHECK(dlvsym(library, wrapped, "NO_SUCH_VERSION") == NULL);
  }
  void *seen_by_the_same_loader = dlopen(argv[1], RTLD_LAZY | RTLD_NOLOAD);
  CHECK(seen_by_the_same_loader != NULL);
  CHECK(in_wrapper(dlsym(seen_by_the_same_loader, wrapped)));
  return 0;
}
