#include "core/live_limits.h"

#include <stddef.h>
#include <string.h>

#include "core/log.h"
#include "core/turn.h"

#define CHECK_INTERVAL_NS 50000000ULL

static void store_device(struct hami_live_limits *live, uint32_t index, const struct hami_device_limits *device) {
  __atomic_store_n(&live->memory_bytes[index], device->memory_bytes, __ATOMIC_RELAXED);
  __atomic_store_n(&live->core_percent[index], device->core_percent, __ATOMIC_RELAXED);
  __atomic_store_n(&live->contention[index], (uint32_t)device->contention, __ATOMIC_RELAXED);
  __atomic_store_n(&live->yields[index], device->yields ? 1U : 0U, __ATOMIC_RELAXED);
}

/* Takes a device's limits over; one not seen before gets the next index. */
static void adopt_device(struct hami_live_limits *live, const struct hami_device_limits *device) {
  int known = hami_live_limits_find(live, device->uuid);
  uint32_t count = live->device_count;
  if (known >= 0) {
    store_device(live, (uint32_t)known, device);
  } else if (count < HAMI_LIMITS_MAX_DEVICES) {
    store_device(live, count, device);
    __atomic_store_n(&live->kernel_bytes[count], HAMI_UNLIMITED, __ATOMIC_RELAXED);
    memcpy(live->uuids[count], device->uuid, HAMI_UUID_SIZE);
    __atomic_store_n(&live->named[count], device->uuid[0] == '\0' ? 0U : 1U, __ATOMIC_RELEASE);
    __atomic_store_n(&live->device_count, count + 1, __ATOMIC_RELEASE);
  }
}

static void adopt(struct hami_live_limits *live, const struct hami_limits *limits) {
  __atomic_store_n(&live->policy, (uint32_t)limits->policy, __ATOMIC_RELAXED);
  __atomic_store_n(&live->priority, limits->priority, __ATOMIC_RELAXED);
  __atomic_store_n(&live->oversubscribe, limits->oversubscribe ? 1U : 0U, __ATOMIC_RELAXED);
  for (uint32_t i = 0; i < limits->device_count; i++) {
    adopt_device(live, &limits->devices[i]);
  }
  if (limits->damaged) {
    HAMI_LOG(HAMI_LOG_ERROR, "limits %s: some values cannot be read; the strictest ones hold in their place",
             live->path[0] == '\0' ? "in the environment" : live->path);
  }
}

static bool read_limits(struct hami_live_limits *live, const char *path) {
  ssize_t length = live->effects->read_file(path, live->text, sizeof live->text);
  return length > 0 && hami_limits_parse(live->text, (size_t)length, &live->scratch);
}

static bool open_path(struct hami_live_limits *live, const char *path) {
  struct hami_file_version version;
  if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof live->path ||
      !live->effects->file_version(path, &version)) {
    return false;
  }
  if (!read_limits(live, path)) {
    HAMI_LOG(HAMI_LOG_ERROR, "limits file %s names no device; looking elsewhere", path);
    return false;
  }
  memcpy(live->path, path, strlen(path) + 1);
  live->seen = version;
  return true;
}

bool hami_live_limits_open(struct hami_live_limits *live, const struct hami_effects *effects,
                           const struct hami_env_names *names, const char *(*get)(const char *name)) {
  /* What follows is written before it is read; pages that are not touched cost a starting process nothing. */
  memset(live, 0, offsetof(struct hami_live_limits, named));
  live->effects = effects;
  const char *named = get(HAMI_LIMITS_FILE_VARIABLE);
  /* A file outside the workload's reach comes before the environment, which the workload controls. */
  bool found = (effects->beyond_reach(HAMI_LIMITS_FIXED_PATH) && open_path(live, HAMI_LIMITS_FIXED_PATH)) ||
               open_path(live, named) || open_path(live, HAMI_LIMITS_FIXED_PATH) ||
               hami_limits_from_environment(names, get, &live->scratch);
  struct hami_file_version version;
  if (!found && ((named != NULL && named[0] != '\0') || effects->file_version(HAMI_LIMITS_FIXED_PATH, &version))) {
    hami_limits_strictest(&live->scratch);
    found = true;
  }
  if (found) {
    memcpy(live->region, live->scratch.region, sizeof live->region);
    live->checked_ns = effects->coarse_ns();
    adopt(live, &live->scratch);
  }
  return found;
}

