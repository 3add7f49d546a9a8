#include "elf_lookup.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wanted {
  const char *name;
  uint32_t gnu_hash;
  uint32_t sysv_hash;
};

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

static uint32_t hash_for_gnu(const char *name) {
  uint32_t hash = 5381;
  for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++) {
    hash = hash * 33 + *at;
  }
  return hash;
}

static uint32_t hash_for_sysv(const char *name) {
  uint32_t hash = 0;
  for (const unsigned char *at = (const unsigned char *)name; *at != '\0'; at++) {
    hash = (hash << 4) + *at;
    hash ^= (hash >> 24) & 0xf0U;
    hash &= 0x0fffffffU;
  }
  return hash;
}

static bool is_function(const struct tables *tables, uint32_t index, const char *name) {
  const ElfW(Sym) *symbol = &tables->symbols[index];
  /* ELF32_ST_TYPE and ELF64_ST_TYPE are the same four bits. */
  return symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
         same(tables->strings + symbol->st_name, name);
}

/* Header, Bloom filter, buckets, then a chain of hashes whose lowest bit ends it. 0: not there. */
static uint32_t find_by_gnu_hash(const struct tables *tables, const struct wanted *wanted) {
  const uint32_t *table = tables->gnu_hash;
  uint32_t bucket_count = table[0];
  uint32_t first_symbol = table[1];
  size_t filter_words = (size_t)table[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
  const uint32_t *buckets = table + 4 + filter_words;
  const uint32_t *chains = buckets + bucket_count;
  uint32_t index = bucket_count == 0 ? 0 : buckets[wanted->gnu_hash % bucket_count];
  while (index >= first_symbol && index != 0) {
    uint32_t hash = chains[index - first_symbol];
    if ((hash | 1U) == (wanted->gnu_hash | 1U) && is_function(tables, index, wanted->name)) {
      return index;
    }
    index = (hash & 1U) != 0 ? 0 : index + 1;
  }
  return 0;
}

/* Counts, buckets, then for each symbol the next one of its bucket. 0: not there. */
static uint32_t find_by_sysv_hash(const struct tables *tables, const struct wanted *wanted) {
  const ElfW(Word) *table = tables->sysv_hash;
  const ElfW(Word) *chains = table + 2 + table[0];
  uint32_t index = table[0] == 0 ? 0 : table[2 + wanted->sysv_hash % table[0]];
  while (index != 0 && !is_function(tables, index, wanted->name)) {
    index = chains[index];
  }
  return index;
}

static void *find(const struct link_map *object, const struct wanted *wanted) {
  struct tables tables;
  if (object->l_name == NULL || !is_libc(object->l_name) || !read_tables(object, &tables)) {
    return NULL;
  }
  uint32_t index = tables.gnu_hash != NULL ? find_by_gnu_hash(&tables, wanted) : find_by_sysv_hash(&tables, wanted);
  return index == 0 ? NULL : (void *)(object->l_addr + tables.symbols[index].st_value);
}

void *hami_elf_find_in_libc(const char *name) {
  const struct wanted wanted = {.name = name, .gnu_hash = hash_for_gnu(name), .sysv_hash = hash_for_sysv(name)};
  void *found = NULL;
  for (const struct link_map *object = _r_debug.r_map; object != NULL && found == NULL; object = object->l_next) {
    found = find(object, &wanted);
  }
  return found;
}
