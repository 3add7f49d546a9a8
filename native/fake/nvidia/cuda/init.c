#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "partitions.h"

struct fake_driver fake_driver;
pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;

static CUresult init_result = CUDA_ERROR_NOT_INITIALIZED;
static int initialised; /* published after everything it stands for */
static int forked;      /* a child of an initialised process: the driver does not work there */
static __thread const char *twin;

CUresult fake_status(void) {
  if (__builtin_expect(__atomic_load_n(&initialised, __ATOMIC_ACQUIRE) == 0, 0)) {
    return CUDA_ERROR_NOT_INITIALIZED;
  }
  return __builtin_expect(fake_inside_callback(), 0) ? CUDA_ERROR_NOT_PERMITTED : CUDA_SUCCESS;
}

const char *fake_twin_enter(const char *name) {
  const char *outer = twin;
  twin = name;
  return outer;
}

void fake_twin_leave(const char *outer) { twin = outer; }

bool fake_per_thread(void) { return twin != NULL; }

const char *fake_entry_name(const char *name) { return twin == NULL ? name : twin; }

static const void *library_of(const void *address) {
  Dl_info info;
  return dladdr(address, &info) != 0 ? info.dli_fbase : NULL;
}

/* What a driver looks up in itself while it is at work is its own: it may keep the address and call it at any time. */
static void look_self_up(const char *name) {
  Dl_info self;
  const void *own = library_of(&fake_driver);
  void *handle = dladdr(&fake_driver, &self) != 0 ? dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD) : NULL;
  void *found = handle != NULL ? dlsym(handle, name) : NULL;
  if (found != NULL && library_of(found) != own) {
    (void)fprintf(stderr, "the driver looked %s up in itself and got another library's\n", name);
    abort();
  }
  if (handle != NULL) {
    (void)dlclose(handle);
  }
}

void fake_call_self(const char *name) {
  static __thread bool inside;
  if (!fake_driver.self_calls || inside) {
    return;
  }
  inside = true;
  /* Calls without effect on the caller's state, of the kinds that real drivers make: what matters is who answers. */
  void *address = dlsym(RTLD_DEFAULT, name);
  if (address != NULL && strcmp(name, "cuCtxGetCurrent") == 0) {
    CUcontext context = NULL;
    ((CUresult (*)(CUcontext *))(uintptr_t)address)(&context);
  } else if (address != NULL && strcmp(name, "cuMemGetInfo_v2") == 0) {
    size_t free_bytes = 0;
    size_t total = 0;
    ((CUresult (*)(size_t *, size_t *))(uintptr_t)address)(&free_bytes, &total);
  } else if (address != NULL && strcmp(name, "cuMemAlloc_v2") == 0) {
    look_self_up(name);
    CUdeviceptr pointer = 0;
    void *release = dlsym(RTLD_DEFAULT, "cuMemFree_v2");
    if (((CUresult (*)(CUdeviceptr *, size_t))(uintptr_t)address)(&pointer, 1) == CUDA_SUCCESS && release != NULL) {
      ((CUresult (*)(CUdeviceptr))(uintptr_t)release)(pointer);
    }
  }
  inside = false;
}

static void in_child(void) {
  if (__atomic_load_n(&initialised, __ATOMIC_ACQUIRE)) {
    __atomic_store_n(&initialised, 0, __ATOMIC_RELEASE);
    forked = 1;
  }
}

static int unit_by_uuid(const struct fake_machine *machine, const char *uuid, size_t length) {
  for (int unit = 0; unit < machine->unit_count; unit++) {
    const struct fake_device *device = &machine->devices[machine->units[unit].device];
    int instance = machine->units[unit].instance;
    const char *known = instance < 0 ? device->uuid : device->instances[instance].uuid;
    if (length > 4 && strncmp(known, uuid, length) == 0) {
      return unit;
    }
  }
  return -1;
}

/* A card in MIG mode shows its first instance, as with real drivers: CUDA sees no whole card there. */
static int unit_of_card(const struct fake_machine *machine, int device) {
  const struct fake_device *card = &machine->devices[device];
  if (!card->mig_enabled) {
    return device;
  }
  return card->instance_count > 0 ? card->instances[0].unit : -1;
}