static bool same_version(const struct hami_file_version *left, const struct hami_file_version *right) {
  return left->device == right->device && left->inode == right->inode && left->size_bytes == right->size_bytes &&
         left->modified_ns == right->modified_ns && left->changed_ns == right->changed_ns;
}

void hami_live_limits_check(struct hami_live_limits *live) {
  if (live->path[0] == '\0' || !hami_turn_try(&live->refreshing, live->effects->pid())) {
    return;
  }
  struct hami_file_version version;
  if (live->effects->file_version(live->path, &version) && !same_version(&version, &live->seen)) {
    /* The version is taken before the text: a change in between is then seen at the next look. */
    if (read_limits(live, live->path)) {
      adopt(live, &live->scratch);
      live->seen = version; /* last: a child forked in between reads the file again */
    }
  }
  __atomic_store_n(&live->checked_ns, live->effects->coarse_ns(), __ATOMIC_RELAXED);
  hami_turn_end(&live->refreshing);
}

void hami_live_limits_poll(struct hami_live_limits *live, uint64_t coarse_ns) {
  if (coarse_ns - __atomic_load_n(&live->checked_ns, __ATOMIC_RELAXED) > CHECK_INTERVAL_NS) {
    hami_live_limits_check(live);
  }
}

int hami_live_limits_find(const struct hami_live_limits *live, const char *uuid) {
  uint32_t count = __atomic_load_n(&live->device_count, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < count; i++) {
    if (__atomic_load_n(&live->named[i], __ATOMIC_ACQUIRE) && hami_limits_same_uuid(live->uuids[i], uuid)) {
      return (int)i;
    }
  }
  return -1;
}

uint64_t hami_live_limits_memory(const struct hami_live_limits *live, uint32_t device) {
  uint64_t told = __atomic_load_n(&live->memory_bytes[device], __ATOMIC_RELAXED);
  uint64_t kernel = __atomic_load_n(&live->kernel_bytes[device], __ATOMIC_RELAXED);
  return kernel < told && !__atomic_load_n(&live->oversubscribe, __ATOMIC_RELAXED) ? kernel : told;
}

void hami_live_limits_find_kernel(struct hami_live_limits *live, uint32_t device, const char *bus_id) {
  hami_turn_take(&live->refreshing, live->effects->pid(), live->effects);
  uint64_t bytes = hami_dmem_limit(live->effects, bus_id, &live->kernel_space);
  hami_turn_end(&live->refreshing);
  __atomic_store_n(&live->kernel_bytes[device], bytes, __ATOMIC_RELAXED);
  if (bytes != HAMI_UNLIMITED) {
    HAMI_LOG(HAMI_LOG_INFO, "device %u at %s: the kernel's limit is %llu bytes", device, bus_id,
             (unsigned long long)bytes);
  }
}

bool hami_live_limits_name(struct hami_live_limits *live, int device, const char *uuid) {
  uint32_t count = __atomic_load_n(&live->device_count, __ATOMIC_ACQUIRE);
  size_t length = strnlen(uuid, HAMI_UUID_SIZE);
  if (device < 0 || (uint32_t)device >= count || length == 0 || length == HAMI_UUID_SIZE) {
    return false;
  }
  hami_turn_take(&live->refreshing, live->effects->pid(), live->effects);
  bool unnamed = !__atomic_load_n(&live->named[device], __ATOMIC_RELAXED);
  if (unnamed) {
    memcpy(live->uuids[device], uuid, length + 1);
    __atomic_store_n(&live->named[device], 1U, __ATOMIC_RELEASE);
  }
  hami_turn_end(&live->refreshing);
  return unnamed;
}
