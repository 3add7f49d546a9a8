/*
 * What the exported dlsym and dlvsym of a sanitizer's build ask first. The sanitizer's runtime looks its own functions
 * up by them before it is ready for instrumented code and for calls of what it stands in for. So names that no vendor
 * has are passed on here, and this file and elf_lookup.c are built without the sanitizer; a vendor's names, which
 * programs look up long after, take the way that is shipped.
 */
#include <stdbool.h>
#include <stddef.h>

#include "elf_lookup.h"
#include "symbol_lookup.h"
#include "vendor.h"

void *hami_early_real_dlsym;
void *hami_early_real_dlvsym;

struct hami_lookup hami_early_dlsym(void *handle, const char *name);
struct hami_lookup hami_early_dlvsym(void *handle, const char *name, const char *version);

static bool starts_with(const char *text, const char *prefix) {
  while (*prefix != '\0' && *text == *prefix) {
    text++;
    prefix++;
  }
  return *prefix == '\0';
}

/* All vendors write their functions so; the C library's munmap, which a vendor's prefix fits too, is not written so. */
static bool has_capital(const char *name) {
  while (*name != '\0' && (*name < 'A' || *name > 'Z')) {
    name++;
  }
  return *name != '\0';
}

static bool is_a_vendors(const char *name) {
  if (hami_early_real_dlsym == NULL) {
    hami_early_real_dlvsym = hami_elf_find_in_libc("dlvsym");
    hami_early_real_dlsym = hami_elf_find_in_libc("dlsym");
  }
  for (const char *const *prefix = hami_vendor.prefixes; name != NULL && *prefix != NULL; prefix++) {
    if (starts_with(name, *prefix) && has_capital(name)) {
      return true;
    }
  }
  return false;
}

static const struct hami_lookup not_ours = {NULL, 0};

struct hami_lookup hami_early_dlsym(void *handle, const char *name) {
  return is_a_vendors(name) ? hami_lookup_dlsym(handle, name) : not_ours;
}

struct hami_lookup hami_early_dlvsym(void *handle, const char *name, const char *version) {
  return is_a_vendors(name) ? hami_lookup_dlvsym(handle, name, version) : not_ours;
}
