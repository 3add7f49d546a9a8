#include "elf_lookup.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tables {
  const ElfW(Sym) * symbols;
  const char *strings;
  const uint32_t *gnu_hash;
  const ElfW(Word) * sysv_hash;
};

/*
 * Whatever this file calls could be the program's own: a sanitizer's runtime, or a program with its own
 * dl_iterate_phdr, looks functions up before its versions of the C library's work. So it compares texts itself and
 * calls nothing.
 */
static bool starts_with(const char *text, const char *start) {
  while (*start != '\0' && *text == *start) {
    text++;
    start++;
  }
  return *start == '\0';
}

static bool same(const char *left, const char *right) {
  while (*left != '\0' && *left == *right) {
    left++;
    right++;
  }
  return *left == *right;
}

static bool is_libc(const char *path) {
  const char *file = path;
  for (const char *at = path; *at != '\0'; at++) {
    file = *at == '/' ? at + 1 : file;
  }
  return starts_with(file, "libc.so.") || starts_with(file, "libdl.so.");
}

/* glibc relocates these pointers in place on most machines and leaves them as offsets on some. */
static const void *dynamic_address(const struct link_map *object, ElfW(Addr) value) {
  return (const void *)(value < object->l_addr ? object->l_addr + value : value);
}

static bool read_tables(const struct link_map *object, struct tables *tables) {
  tables->symbols = NULL;
  tables->strings = NULL;
  tables->gnu_hash = NULL;
  tables->sysv_hash = NULL;
  for (const ElfW(Dyn) *entry = object->l_ld; entry->d_tag != DT_NULL; entry++) {
    const void *address = dynamic_address(object, entry->d_un.d_ptr);
    switch (entry->d_tag) {
    case DT_SYMTAB:
      tables->symbols = address;
      break;
    case DT_STRTAB:
      tables->strings = address;
      break;
    case DT_GNU_HASH:
      tables->gnu_hash = address;
      break;
    case DT_HASH:
      tables->sysv_hash = address;
      break;
    default:
      break;
    }
  }
  return tables->symbols != NULL && tables->strings != NULL && (tables->gnu_hash != NULL || tables->sysv_hash != NULL);
}

/* The dynamic section does not say how many symbols there are; the last hash chain does. */
static uint32_t symbol_count(const struct tables *tables) {
  if (tables->sysv_hash != NULL) {
    return tables->sysv_hash[1];
  }
  const uint32_t *hash = tables->gnu_hash;
  uint32_t bucket_count = hash[0];
  uint32_t first_symbol = hash[1];
  size_t bloom_words = (size_t)hash[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
  const uint32_t *buckets = hash + 4 + bloom_words;
  const uint32_t *chains = buckets + bucket_count;
  uint32_t last = 0;
  for (uint32_t i = 0; i < bucket_count; i++) {
    last = buckets[i] > last ? buckets[i] : last;
  }
  if (last < first_symbol) {
    return first_symbol;
  }
  while ((chains[last - first_symbol] & 1U) == 0) {
    last++;
  }
  return last + 1;
}

static void *find(const struct link_map *object, const char *name) {
  struct tables tables;
  if (object->l_name == NULL || !is_libc(object->l_name) || !read_tables(object, &tables)) {
    return NULL;
  }
  uint32_t count = symbol_count(&tables);
  for (uint32_t i = 0; i < count; i++) {
    const ElfW(Sym) *symbol = &tables.symbols[i];
    /* ELF32_ST_TYPE and ELF64_ST_TYPE are the same four bits. */
    if (symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
        same(tables.strings + symbol->st_name, name)) {
      return (void *)(object->l_addr + symbol->st_value);
    }
  }
  return NULL;
}

void *hami_elf_find_in_libc(const char *name) {
  void *found = NULL;
  for (const struct link_map *object = _r_debug.r_map; object != NULL && found == NULL; object = object->l_next) {
    found = find(object, name);
  }
  return found;
}
