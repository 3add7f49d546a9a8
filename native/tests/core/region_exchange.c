/*
 * The region as the core sees it, for the tests of the reader in Python.
 *   region_exchange write FILE   makes a region with known values in every field
 *   region_exchange show FILE    joins a region and prints every field, one "record.field value" a line
 */
#include <fcntl.h>
#include <unistd.h>

#include "check.h"
#include "core/effects.h"
#include "core/region.h"
#include "core/slots.h"

#define DEVICES 2U
#define SLOT 3U
#define OTHER_SLOT 64U /* in the second segment */

static struct hami_region region;

static void write_device(uint32_t index) {
  struct hami_region_device *device = hami_region_device_at(&region, index);
  uint64_t base = 1000 * (index + 1);
  (void)snprintf(device->uuid, sizeof device->uuid, "GPU-%08u-0000-0000-0000-000000000000", index);
  device->memory_limit_bytes = index == 0 ? base : UINT64_MAX;
  device->core_percent = index == 0 ? 30 : 0;
  device->queue_end_ns = base + 1;
  device->queue_shift_ns = -(int64_t)base;
  device->typical_ns = base + 2;
  device->queue_percent = 31;
  device->busy_ns = base + 3;
  device->throttled_ns = base + 4;
  device->refused_count = base + 5;
  device->launched_ns = base + 6;
  device->others_busy_ns = base + 7;
  device->others_seen_ns = base + 8;
  device->learning_ns = base + 9;
}

static void write_slot(uint32_t slot, uint32_t pid) {
  struct hami_identity identity = {.pid = pid, .uid = 1000, .start_time = 77, .pid_namespace = 88};
  (void)snprintf(identity.command, sizeof identity.command, "train \x1b[2J%u", slot);
  uint64_t *owner = hami_slot_owner(&region, slot);
  *owner = (uint64_t)HAMI_REGION_OWNER_ACTIVE << 56 | 5ULL << 32 | pid;
  struct hami_region_slot *record = hami_slot_record(&region, slot);
  record->start_time = identity.start_time;
  record->pid_namespace = identity.pid_namespace;
  record->attached_ns = 11;
  record->active_ns = 12;
  record->uid = identity.uid;
  record->management = HAMI_REGION_MANAGEMENT_SILENT;
  memcpy(record->command, identity.command, sizeof record->command);
  for (uint32_t device = 0; device < DEVICES; device++) {
    *hami_slot_charged(&region, slot, device) = slot * 100 + device;
    *hami_slot_pending(&region, slot, device) = 9;
    for (unsigned int class = 0; class < HAMI_REGION_CLASSES; class++) {
      hami_slot_classes(&region, slot, device)[class] = slot * 1000 + device * 10 + class;
    }
  }
}

static void write_region(const char *path) {
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&region, &hami_effects_system, path, DEVICES));
  CHECK(hami_region_grow(&region, 1) && hami_region_map_new(&region));
  region.header->device_count = DEVICES;
  region.header->policy = 1;
  region.header->priority = 1;
  memset(region.header->boot_id, 7, sizeof region.header->boot_id);
  region.header->created_unix_ns = 21;
  region.header->heartbeat_ns = 22;
  region.header->reaped_ns = 23;
  region.header->reaped_count = 24;
  for (uint32_t device = 0; device < DEVICES; device++) {
    write_device(device);
  }
  write_slot(SLOT, 4321);
  write_slot(OTHER_SLOT, 4322);
}

static void show(const char *name, uint64_t value) { printf("%s %" PRIu64 "\n", name, value); }

#define SHOW(record, pointer, field) show(record "." #field, (uint64_t)(pointer)->field)

static void show_region(const char *path) {
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&region, &hami_effects_system, path, 1));
  const struct hami_region_header *header = region.header;
  SHOW("header", header, head_bytes);
  SHOW("header", header, device_bytes);
  SHOW("header", header, device_capacity);
  SHOW("header", header, segment_bytes);
  SHOW("header", header, segment_count);
  SHOW("header", header, device_count);
  SHOW("header", header, policy);
  SHOW("header", header, priority);
  SHOW("header", header, created_unix_ns);
  SHOW("header", header, heartbeat_ns);
  SHOW("header", header, reaped_ns);
  SHOW("header", header, reaped_count);
  const struct hami_region_device *device = hami_region_device_at(&region, 0);
  printf("device.uuid %s\n", device->uuid);
  SHOW("device", device, memory_limit_bytes);
  SHOW("device", device, core_percent);
  SHOW("device", device, queue_end_ns);
  SHOW("device", device, queue_shift_ns);
  SHOW("device", device, typical_ns);
  SHOW("device", device, queue_percent);
  SHOW("device", device, busy_ns);
  SHOW("device", device, throttled_ns);
  SHOW("device", device, refused_count);
  SHOW("device", device, launched_ns);
  SHOW("device", device, others_busy_ns);
  SHOW("device", device, others_seen_ns);
  SHOW("device", device, learning_ns);
  const struct hami_region_slot *record = hami_slot_record(&region, SLOT);
  SHOW("slot", record, start_time);
  SHOW("slot", record, pid_namespace);
  SHOW("slot", record, attached_ns);
  SHOW("slot", record, active_ns);
  SHOW("slot", record, uid);
  SHOW("slot", record, management);
  printf("slot.command %s\n", record->command);
}

int main(int count, char **arguments) {
  CHECK(count == 3);
  if (strcmp(arguments[1], "write") == 0) {
    write_region(arguments[2]);
  } else {
    show_region(arguments[2]);
  }
  return 0;
}
