#include "machine.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

struct parser {
  char *error;
  size_t error_size;
  char place[64];
};

static bool refuse(struct parser *parser, const char *key, const char *wanted) {
  snprintf(parser->error, parser->error_size, "%s%s: %s", parser->place, key, wanted);
  return false;
}

static bool number(struct parser *parser, const struct json *object, const char *key, int64_t low, int64_t high,
                   int64_t fallback, int64_t *out) {
  const struct json *member = json_member(object, key);
  if (member == NULL && fallback >= low) {
    *out = fallback;
    return true;
  }
  if (member == NULL || member->kind != JSON_INTEGER || member->integer < low || member->integer > high) {
    char wanted[96];
    snprintf(wanted, sizeof wanted, "must be a whole number from %lld to %lld", (long long)low, (long long)high);
    return refuse(parser, key, wanted);
  }
  *out = member->integer;
  return true;
}

static bool unsigned_number(struct parser *parser, const struct json *object, const char *key, int64_t low,
                            int64_t high, int64_t fallback, unsigned *out) {
  int64_t value = 0;
  if (!number(parser, object, key, low, high, fallback, &value)) {
    return false;
  }
  *out = (unsigned)value;
  return true;
}

static bool mebibytes(struct parser *parser, const struct json *object, const char *key, int64_t low, int64_t fallback,
                      uint64_t *out) {
  int64_t value = 0;
  if (!number(parser, object, key, low, 1 << 24, fallback, &value)) {
    return false;
  }
  *out = (uint64_t)value * FAKE_MIB;
  return true;
}

static bool string(struct parser *parser, const struct json *object, const char *key, const char *fallback, char *out,
                   size_t size) {
  const struct json *member = json_member(object, key);
  const char *text = member == NULL ? fallback : member->text;
  if (text == NULL || text[0] == '\0' || strlen(text) >= size) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "must be a string of 1 to %zu bytes", size - 1);
    return refuse(parser, key, wanted);
  }
  snprintf(out, size, "%s", text);
  return true;
}

static bool truth(struct parser *parser, const struct json *object, const char *key, bool fallback, bool *out) {
  const struct json *member = json_member(object, key);
  if (member != NULL && member->kind != JSON_BOOL) {
    return refuse(parser, key, "must be true or false");
  }
  *out = member == NULL ? fallback : member->truth;
  return true;
}

static bool array(struct parser *parser, const struct json *object, const char *key, size_t low, size_t high,
                  const struct json **out) {
  const struct json *member = json_member(object, key);
  size_t count = member == NULL ? 0 : member->count;
  if ((member != NULL && member->kind != JSON_ARRAY) || count < low || count > high) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "must be a list of %zu to %zu", low, high);
    return refuse(parser, key, wanted);
  }
  *out = member == NULL ? NULL : member->first;
  return true;
}

static bool parse_profile(struct parser *parser, const struct json *object, struct fake_profile *profile) {
  const struct json *starts = NULL;
  if (!string(parser, object, "name", NULL, profile->name, sizeof profile->name) ||
      !unsigned_number(parser, object, "id", 0, 63, -1, &profile->id) ||
      !unsigned_number(parser, object, "profile_id", 0, 255, (int64_t)profile->id, &profile->gpu_instance_profile_id) ||
      !mebibytes(parser, object, "memory_mib", 1, -1, &profile->memory_bytes) ||
      !unsigned_number(parser, object, "slice_count", 1, 8, -1, &profile->slice_count) ||
      !unsigned_number(parser, object, "multiprocessors", 1, 1024, -1, &profile->multiprocessors) ||
      !unsigned_number(parser, object, "placement_size", 1, 8, -1, &profile->placement_size) ||
      !array(parser, object, "placements", 1, FAKE_MAX_PLACEMENTS, &starts)) {
    return false;
  }
  for (const struct json *start = starts; start != NULL; start = start->next) {
    if (start->kind != JSON_INTEGER || start->integer < 0 || start->integer > 7) {
      return refuse(parser, "placements", "must hold slice numbers from 0 to 7");
    }
    profile->placements[profile->placement_count++] = (unsigned)start->integer;
  }
  return unsigned_number(parser, object, "instances", 1, 8, (int64_t)profile->placement_count,
                         &profile->instance_count);
}

