#include "elf_lookup.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct search {
  const char *name;
  void *found;
};

struct tables {
  const ElfW(Sym) * symbols;
  const char *strings;
  const uint32_t *gnu_hash;
  const ElfW(Word) * sysv_hash;
};

static bool is_libc(const char *path) {
  const char *slash = path == NULL ? NULL : strrchr(path, '/');
  const char *file = slash == NULL ? path : slash + 1;
  return file != NULL && (strncmp(file, "libc.so.", 8) == 0 || strncmp(file, "libdl.so.", 9) == 0);
}

/* glibc relocates these pointers in place on most machines and leaves them as offsets on some. */
static const void *dynamic_address(const struct dl_phdr_info *object, ElfW(Addr) value) {
  return (const void *)(value < object->dlpi_addr ? object->dlpi_addr + value : value);
}

static bool read_tables(const struct dl_phdr_info *object, struct tables *tables) {
  memset(tables, 0, sizeof *tables);
  for (ElfW(Half) i = 0; i < object->dlpi_phnum; i++) {
    if (object->dlpi_phdr[i].p_type != PT_DYNAMIC) {
      continue;
    }
    const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; entry++) {
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

static int visit(struct dl_phdr_info *object, size_t size, void *data) {
  (void)size;
  struct search *search = data;
  struct tables tables;
  if (!is_libc(object->dlpi_name) || !read_tables(object, &tables)) {
    return 0;
  }
  uint32_t count = symbol_count(&tables);
  for (uint32_t i = 0; i < count; i++) {
    const ElfW(Sym) *symbol = &tables.symbols[i];
    /* ELF32_ST_TYPE and ELF64_ST_TYPE are the same four bits. */
    if (symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
        strcmp(tables.strings + symbol->st_name, search->name) == 0) {
      search->found = (void *)(object->dlpi_addr + symbol->st_value);
      return 1;
    }
  }
  return 0;
}

void *hami_elf_find_in_libc(const char *name) {
  struct search search = {.name = name, .found = NULL};
  (void)dl_iterate_phdr(visit, &search);
  return search.found;
}
