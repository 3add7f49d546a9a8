/* MIG: modes, profiles, placements and instances, those of the machine file and those that programs make. */
#include <stdio.h>
#include <string.h>

#include "driver.h"

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending) {
  NVML_ENTER_DEVICE(nvmlDeviceGetMigMode, device);
  NVML_NEED(current != NULL && pending != NULL);
  if (!card->mig_capable) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  *current = *pending = card->mig_enabled;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count) {
  NVML_ENTER_DEVICE(nvmlDeviceGetMaxMigDeviceCount, device);
  NVML_NEED(count != NULL);
  *count = card->mig_capable ? FAKE_MAX_INSTANCES : 0;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index, nvmlDevice_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetMigDeviceHandleByIndex, device);
  NVML_NEED(out != NULL && index < FAKE_MAX_INSTANCES);
  fake_partitions_refresh(fake_nvml.machine);
  if (index >= card->instance_count || !fake_partitions_computes(fake_nvml.machine, card->instances[index].unit)) {
    return NVML_ERROR_NOT_FOUND;
  }
  *out = &fake_nvml.devices[card->instances[index].unit];
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned *out) {
  NVML_ENTER_DEVICE(nvmlDeviceIsMigDeviceHandle, device);
  NVML_NEED(out != NULL);
  *out = fake_nvml_instance(unit) != NULL;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t device, nvmlDevice_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, device);
  NVML_NEED(out != NULL && fake_nvml_instance(unit) != NULL);
  *out = &fake_nvml.devices[card->index];
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned *id) {
  NVML_ENTER_DEVICE(nvmlDeviceGetGpuInstanceId, device);
  NVML_NEED(id != NULL && fake_nvml_instance(unit) != NULL);
  *id = fake_partitions_id(fake_nvml.machine, unit);
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned *id) {
  NVML_ENTER_DEVICE(nvmlDeviceGetComputeInstanceId, device);
  NVML_NEED(id != NULL && fake_nvml_instance(unit) != NULL);
  *id = 0;
  return NVML_SUCCESS;
}

static nvmlReturn_t attributes(const struct fake_device *card, int unit, nvmlDeviceAttributes_t *out) {
  const struct fake_instance *instance = fake_nvml_instance(unit);
  NVML_NEED(out != NULL);
  if (instance == NULL) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  const struct fake_profile *profile = &card->profiles[instance->profile];
  *out = (nvmlDeviceAttributes_t){.multiprocessorCount = profile->multiprocessors,
                                  .sharedCopyEngineCount = profile->slice_count,
                                  .gpuInstanceSliceCount = profile->slice_count,
                                  .computeInstanceSliceCount = profile->slice_count,
                                  .memorySizeMB = profile->memory_bytes / FAKE_MIB};
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetAttributes(nvmlDevice_t device, nvmlDeviceAttributes_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetAttributes, device);
  return attributes(card, unit, out);
}

nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetAttributes_v2, device);
  return attributes(card, unit, out);
}

/* Asked by the number of the enumeration, or by the id that nvidia-smi prints. */
static const struct fake_profile *profile_by(const struct fake_device *card, unsigned number, bool by_id) {
  for (unsigned i = 0; i < card->profile_count; i++) {
    const struct fake_profile *profile = &card->profiles[i];
    if ((by_id ? profile->gpu_instance_profile_id : profile->id) == number) {
      return profile;
    }
  }
  return NULL;
}

static nvmlReturn_t no_profile(const struct fake_device *card, unsigned number, bool by_id) {
  bool in_range = by_id || number < NVML_GPU_INSTANCE_PROFILE_COUNT;
  return in_range || !card->mig_capable ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfo(nvmlDevice_t device, unsigned number,
                                                 nvmlGpuInstanceProfileInfo_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetGpuInstanceProfileInfo, device);
  NVML_NEED(out != NULL);
  const struct fake_profile *profile = profile_by(card, number, false);
  if (profile == NULL) {
    return no_profile(card, number, false);
  }
  *out = (nvmlGpuInstanceProfileInfo_t){.id = profile->gpu_instance_profile_id,
                                        .sliceCount = profile->slice_count,
                                        .instanceCount = profile->instance_count,
                                        .multiprocessorCount = profile->multiprocessors,
                                        .copyEngineCount = profile->slice_count,
                                        .memorySizeMB = profile->memory_bytes / FAKE_MIB};
  return NVML_SUCCESS;
}