static bool parse_instance(struct parser *parser, const struct json *object, struct fake_device *device) {
  struct fake_instance *instance = &device->instances[device->instance_count];
  char name[32];
  if (!string(parser, object, "uuid", NULL, instance->uuid, sizeof instance->uuid) ||
      !string(parser, object, "profile", NULL, name, sizeof name) ||
      !unsigned_number(parser, object, "placement_start", 0, 7, -1, &instance->placement_start)) {
    return false;
  }
  for (unsigned i = 0; i < device->profile_count; i++) {
    if (strcmp(device->profiles[i].name, name) == 0) {
      instance->profile = i;
      device->instance_count++;
      return true;
    }
  }
  return refuse(parser, "profile", "must name one of mig.profiles");
}

static bool parse_mig(struct parser *parser, const struct json *mig, struct fake_device *device) {
  if (mig == NULL) {
    return true;
  }
  device->mig_capable = true;
  const struct json *profiles = NULL;
  const struct json *instances = NULL;
  if (mig->kind != JSON_OBJECT) {
    return refuse(parser, "mig", "must be an object");
  }
  if (!truth(parser, mig, "enabled", false, &device->mig_enabled) ||
      !array(parser, mig, "profiles", 0, FAKE_MAX_PROFILES, &profiles) ||
      !array(parser, mig, "instances", 0, FAKE_MAX_INSTANCES, &instances)) {
    return false;
  }
  for (; profiles != NULL; profiles = profiles->next) {
    if (!parse_profile(parser, profiles, &device->profiles[device->profile_count++])) {
      return false;
    }
  }
  for (; instances != NULL; instances = instances->next) {
    if (!parse_instance(parser, instances, device)) {
      return false;
    }
  }
  return true;
}

static bool parse_pci(struct parser *parser, const struct json *object, struct fake_device *device) {
  char text[32];
  char fallback[32];
  snprintf(fallback, sizeof fallback, "0000:%02x:00.0", (unsigned)(device->index + 1) & 0xFF);
  if (!string(parser, object, "pci_bus_id", fallback, text, sizeof text)) {
    return false;
  }
  unsigned function = 0;
  int used = 0;
  if (sscanf(text, "%8x:%2x:%2x.%1x%n", &device->pci_domain, &device->pci_bus, &device->pci_device, &function, &used) !=
          4 ||
      text[used] != '\0') {
    return refuse(parser, "pci_bus_id", "must look like 0000:3b:00.0");
  }
  return true;
}

/* What only NVIDIA's cards are described by. */
static bool parse_compute(struct parser *parser, const struct json *object, struct fake_device *device) {
  if (strncmp(device->uuid, "GPU-", 4) != 0) {
    return refuse(parser, "uuid", "must start with GPU-");
  }
  if (json_member(object, "multiprocessors") == NULL) {
    return refuse(parser, "multiprocessors", "must be a whole number from 1 to 1024");
  }
  const struct json *pair = json_member(object, "compute_capability");
  if (pair == NULL || pair->kind != JSON_ARRAY || pair->count != 2 || pair->first->kind != JSON_INTEGER ||
      pair->first->next->kind != JSON_INTEGER || pair->first->integer < 1 || pair->first->integer > 99 ||
      pair->first->next->integer < 0 || pair->first->next->integer > 99) {
    return refuse(parser, "compute_capability", "must be a pair such as [8, 6]");
  }
  device->compute_major = (unsigned)pair->first->integer;
  device->compute_minor = (unsigned)pair->first->next->integer;
  return true;
}