static int visible_unit(const struct fake_machine *machine, const char *word, size_t length) {
  if (length > 4 && (strncmp(word, "GPU-", 4) == 0 || strncmp(word, "MIG-", 4) == 0)) {
    int unit = unit_by_uuid(machine, word, length);
    return unit >= 0 && machine->units[unit].instance < 0 ? unit_of_card(machine, unit) : unit;
  }
  char *end = NULL;
  long index = strtol(word, &end, 10);
  bool whole = length > 0 && end == word + length && word[0] >= '0' && word[0] <= '9';
  return whole && index < machine->device_count ? unit_of_card(machine, (int)index) : -1;
}

/* CUDA_VISIBLE_DEVICES: indices, uuids or their prefixes; the first word that names nothing ends the list. */
static void choose_visible(struct fake_driver *driver) {
  const struct fake_machine *machine = driver->machine;
  const char *list = getenv("CUDA_VISIBLE_DEVICES");
  if (list == NULL) {
    for (int i = 0; i < machine->device_count; i++) {
      int unit = unit_of_card(machine, i);
      if (unit >= 0) {
        driver->units[driver->device_count++] = unit;
      }
    }
    return;
  }
  while (*list != '\0') {
    list += strspn(list, " ");
    size_t length = strcspn(list, ", ");
    int unit = visible_unit(machine, list, length);
    for (int i = 0; i < driver->device_count; i++) {
      unit = driver->units[i] == unit ? -1 : unit;
    }
    if (unit < 0 || driver->device_count == FAKE_MAX_UNITS) {
      return;
    }
    driver->units[driver->device_count++] = unit;
    list += length;
    list += strspn(list, " ");
    list += *list == ',';
  }
}

static uint64_t configured_granularity(void) {
  const char *text = getenv("HAMI_FAKE_GRANULARITY");
  if (text == NULL || text[0] == '\0' || strcmp(text, "512") == 0) {
    return FAKE_SMALL_BYTES;
  }
  if (strcmp(text, "2097152") != 0) {
    fprintf(stderr, "hami fake driver: HAMI_FAKE_GRANULARITY must be 512 or 2097152; got '%s', using 512\n", text);
    return FAKE_SMALL_BYTES;
  }
  return FAKE_CHUNK_BYTES;
}

static CUresult initialise(void) {
  switch (fake_machine_load(&fake_driver.machine)) {
  case FAKE_MACHINE_READY:
    break;
  case FAKE_MACHINE_NONE:
    return CUDA_ERROR_NO_DEVICE;
  case FAKE_MACHINE_BROKEN:
  default:
    return CUDA_ERROR_UNKNOWN;
  }
  const char *self_calls = getenv("HAMI_FAKE_SELF_CALLS");
  fake_driver.self_calls = self_calls != NULL && self_calls[0] == '1';
  fake_driver.small_bytes = configured_granularity();
  fake_partitions_refresh(fake_driver.machine);
  choose_visible(&fake_driver);
  if (fake_driver.device_count == 0) {
    return CUDA_ERROR_NO_DEVICE;
  }
  fake_driver.state = fake_state_open(fake_driver.machine);
  if (fake_driver.state == NULL || !fake_arena_open()) {
    return CUDA_ERROR_UNKNOWN;
  }
  pthread_atfork(NULL, NULL, in_child);
  return CUDA_SUCCESS;
}

static void initialise_once(void) {
  init_result = initialise();
  __atomic_store_n(&initialised, init_result == CUDA_SUCCESS, __ATOMIC_RELEASE);
}

CUresult cuInit(unsigned int flags) {
  FAKE_ENTER_ANYTIME(cuInit);
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (flags != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (forked) {
    return CUDA_ERROR_NOT_INITIALIZED;
  }
  pthread_once(&once, initialise_once);
  fake_call_self("cuCtxGetCurrent");
  return init_result;
}

CUresult cuDriverGetVersion(int *version) {
  FAKE_ENTER_ANYTIME(cuDriverGetVersion);
  const struct fake_machine *machine = NULL;
  if (version == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  /* A driver without cards still knows its version. */
  *version = fake_machine_load(&machine) == FAKE_MACHINE_READY ? machine->cuda_version : CUDA_VERSION;
  return CUDA_SUCCESS;
}
