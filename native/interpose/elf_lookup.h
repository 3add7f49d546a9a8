/*
 * Finds a function in the C library by reading the loaded object's own symbol table. This library exports dlsym and
 * dlvsym, so it can use neither to find the originals, and it must not link libdl, which glibc 2.34 emptied.
 */
#ifndef HAMI_INTERPOSE_ELF_LOOKUP_H
#define HAMI_INTERPOSE_ELF_LOOKUP_H

/* Address of function `name` in libc (or libdl, before glibc 2.34), or NULL. Takes no lock and calls nothing: the
 * objects a program starts with, libc among them, stay first in the loader's list and are never unloaded. */
void *hami_elf_find_in_libc(const char *name);

#endif
