#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/errors.h"
#include "driver.h"

struct fake_nvml fake_nvml;

static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned references;

nvmlReturn_t fake_nvml_status(void) {
  return __atomic_load_n(&references, __ATOMIC_ACQUIRE) > 0 ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

const struct fake_device *fake_nvml_card(nvmlDevice_t handle, int *unit) {
  uintptr_t first = (uintptr_t)fake_nvml.devices;
  uintptr_t offset = (uintptr_t)handle - first;
  uintptr_t position = offset / sizeof *fake_nvml.devices;
  if ((uintptr_t)handle < first || offset % sizeof *fake_nvml.devices != 0 ||
      position >= (uintptr_t)fake_nvml.machine->unit_count) {
    return NULL;
  }
  if (unit != NULL) {
    *unit = (int)position;
  }
  return &fake_nvml.machine->devices[fake_nvml.machine->units[position].device];
}

const struct fake_instance *fake_nvml_instance(int unit) {
  const struct fake_unit *row = &fake_nvml.machine->units[unit];
  return row->instance < 0 ? NULL : &fake_nvml.machine->devices[row->device].instances[row->instance];
}

nvmlReturn_t fake_nvml_text(char *out, unsigned length, const char *text) {
  NVML_NEED(out != NULL);
  if (length <= strlen(text)) {
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  memcpy(out, text, strlen(text) + 1);
  return NVML_SUCCESS;
}

static nvmlReturn_t open_machine(void) {
  if (fake_nvml.state != NULL) {
    return NVML_SUCCESS;
  }
  switch (fake_machine_load(&fake_nvml.machine)) {
  case FAKE_MACHINE_READY:
    break;
  case FAKE_MACHINE_NONE:
    return NVML_ERROR_DRIVER_NOT_LOADED;
  case FAKE_MACHINE_BROKEN:
  default:
    return NVML_ERROR_UNKNOWN;
  }
  fake_partitions_refresh(fake_nvml.machine);
  for (int i = 0; i < FAKE_MAX_UNITS; i++) {
    fake_nvml.devices[i].unit = i;
  }
  fake_nvml.state = fake_state_open(fake_nvml.machine);
  return fake_nvml.state == NULL ? NVML_ERROR_UNKNOWN : NVML_SUCCESS;
}

static nvmlReturn_t initialise(void) {
  pthread_mutex_lock(&init_lock);
  nvmlReturn_t result = open_machine();
  if (result == NVML_SUCCESS) {
    __atomic_add_fetch(&references, 1, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&init_lock);
  return result;
}

nvmlReturn_t nvmlInit_v2(void) {
  NVML_ENTER_ANYTIME(nvmlInit_v2);
  return initialise();
}

nvmlReturn_t nvmlInit(void) {
  NVML_ENTER_ANYTIME(nvmlInit);
  return initialise();
}

nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
  NVML_ENTER_ANYTIME(nvmlInitWithFlags);
  (void)flags;
  return initialise();
}

nvmlReturn_t nvmlShutdown(void) {
  NVML_ENTER(nvmlShutdown);
  __atomic_sub_fetch(&references, 1, __ATOMIC_RELEASE);
  return NVML_SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t code) {
  for (size_t i = 0; i < fake_error_count; i++) {
    if (fake_errors[i].code == (int)code) {
      return fake_errors[i].text;
    }
  }
  return "unknown error";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *out, unsigned length) {
  NVML_ENTER(nvmlSystemGetDriverVersion);
  return fake_nvml_text(out, length, fake_nvml.machine->driver_version);
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *out, unsigned length) {
  NVML_ENTER(nvmlSystemGetNVMLVersion);
  char text[64];
  snprintf(text, sizeof text, "%d.%s", fake_nvml.machine->cuda_version / 1000, fake_nvml.machine->driver_version);
  return fake_nvml_text(out, length, text);
}

static nvmlReturn_t cuda_version(int *version) {
  NVML_NEED(version != NULL);
  *version = fake_nvml.machine->cuda_version;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) {
  NVML_ENTER(nvmlSystemGetCudaDriverVersion);
  return cuda_version(version);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) {
  NVML_ENTER(nvmlSystemGetCudaDriverVersion_v2);
  return cuda_version(version);
}

nvmlReturn_t nvmlSystemGetProcessName(unsigned pid, char *out, unsigned length) {
  NVML_ENTER(nvmlSystemGetProcessName);
  char path[64];
  char name[1024] = "";
  snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    return NVML_ERROR_NOT_FOUND;
  }
  name[fread(name, 1, sizeof name - 1, file)] = '\0';
  fclose(file);
  NVML_NEED(out != NULL && length > 0);
  snprintf(out, length, "%s", name); /* the driver cuts long names, too */
  return NVML_SUCCESS;
}
