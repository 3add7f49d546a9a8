/*
 * The driver's own functions: finds the real libraries without linking them and keeps their addresses.
 * Binding happens once per library, on first need, without a lock.
 */
#ifndef HAMI_NVIDIA_REAL_H
#define HAMI_NVIDIA_REAL_H

#include <stdbool.h>

#include "functions.h"
#include "vendor.h"

/* Addresses by enum hami_function; NULL before binding and where the driver lacks the name. */
extern void *hami_reals[HAMI_FUNCTION_COUNT];

/* The C library's dlsym and dlvsym, for the trampolines; set by hami_real_init_loader. */
extern void *hami_real_dlsym;
extern void *hami_real_dlvsym;

/* Finds the loader's functions. Idempotent, cheap after the first call. False when libc has none (static program). */
bool hami_real_init_loader(void);

/* dlsym and dlvsym as the C library has them, called from this library. */
void *hami_real_call_dlsym(void *handle, const char *name);
void *hami_real_call_dlvsym(void *handle, const char *name, const char *version);

/* Binds `api` if its library is in the process already; never loads it. */
bool hami_real_bind_loaded(enum hami_api api);

/* Binds `api`, loading its library if need be. False when the machine has none. */
bool hami_real_bind(enum hami_api api);

/* Address of one function, binding on first use; NULL when the driver lacks it. */
void *hami_real_find(enum hami_function function);

/* True while this thread is inside the binder, whose dlopen may run constructors that look symbols up. */
bool hami_real_binding(void);

static inline void *hami_real(enum hami_function function) {
  void *address = __atomic_load_n(&hami_reals[function], __ATOMIC_ACQUIRE);
  return __builtin_expect(address != NULL, 1) ? address : hami_real_find(function);
}

/* The driver's function with its exact type, or NULL: HAMI_REAL(cuMemAlloc_v2)(&pointer, bytes). */
#define HAMI_REAL(name) ((__typeof__(&(name)))(uintptr_t)hami_real(HAMI_FUNCTION_##name))

#endif
