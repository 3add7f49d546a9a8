#include "real.h"

#include <dlfcn.h>

#include "elf_lookup.h"

#define MAX_APIS 4

typedef void *(*dlopen_function)(const char *, int);
typedef void *(*dlsym_function)(void *, const char *);
typedef void *(*dlvsym_function)(void *, const char *, const char *);

void *hami_real_dlsym;
void *hami_real_dlvsym;

static void *real_dlopen;
static bool bound[MAX_APIS];
static __thread bool binding __attribute__((tls_model("initial-exec")));

bool hami_real_init_loader(void) {
  /* Racing threads find the same addresses, so a second store changes nothing. dlsym is stored last: it is the flag. */
  if (__atomic_load_n(&hami_real_dlsym, __ATOMIC_ACQUIRE) != NULL) {
    return true;
  }
  void *found = hami_elf_find_in_libc("dlsym");
  __atomic_store_n(&real_dlopen, hami_elf_find_in_libc("dlopen"), __ATOMIC_RELAXED);
  __atomic_store_n(&hami_real_dlvsym, hami_elf_find_in_libc("dlvsym"), __ATOMIC_RELAXED);
  __atomic_store_n(&hami_real_dlsym, found, __ATOMIC_RELEASE);
  return found != NULL;
}

/* Another thread may be storing the same address just now. */
static uintptr_t loader_function(void *const *address) { return (uintptr_t)__atomic_load_n(address, __ATOMIC_RELAXED); }

void *hami_real_call_dlsym(void *handle, const char *name) {
  return ((dlsym_function)loader_function(&hami_real_dlsym))(handle, name);
}

void *hami_real_call_dlvsym(void *handle, const char *name, const char *version) {
  return ((dlvsym_function)loader_function(&hami_real_dlvsym))(handle, name, version);
}

bool hami_real_binding(void) { return binding; }

static void resolve(int api, void *library) {
  for (int i = 0; i < hami_vendor.function_count; i++) {
    if (hami_functions[i].api == api) {
      /* An older driver lacks newer names; their wrappers are never reached through it. */
      __atomic_store_n(&hami_reals[i], hami_real_call_dlsym(library, hami_functions[i].name), __ATOMIC_RELEASE);
    }
  }
}

/* The first of several names that opens, one already in the process before any other. The handle is kept for the life
 * of the process: callers hold pointers into the driver by then. */
static void *open_first(const char *const *names, int flags) {
  dlopen_function open = (dlopen_function)loader_function(&real_dlopen);
  for (int loaded_only = 1; loaded_only >= 0; loaded_only--) {
    for (const char *const *name = names; *name != NULL; name++) {
      void *library = open(*name, loaded_only ? flags | RTLD_NOLOAD : flags);
      if (library != NULL) {
        return library;
      }
    }
  }
  return NULL;
}

/*
 * No lock: dlopen takes the loader's, and a thread that holds the loader's lock while it runs a constructor may come
 * here too, so a lock of ours around dlopen could deadlock. Racing threads store the same addresses.
 */
static bool bind_with(int api, int extra_flags) {
  if (__atomic_load_n(&bound[api], __ATOMIC_ACQUIRE)) {
    return true;
  }
  if (binding || !hami_real_init_loader() || loader_function(&real_dlopen) == 0) {
    return false;
  }
  binding = true;
  void *library = open_first(hami_vendor.libraries[api], RTLD_NOW | RTLD_LOCAL | extra_flags);
  if (library != NULL) {
    resolve(api, library);
    __atomic_store_n(&bound[api], true, __ATOMIC_RELEASE);
  }
  binding = false;
  return library != NULL;
}

bool hami_real_bind_loaded(int api) { return bind_with(api, RTLD_NOLOAD); }

bool hami_real_bind(int api) { return bind_with(api, 0); }

void *hami_real_find(int function) {
  if (!hami_real_bind(hami_functions[function].api)) {
    return NULL;
  }
  return __atomic_load_n(&hami_reals[function], __ATOMIC_ACQUIRE);
}