static bool parse_device(struct parser *parser, const struct json *object, struct fake_device *device, int position,
                         bool nvidia) {
  int64_t numa = -1;
  int64_t index = 0;
  char serial[32];
  snprintf(serial, sizeof serial, "13200210%05d", position);
  if (object->kind != JSON_OBJECT) {
    return refuse(parser, "", "must be an object");
  }
  if (!number(parser, object, "index", position, position, position, &index)) {
    return false;
  }
  device->index = (int)index;
  if (!string(parser, object, "uuid", NULL, device->uuid, sizeof device->uuid) ||
      !string(parser, object, "model", NULL, device->model, sizeof device->model) ||
      !string(parser, object, "serial", serial, device->serial, sizeof device->serial) ||
      !mebibytes(parser, object, "memory_mib", 1, -1, &device->memory_bytes) ||
      !mebibytes(parser, object, "reserved_mib", 0, 0, &device->reserved_bytes) ||
      !mebibytes(parser, object, "context_mib", 0, 256, &device->context_bytes) ||
      !unsigned_number(parser, object, "core_units", 1, 1024, 100, &device->core_units) ||
      !unsigned_number(parser, object, "multiprocessors", 1, 1024, 1, &device->multiprocessors) ||
      !truth(parser, object, "healthy", true, &device->healthy) ||
      !unsigned_number(parser, object, "threads_per_multiprocessor", 32, 4096, 2048,
                       &device->threads_per_multiprocessor) ||
      !unsigned_number(parser, object, "power_limit_w", 1, 5000, 300, &device->power_limit_mw) ||
      !unsigned_number(parser, object, "idle_power_w", 0, 5000, 30, &device->idle_power_mw) ||
      !unsigned_number(parser, object, "temperature_c", 0, 120, 35, &device->temperature_c) ||
      !unsigned_number(parser, object, "sm_clock_mhz", 1, 10000, 1740, &device->sm_clock_mhz) ||
      !unsigned_number(parser, object, "memory_clock_mhz", 1, 50000, 7251, &device->memory_clock_mhz) ||
      !unsigned_number(parser, object, "nvswitch_lanes", 0, FAKE_MAX_LANES, 0, &device->switch_lanes) ||
      !truth(parser, object, "unified_memory", false, &device->unified_memory) ||
      !number(parser, object, "numa", -1, 1023, -1, &numa) || (nvidia && !parse_compute(parser, object, device)) ||
      !parse_pci(parser, object, device)) {
    return false;
  }
  if (device->reserved_bytes >= device->memory_bytes) {
    return refuse(parser, "reserved_mib", "must be less than memory_mib");
  }
  device->power_limit_mw *= 1000;
  device->idle_power_mw *= 1000;
  device->numa = (int)numa;
  return parse_mig(parser, json_member(object, "mig"), device);
}

static int find_device(const struct fake_machine *machine, const char *uuid) {
  for (int i = 0; i < machine->device_count; i++) {
    if (strcmp(machine->devices[i].uuid, uuid) == 0) {
      return i;
    }
  }
  return -1;
}

/* Links name their peers by uuid, so they are read once all cards are known. */
static bool parse_links(struct parser *parser, const struct json *object, const struct fake_machine *machine,
                        struct fake_device *device) {
  const struct json *link = NULL;
  if (!array(parser, object, "links", 0, FAKE_MAX_LINKS, &link)) {
    return false;
  }
  for (; link != NULL; link = link->next) {
    struct fake_link *out = &device->links[device->link_count++];
    char peer[64];
    int64_t count = 0;
    if (!string(parser, link, "peer_uuid", NULL, peer, sizeof peer) ||
        !string(parser, link, "kind", "nvlink", out->kind, sizeof out->kind) ||
        !number(parser, link, "count", 1, FAKE_MAX_LANES, 1, &count)) {
      return false;
    }
    out->count = (int)count;
    out->peer = find_device(machine, peer);
    if (out->peer < 0 || out->peer == device->index) {
      return refuse(parser, "links", "peer_uuid must be the uuid of another device of the machine");
    }
  }
  return true;
}

static bool number_units(struct parser *parser, struct fake_machine *machine) {
  for (int i = 0; i < machine->device_count; i++) {
    const struct fake_device *device = &machine->devices[i];
    machine->units[machine->unit_count++] =
        (struct fake_unit){.device = i, .instance = -1, .memory_bytes = device->memory_bytes - device->reserved_bytes};
  }
  for (int i = 0; i < machine->device_count; i++) {
    struct fake_device *device = &machine->devices[i];
    for (unsigned k = 0; k < device->instance_count; k++) {
      if (machine->unit_count == FAKE_MAX_UNITS) {
        return refuse(parser, "mig.instances", "too many on this machine");
      }
      uint64_t bytes = device->profiles[device->instances[k].profile].memory_bytes;
      device->instances[k].unit = machine->unit_count;
      machine->units[machine->unit_count++] =
          (struct fake_unit){.device = i, .instance = (int)k, .memory_bytes = bytes};
    }
  }
  return true;
}

