#include "devices.h"

#include <string.h>

#include "books.h"
#include "core/core.h"
#include "nvml_use.h"
#include "real.h"

/* CUDA knows at most 64 devices per process; more are looked up each time. */
#define CACHED_ORDINALS 64
#define CACHED_NVML_HANDLES 64

/* Cached ledger index plus CACHE_BASE, so that 0 means "not asked yet". */
#define CACHE_BASE 2

static int ordinal_cache[CACHED_ORDINALS];

struct nvml_entry {
  nvmlDevice_t handle;
  int device;
};

static struct nvml_entry nvml_cache[CACHED_NVML_HANDLES];
static int nvml_cached; /* slots claimed; an entry is ready once its handle is set */

/* The thread's last context and its device: launches and small allocations come in runs from one context. */
static __thread CUcontext last_context __attribute__((tls_model("initial-exec")));
static __thread CUdevice last_ordinal __attribute__((tls_model("initial-exec")));
static __thread unsigned int last_era __attribute__((tls_model("initial-exec")));

static unsigned int context_era; /* counts destroyed contexts */

static void format_uuid(const CUuuid *uuid, char text[37]) {
  static const char digits[] = "0123456789abcdef";
  size_t at = 0;
  for (size_t i = 0; i < sizeof uuid->bytes; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      text[at++] = '-';
    }
    unsigned int byte = (unsigned char)uuid->bytes[i];
    text[at++] = digits[byte >> 4];
    text[at++] = digits[byte & 15U];
  }
  text[at] = '\0';
}

/*
 * Limits that came by number count the devices as NVML does, which CUDA_VISIBLE_DEVICES does not change. They get
 * their uuids from there, all at once, the first time one is asked for.
 */
