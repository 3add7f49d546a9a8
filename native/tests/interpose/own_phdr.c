/*
 * A program with a dl_iterate_phdr of its own, which asks dlsym for the C library's the first time it is called, as
 * programs do that make exceptions fast. Prints whether it saw the objects it is made of.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>

typedef int (*visitor)(struct dl_phdr_info *object, size_t size, void *data);

int dl_iterate_phdr(visitor visit, void *data) {
  static int (*original)(visitor, void *);
  if (original == NULL) {
    original = (int (*)(visitor, void *))(uintptr_t)dlsym(RTLD_NEXT, "dl_iterate_phdr");
  }
  return original == NULL ? -1 : original(visit, data);
}

static int count(struct dl_phdr_info *object, size_t size, void *data) {
  (void)object;
  (void)size;
  ++*(int *)data;
  return 0;
}

int main(void) {
  int objects = 0;
  int answer = dl_iterate_phdr(count, &objects);
  printf("%d %s\n", answer, objects > 1 ? "several" : "none");
  return 0;
}