/* The second layout; the third lacks a field of it, so each is written by name. */
static nvmlReturn_t describe(const struct fake_profile *profile, nvmlGpuInstanceProfileInfo_v2_t *out) {
  char name[96];
  snprintf(name, sizeof name, "MIG %s", profile->name);
  if (out->version == nvmlGpuInstanceProfileInfo_v2) {
    *out = (nvmlGpuInstanceProfileInfo_v2_t){.version = out->version,
                                             .id = profile->gpu_instance_profile_id,
                                             .sliceCount = profile->slice_count,
                                             .instanceCount = profile->instance_count,
                                             .multiprocessorCount = profile->multiprocessors,
                                             .copyEngineCount = profile->slice_count,
                                             .memorySizeMB = profile->memory_bytes / FAKE_MIB};
    memcpy(out->name, name, sizeof name);
    return NVML_SUCCESS;
  }
  if (out->version == nvmlGpuInstanceProfileInfo_v3) {
    nvmlGpuInstanceProfileInfo_v3_t *third = (nvmlGpuInstanceProfileInfo_v3_t *)(void *)out;
    *third = (nvmlGpuInstanceProfileInfo_v3_t){.version = nvmlGpuInstanceProfileInfo_v3,
                                               .id = profile->gpu_instance_profile_id,
                                               .sliceCount = profile->slice_count,
                                               .instanceCount = profile->instance_count,
                                               .multiprocessorCount = profile->multiprocessors,
                                               .copyEngineCount = profile->slice_count,
                                               .memorySizeMB = profile->memory_bytes / FAKE_MIB};
    memcpy(third->name, name, sizeof name);
    return NVML_SUCCESS;
  }
  return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfoV(nvmlDevice_t device, unsigned number,
                                                  nvmlGpuInstanceProfileInfo_v2_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetGpuInstanceProfileInfoV, device);
  NVML_NEED(out != NULL);
  const struct fake_profile *profile = profile_by(card, number, false);
  return profile == NULL ? no_profile(card, number, false) : describe(profile, out);
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfoByIdV(nvmlDevice_t device, unsigned id,
                                                      nvmlGpuInstanceProfileInfo_v2_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetGpuInstanceProfileInfoByIdV, device);
  NVML_NEED(out != NULL);
  const struct fake_profile *profile = profile_by(card, id, true);
  return profile == NULL ? no_profile(card, id, true) : describe(profile, out);
}

static nvmlReturn_t placements(const struct fake_device *card, unsigned id, nvmlGpuInstancePlacement_t *out,
                               unsigned *count) {
  NVML_NEED(count != NULL);
  const struct fake_profile *profile = profile_by(card, id, true);
  if (profile == NULL || !card->mig_enabled) {
    return NVML_ERROR_NOT_SUPPORTED;
  }
  unsigned capacity = out == NULL ? 0 : *count;
  *count = profile->placement_count;
  if (out != NULL && capacity < profile->placement_count) {
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  for (unsigned i = 0; i < capacity && i < profile->placement_count; i++) {
    out[i] = (nvmlGpuInstancePlacement_t){.start = profile->placements[i], .size = profile->placement_size};
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements_v2(nvmlDevice_t device, unsigned id,
                                                           nvmlGpuInstancePlacement_t *out, unsigned *count) {
  NVML_ENTER_DEVICE(nvmlDeviceGetGpuInstancePossiblePlacements_v2, device);
  return placements(card, id, out, count);
}

nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements(nvmlDevice_t device, unsigned id,
                                                        nvmlGpuInstancePlacement_t *out, unsigned *count) {
  NVML_ENTER_DEVICE(nvmlDeviceGetGpuInstancePossiblePlacements, device);
  return placements(card, id, out, count);
}

/* ---- instances: their handle is the row of the MIG device ------------------------------------------------------ */

nvmlReturn_t nvmlDeviceGetGpuInstances(nvmlDevice_t device, unsigned id, nvmlGpuInstance_t *out, unsigned *count) {
  NVML_ENTER_DEVICE(nvmlDeviceGetGpuInstances, device);
  NVML_NEED(out != NULL && count != NULL);
  fake_partitions_refresh(fake_nvml.machine);
  *count = 0;
  for (unsigned i = 0; i < card->instance_count; i++) {
    if (card->profiles[card->instances[i].profile].gpu_instance_profile_id == id) {
      out[(*count)++] = (nvmlGpuInstance_t)&fake_nvml.devices[card->instances[i].unit];
    }
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceById(nvmlDevice_t device, unsigned id, nvmlGpuInstance_t *out) {
  NVML_ENTER_DEVICE(nvmlDeviceGetGpuInstanceById, device);
  NVML_NEED(out != NULL);
  fake_partitions_refresh(fake_nvml.machine);
  for (unsigned i = 0; i < card->instance_count; i++) {
    if (fake_partitions_id(fake_nvml.machine, card->instances[i].unit) == id) {
      *out = (nvmlGpuInstance_t)&fake_nvml.devices[card->instances[i].unit];
      return NVML_SUCCESS;
    }
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlGpuInstanceGetInfo(nvmlGpuInstance_t handle, nvmlGpuInstanceInfo_t *out) {
  NVML_ENTER_DEVICE(nvmlGpuInstanceGetInfo, (nvmlDevice_t)handle);
  const struct fake_instance *instance = fake_nvml_instance(unit);
  NVML_NEED(out != NULL && instance != NULL);
  const struct fake_profile *profile = &card->profiles[instance->profile];
  *out = (nvmlGpuInstanceInfo_t){.device = &fake_nvml.devices[card->index],
                                 .id = fake_partitions_id(fake_nvml.machine, unit),
                                 .profileId = profile->gpu_instance_profile_id,
                                 .placement = {.start = instance->placement_start, .size = profile->placement_size}};
  return NVML_SUCCESS;
}
