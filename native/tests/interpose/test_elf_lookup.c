/* Functions of the C library are found as the loader finds them, whichever hash table the library has. */
#include <dlfcn.h>
#include <stdint.h>

#include "../core/check.h"
#include "interpose/elf_lookup.h"

static void functions_are_found_where_the_loader_finds_them(void) {
  static const char *const names[] = {"dlsym", "dlopen", "dlvsym", "getpid", "printf", "strtoull", "pthread_create"};
  void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD); /* a sanitizer's functions come before its own */
  CHECK(libc != NULL);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    void *known = dlsym(libc, names[i]);
    CHECK(known != NULL);
    CHECK(hami_elf_find_in_libc(names[i]) == known);
  }
}

static void what_is_no_function_is_not_found(void) {
  CHECK(hami_elf_find_in_libc("no_function_has_this_name") == NULL);
  CHECK(hami_elf_find_in_libc("") == NULL);
  CHECK(hami_elf_find_in_libc("environ") == NULL);
}

static void both_kinds_of_hash_table_are_read(const char *library, const char *name, const char *absent) {
  CHECK(hami_elf_find_in_libc(name) == NULL);
  void *opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  CHECK(opened != NULL);
  CHECK(dlsym(opened, name) != NULL);
  CHECK(hami_elf_find_in_libc(name) == dlsym(opened, name));
  CHECK(hami_elf_find_in_libc(absent) == NULL);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  functions_are_found_where_the_loader_finds_them();
  what_is_no_function_is_not_found();
  both_kinds_of_hash_table_are_read(argv[1], "known_to_gnu", "known_to_gnu_no_more");
  both_kinds_of_hash_table_are_read(argv[2], "known_to_sysv", "known_to_sysv_no_more");
  return 0;
}
