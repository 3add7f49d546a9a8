#include "symbol_lookup.h"

#include <dlfcn.h>
#include <string.h>

#include "guard.h"
#include "real.h"
#include "session.h"

static const struct hami_lookup not_ours = {NULL, 0};

static struct hami_lookup answer(void *result) { return (struct hami_lookup){result, 1}; }

static void *wrapper_of(int hook) { return (void *)(uintptr_t)hami_functions[hook].wrapper; }

static void *ask_libc(void *handle, const char *name, const char *version) {
  return version == NULL ? hami_real_call_dlsym(handle, name) : hami_real_call_dlvsym(handle, name, version);
}

static bool has_prefix(const char *name) {
  for (const char *const *prefix = hami_vendor.prefixes; *prefix != NULL; prefix++) {
    if (strncmp(name, *prefix, strlen(*prefix)) == 0) {
      return true;
    }
  }
  return false;
}

/* Whether a name deserves more than a jump to the C library. Decided by the name alone, so it costs little. */
static int hook_for(const char *name) {
  if (name == NULL || !has_prefix(name)) {
    return -1;
  }
  /* The driver's own lookups, and those of constructors it runs, must see the driver. */
  if (hami_guard_inside() || hami_real_binding()) {
    return -1;
  }
  int hook = hami_functions_find_hook(name);
  return hook >= 0 && hami_session_configured() ? hook : -1;
}

static struct hami_lookup lookup(void *handle, const char *name, const char *version) {
  int hook = hook_for(name);
  if (hook < 0) {
    return not_ours;
  }
  /* Binding first: a lookup that succeeds must be the last call into the loader, or dlerror reports ours. */
  bool driver_has_it =
      hami_real_bind_loaded(hami_functions[hook].api) && __atomic_load_n(&hami_reals[hook], __ATOMIC_ACQUIRE) != NULL;
  void *found = ask_libc(handle, name, version);
  if (found == wrapper_of(hook)) {
    /* Only this library's own export matched. It stands for the driver's; without the driver there is nothing. */
    return answer(driver_has_it ? found : ask_libc(RTLD_NEXT, name, version));
  }
  if (driver_has_it && found == hami_reals[hook]) {
    return answer(wrapper_of(hook));
  }
  /* Somebody else's function of that name (a test stub, another interposer), or none: theirs to have. What comes next
   * depends on who asks, and from here it was this library: only the caller can ask that. */
  return handle == RTLD_NEXT ? not_ours : answer(found);
}

struct hami_lookup hami_lookup_dlsym(void *handle, const char *name) {
  if (!hami_real_init_loader()) {
    return answer(NULL);
  }
  return lookup(handle, name, NULL);
}

struct hami_lookup hami_lookup_dlvsym(void *handle, const char *name, const char *version) {
  if (!hami_real_init_loader() || __atomic_load_n(&hami_real_dlvsym, __ATOMIC_RELAXED) == NULL) {
    return answer(NULL);
  }
  return version == NULL ? not_ours : lookup(handle, name, version);
}

void *hami_lookup_substitute(const char *name, void *found) {
  if (name == NULL || found == NULL || hami_guard_inside() || !hami_session_configured()) {
    return found;
  }
  int hook = hami_functions_find_hook(name);
  return hook >= 0 && hami_real(hook) != NULL ? wrapper_of(hook) : found;
}

void *hami_lookup_substitute_address(void *found) {
  if (found == NULL || hami_guard_inside() || !hami_session_configured()) {
    return found;
  }
  for (int hook = 0; hook < hami_vendor.hook_count; hook++) {
    if (hami_real(hook) == found) {
      return wrapper_of(hook);
    }
  }
  return found;
}
