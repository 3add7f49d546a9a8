/* As Python imports an extension: loads a plugin, and with it the driver, for nobody else to see, and runs it.
 * Arguments: the plugin, then its own. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int main(int argc, char **argv) {
  void *plugin = argc < 2 ? NULL : dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  void *run = plugin == NULL ? NULL : dlsym(plugin, "main");
  if (run == NULL) {
    fprintf(stderr, "%s\n", argc < 2 ? "want a plugin" : dlerror());
    return 2;
  }
  return ((int (*)(int, char **))(uintptr_t)run)(argc - 1, argv + 1);
}
