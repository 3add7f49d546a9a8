/* Making and removing MIG instances. The handle of a GPU instance, and of its one compute instance, is its unit's row.
 */
#include "driver.h"

/* What the driver would still be doing something with. */
static bool in_use(int unit) { return fake_state_processes(fake_nvml.state, unit, NULL, 0) > 0; }

static nvmlReturn_t make(const struct fake_device *card, unsigned id, const nvmlGpuInstancePlacement_t *place,
                         nvmlGpuInstance_t *out) {
  NVML_NEED(out != NULL);
  if (!card->mig_enabled) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  for (unsigned number = 0; number < card->profile_count; number++) {
    const struct fake_profile *profile = &card->profiles[number];
    if (profile->gpu_instance_profile_id != id) {
      continue;
    }
    for (unsigned i = 0; i < profile->placement_count; i++) {
      unsigned start = profile->placements[i];
      if (place != NULL && (start != place->start || place->size != profile->placement_size)) {
        continue;
      }
      int unit = fake_partitions_make(fake_nvml.machine, card->index, number, start);
      if (unit >= 0) {
        *out = (nvmlGpuInstance_t)&fake_nvml.devices[unit];
        return NVML_SUCCESS;
      }
    }
    return NVML_ERROR_INSUFFICIENT_RESOURCES;
  }
  return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceCreateGpuInstance(nvmlDevice_t device, unsigned id, nvmlGpuInstance_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceCreateGpuInstance, device);
  return make(card, id, NULL, out);
}

nvmlReturn_t nvmlDeviceCreateGpuInstanceWithPlacement(nvmlDevice_t device, unsigned id,
                                                      const nvmlGpuInstancePlacement_t *place, nvmlGpuInstance_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceCreateGpuInstanceWithPlacement, device);
  NVML_NEED(place != NULL);
  return make(card, id, place, out);
}

nvmlReturn_t nvmlGpuInstanceDestroy(nvmlGpuInstance_t handle) {
  NVML_ENTER_DEVICE(nvmlGpuInstanceDestroy, (nvmlDevice_t)handle);
  NVML_NEED(fake_nvml_instance(unit) != NULL);
  if (fake_partitions_computes(fake_nvml.machine, unit) || in_use(unit)) {
    return NVML_ERROR_IN_USE;
  }
  return fake_partitions_drop(fake_nvml.machine, unit) ? NVML_SUCCESS : NVML_ERROR_NO_PERMISSION;
}

/* One compute instance takes all of its GPU instance; its profile's id is that of the whole. */
nvmlReturn_t nvmlGpuInstanceGetComputeInstanceProfileInfoV(nvmlGpuInstance_t handle, unsigned profile, unsigned engine,
                                                           nvmlComputeInstanceProfileInfo_v2_t *out) {
  NVML_ENTER_DEVICE(nvmlGpuInstanceGetComputeInstanceProfileInfoV, (nvmlDevice_t)handle);
  const struct fake_instance *instance = fake_nvml_instance(unit);
  NVML_NEED(out != NULL && instance != NULL && engine == NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED);
  static const unsigned slices_of[] = {1, 2, 3, 4, 7, 8, 6};
  unsigned slices = card->profiles[instance->profile].slice_count;
  if (profile >= sizeof slices_of / sizeof *slices_of || slices_of[profile] != slices) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  if (out->version != nvmlComputeInstanceProfileInfo_v2) {
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  }
  *out =
      (nvmlComputeInstanceProfileInfo_v2_t){.version = out->version,
                                            .id = profile,
                                            .sliceCount = slices,
                                            .instanceCount = 1,
                                            .multiprocessorCount = card->profiles[instance->profile].multiprocessors};
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceCreateComputeInstance(nvmlGpuInstance_t handle, unsigned profile,
                                                  nvmlComputeInstance_t *out) {
  NVML_ENTER_DEVICE(nvmlGpuInstanceCreateComputeInstance, (nvmlDevice_t)handle);
  (void)profile;
  NVML_NEED(out != NULL && fake_nvml_instance(unit) != NULL);
  if (fake_partitions_computes(fake_nvml.machine, unit)) {
    return NVML_ERROR_INSUFFICIENT_RESOURCES;
  }
  fake_partitions_set_computes(fake_nvml.machine, unit, true);
  *out = (nvmlComputeInstance_t)handle;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceById(nvmlGpuInstance_t handle, unsigned id, nvmlComputeInstance_t *out) {
  NVML_ENTER_DEVICE(nvmlGpuInstanceGetComputeInstanceById, (nvmlDevice_t)handle);
  NVML_NEED(out != NULL && fake_nvml_instance(unit) != NULL);
  if (id != 0 || !fake_partitions_computes(fake_nvml.machine, unit)) {
    return NVML_ERROR_NOT_FOUND;
  }
  *out = (nvmlComputeInstance_t)handle;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlComputeInstanceDestroy(nvmlComputeInstance_t handle) {
  NVML_ENTER_DEVICE(nvmlComputeInstanceDestroy, (nvmlDevice_t)handle);
  NVML_NEED(fake_nvml_instance(unit) != NULL);
  if (in_use(unit)) {
    return NVML_ERROR_IN_USE;
  }
  fake_partitions_set_computes(fake_nvml.machine, unit, false);
  return NVML_SUCCESS;
}
