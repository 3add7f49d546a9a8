/*
 * The driver's own functions: finds the real libraries without linking them and keeps their addresses.
 * Binding happens once per library, on first need, without a lock.
 */
#ifndef HAMI_INTERPOSE_REAL_H
#define HAMI_INTERPOSE_REAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "functions.h"
#include "vendor.h"

/* The C library's dlsym and dlvsym, for the trampolines; set by hami_real_init_loader. */
extern void *hami_real_dlsym;
extern void *hami_real_dlvsym;

/* Finds the loader's functions. Idempotent, cheap after the first call. False when libc has none (static program). */
bool hami_real_init_loader(void);

/* dlsym and dlvsym as the C library has them, called from this library. */
void *hami_real_call_dlsym(void *handle, const char *name);
void *hami_real_call_dlvsym(void *handle, const char *name, const char *version);

/* Binds an API if its library is in the process already; never loads it. */
bool hami_real_bind_loaded(int api);

/* Binds an API, loading its library if need be. False when the machine has none. */
bool hami_real_bind(int api);

/* Address of one function, binding on first use; NULL when the driver lacks it. */
void *hami_real_find(int function);

/* True while this thread is inside the binder, whose dlopen may run constructors that look symbols up. */
bool hami_real_binding(void);

static inline void *hami_real(int function) {
  void *address = __atomic_load_n(&hami_reals[function], __ATOMIC_ACQUIRE);
  return __builtin_expect(address != NULL, 1) ? address : hami_real_find(function);
}

/* The driver's function with its exact type, or NULL: HAMI_REAL(cuMemAlloc_v2)(&pointer, bytes). */
#define HAMI_REAL(name) ((__typeof__(&(name)))(uintptr_t)hami_real(HAMI_FUNCTION_##name))

#endif