static bool parse_machine(struct parser *parser, const struct json *root, struct fake_machine *machine) {
  const struct json *devices = NULL;
  int64_t cuda_version = 0;
  if (root->kind != JSON_OBJECT) {
    return refuse(parser, "", "must be an object");
  }
  if (!string(parser, root, "name", "machine", machine->name, sizeof machine->name) ||
      !string(parser, root, "vendor", "nvidia", machine->vendor, sizeof machine->vendor) ||
      !string(parser, root, "driver_version", "580.82.07", machine->driver_version, sizeof machine->driver_version) ||
      !number(parser, root, "cuda_version", 11000, 99990, 13000, &cuda_version) ||
      !array(parser, root, "devices", 0, FAKE_MAX_DEVICES, &devices)) {
    return false;
  }
  machine->cuda_version = (int)cuda_version;
  for (const struct json *device = devices; device != NULL; device = device->next) {
    snprintf(parser->place, sizeof parser->place, "devices[%d].", machine->device_count);
    struct fake_device *out = &machine->devices[machine->device_count];
    if (!parse_device(parser, device, out, machine->device_count, strcmp(machine->vendor, "nvidia") == 0)) {
      return false;
    }
    if (find_device(machine, out->uuid) >= 0) {
      return refuse(parser, "uuid", "is used twice");
    }
    machine->device_count++;
  }
  int i = 0;
  for (const struct json *device = devices; device != NULL; device = device->next, i++) {
    snprintf(parser->place, sizeof parser->place, "devices[%d].", i);
    if (!parse_links(parser, device, machine, &machine->devices[i])) {
      return false;
    }
  }
  return number_units(parser, machine);
}

static uint64_t digest(const char *text, size_t length) {
  uint64_t hash = 0xCBF29CE484222325ull; /* FNV-1a */
  for (size_t i = 0; i < length; i++) {
    hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3ull;
  }
  return hash;
}

bool fake_machine_parse(struct fake_machine *machine, const char *text, size_t length, char *error, size_t error_size) {
  memset(machine, 0, sizeof *machine);
  struct json_document *document = json_parse(text, length, error, error_size);
  if (document == NULL) {
    return false;
  }
  struct parser parser = {.error = error, .error_size = error_size};
  bool good = parse_machine(&parser, json_root(document), machine);
  json_free(document);
  machine->digest = digest(text, length);
  return good;
}

static struct fake_machine loaded;
static enum fake_machine_status load_status = FAKE_MACHINE_NONE;
static pthread_once_t load_once = PTHREAD_ONCE_INIT;

static bool read_file(const char *path, char **text, size_t *length, char *error, size_t error_size) {
  FILE *file = fopen(path, "re");
  size_t limit = (1u << 20) + 1;
  *text = malloc(limit);
  if (file == NULL || *text == NULL) {
    snprintf(error, error_size, "cannot be read: %s", strerror(errno));
  } else {
    *length = fread(*text, 1, limit, file);
  }
  bool good = file != NULL && *text != NULL && !ferror(file);
  if (file != NULL) {
    fclose(file);
  }
  return good;
}

static void load(void) {
  const char *path = getenv("HAMI_FAKE_MACHINE");
  if (path == NULL || path[0] == '\0') {
    return;
  }
  char error[256] = "cannot be read";
  char *text = NULL;
  size_t length = 0;
  bool good = read_file(path, &text, &length, error, sizeof error) &&
              fake_machine_parse(&loaded, text, length, error, sizeof error);
  free(text);
  load_status = good ? FAKE_MACHINE_READY : FAKE_MACHINE_BROKEN;
  if (!good) {
    fprintf(stderr, "hami fake driver: HAMI_FAKE_MACHINE %s: %s\n", path, error);
  }
}

enum fake_machine_status fake_machine_load(const struct fake_machine **machine) {
  pthread_once(&load_once, load);
  *machine = load_status == FAKE_MACHINE_READY ? &loaded : NULL;
  return load_status;
}