static void name_numbered_devices(void) {
  static bool named;
  __typeof__(&nvmlDeviceGetHandleByIndex_v2) by_index = HAMI_REAL(nvmlDeviceGetHandleByIndex_v2);
  __typeof__(&nvmlDeviceGetUUID) get_uuid = HAMI_REAL(nvmlDeviceGetUUID);
  int count = hami_core_device_count();
  if (__atomic_load_n(&named, __ATOMIC_ACQUIRE) || by_index == NULL || get_uuid == NULL || !hami_nvml_start()) {
    return;
  }
  for (int device = 0; device < count; device++) {
    nvmlDevice_t handle;
    char uuid[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
    if (hami_core_uuid(device) == NULL && by_index((unsigned int)device, &handle) == NVML_SUCCESS &&
        get_uuid(handle, uuid, sizeof uuid) == NVML_SUCCESS) {
      (void)hami_core_name_device(device, uuid);
    }
  }
  __atomic_store_n(&named, true, __ATOMIC_RELEASE);
}

static int device_by_uuid(const char *uuid) {
  int device = hami_core_device_by_uuid(uuid);
  if (device < 0) {
    name_numbered_devices();
    device = hami_core_device_by_uuid(uuid);
  }
  return device < 0 ? HAMI_NO_DEVICE : device;
}

/* False while the driver cannot say. */
static bool ask_cuda(CUdevice ordinal, int *device) {
  /* _v2 names the MIG instance; the first version names the card it is part of. */
  __typeof__(&cuDeviceGetUuid_v2) get_uuid = HAMI_REAL(cuDeviceGetUuid_v2);
  if (get_uuid == NULL) {
    get_uuid = HAMI_REAL(cuDeviceGetUuid);
  }
  CUuuid uuid;
  if (get_uuid == NULL || get_uuid(&uuid, ordinal) != CUDA_SUCCESS) {
    return false;
  }
  char text[37];
  format_uuid(&uuid, text);
  *device = device_by_uuid(text);
  /* Without NVML the order of CUDA is the only one there is. */
  if (*device == HAMI_NO_DEVICE && !hami_nvml_start() && hami_core_name_device(ordinal, text)) {
    *device = ordinal;
  }
  __typeof__(&cuDeviceGetPCIBusId) get_bus_id = HAMI_REAL(cuDeviceGetPCIBusId);
  char bus_id[32];
  if (*device != HAMI_NO_DEVICE && get_bus_id != NULL && get_bus_id(bus_id, sizeof bus_id, ordinal) == CUDA_SUCCESS) {
    hami_core_find_kernel_limit(*device, bus_id);
  }
  return true;
}

int hami_devices_of_ordinal(CUdevice ordinal) {
  bool cacheable = ordinal >= 0 && ordinal < CACHED_ORDINALS;
  int cached = cacheable ? __atomic_load_n(&ordinal_cache[ordinal], __ATOMIC_RELAXED) : 0;
  if (cached != 0) {
    return cached - CACHE_BASE;
  }
  int device = HAMI_NO_DEVICE;
  if (ask_cuda(ordinal, &device) && cacheable) {
    __atomic_store_n(&ordinal_cache[ordinal], device + CACHE_BASE, __ATOMIC_RELAXED);
  }
  return device;
}

CUdevice hami_devices_ordinal_of_location(const CUmemLocation *location) {
  switch ((int)location->type) {
  case CU_MEM_LOCATION_TYPE_DEVICE:
    return location->id;
  case CU_MEM_LOCATION_TYPE_DEVICE_LOCALITY_DOMAIN:
    return location->localized.deviceId;
  default:
    return -1;
  }
}

static bool ordinal_of_current(CUdevice *ordinal, CUcontext *context) {
  __typeof__(&cuCtxGetCurrent) get_current = HAMI_REAL(cuCtxGetCurrent);
  __typeof__(&cuCtxGetDevice) get_device = HAMI_REAL(cuCtxGetDevice);
  if (get_current == NULL || get_device == NULL || get_current(context) != CUDA_SUCCESS || *context == NULL) {
    return false;
  }
  unsigned int era = __atomic_load_n(&context_era, __ATOMIC_ACQUIRE);
  if (*context != last_context || era != last_era) {
    if (get_device(&last_ordinal) != CUDA_SUCCESS) {
      last_context = NULL;
      return false;
    }
    last_context = *context;
    last_era = era;
  }
  *ordinal = last_ordinal;
  return true;
}

int hami_devices_current(CUcontext *context) {
  CUcontext current = NULL;
  CUdevice ordinal;
  int device = ordinal_of_current(&ordinal, &current) ? hami_devices_of_ordinal(ordinal) : HAMI_NO_DEVICE;
  if (context != NULL) {
    *context = current;
  }
  return device;
}

void hami_devices_forget_contexts(void) { (void)__atomic_add_fetch(&context_era, 1, __ATOMIC_RELEASE); }

bool hami_devices_ordinal_of_stream(CUstream stream, bool per_thread, CUdevice *ordinal) {
  CUcontext context = NULL;
  /* NULL and the two named handles mean the current context's default streams. */
  if ((uintptr_t)stream <= (uintptr_t)CU_STREAM_PER_THREAD) {
    return ordinal_of_current(ordinal, &context);
  }
  __typeof__(&cuStreamGetCtx) get_context = per_thread ? HAMI_REAL(cuStreamGetCtx_ptsz) : HAMI_REAL(cuStreamGetCtx);
  CUcontext current = NULL;
  if (!ordinal_of_current(ordinal, &current)) {
    return false;
  }
  if (get_context == NULL || get_context(stream, &context) != CUDA_SUCCESS || context == current) {
    return true;
  }
  /* Another context's stream: only inside that context can the driver be asked for its device. */
  __typeof__(&cuCtxPushCurrent_v2) push = HAMI_REAL(cuCtxPushCurrent_v2);
  __typeof__(&cuCtxPopCurrent_v2) pop = HAMI_REAL(cuCtxPopCurrent_v2);
  if (push == NULL || pop == NULL || push(context) != CUDA_SUCCESS) {
    return true;
  }
  bool known = ordinal_of_current(ordinal, &current);
  (void)pop(&context);
  return known;
}

int hami_devices_of_default_pool(CUmemoryPool pool) {
  __typeof__(&cuDeviceGetCount) get_count = HAMI_REAL(cuDeviceGetCount);
  __typeof__(&cuDeviceGetDefaultMemPool) get_pool = HAMI_REAL(cuDeviceGetDefaultMemPool);
  int count = 0;
  if (get_count == NULL || get_pool == NULL || get_count(&count) != CUDA_SUCCESS) {
    return HAMI_NO_DEVICE;
  }
  for (CUdevice ordinal = 0; ordinal < count; ordinal++) {
    CUmemoryPool candidate = NULL;
    if (get_pool(&candidate, ordinal) == CUDA_SUCCESS && candidate == pool) {
      return hami_devices_of_ordinal(ordinal);
    }
  }
  return HAMI_NO_DEVICE;
}

static int ask_nvml(nvmlDevice_t handle) {
  __typeof__(&nvmlDeviceGetUUID) get_uuid = HAMI_REAL(nvmlDeviceGetUUID);
  char uuid[NVML_DEVICE_UUID_V2_BUFFER_SIZE];
  if (get_uuid == NULL || get_uuid(handle, uuid, sizeof uuid) != NVML_SUCCESS) {
    return HAMI_NO_DEVICE;
  }
  return device_by_uuid(uuid);
}

int hami_devices_of_nvml(nvmlDevice_t handle) {
  int ready = __atomic_load_n(&nvml_cached, __ATOMIC_ACQUIRE);
  for (int i = 0; i < ready && i < CACHED_NVML_HANDLES; i++) {
    if (__atomic_load_n(&nvml_cache[i].handle, __ATOMIC_ACQUIRE) == handle) {
      return nvml_cache[i].device;
    }
  }
  int device = ask_nvml(handle);
  if (device == HAMI_NO_DEVICE) {
    return device; /* not cached: an invalid handle may become a valid one */
  }
  int slot = __atomic_fetch_add(&nvml_cached, 1, __ATOMIC_ACQ_REL);
  if (slot < CACHED_NVML_HANDLES) {
    nvml_cache[slot].device = device;
    __atomic_store_n(&nvml_cache[slot].handle, handle, __ATOMIC_RELEASE);
  } else {
    __atomic_store_n(&nvml_cached, CACHED_NVML_HANDLES, __ATOMIC_RELEASE);
  }
  return device;
}

bool hami_devices_nvml_handle(int device, nvmlDevice_t *handle) {
  __typeof__(&nvmlDeviceGetHandleByUUID) by_uuid = HAMI_REAL(nvmlDeviceGetHandleByUUID);
  const char *uuid = hami_core_uuid(device);
  if (by_uuid == NULL || uuid == NULL || !hami_nvml_start()) {
    return false;
  }
  /* Only the question that follows tells that all is well: a lost card may still have its handle. */
  bool found = by_uuid(uuid, handle) == NVML_SUCCESS;
  if (!found) {
    hami_core_note_management(false);
  }
  return found;
}

bool hami_devices_nvml_answered(nvmlReturn_t result) {
  /* MIG instances have no utilisation, some virtual cards no processes: that is no loss. */
  hami_core_note_management(result == NVML_SUCCESS || result == NVML_ERROR_NOT_SUPPORTED ||
                            result == NVML_ERROR_INSUFFICIENT_SIZE);
  return result == NVML_SUCCESS;
}

void hami_devices_after_fork_in_child(void) { hami_devices_forget_contexts(); }
