#include "partitions.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_ID 21u /* beyond the ids of instances of the machine file */

struct record {
  unsigned present;
  unsigned device;
  unsigned profile;
  unsigned start;
  unsigned computes;
};

static struct record records[FAKE_MAX_UNITS];
static int base = -1; /* units of the machine file */
static unsigned of_file[FAKE_MAX_DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct fake_machine *writable(const struct fake_machine *machine) {
  return (struct fake_machine *)(uintptr_t)machine; /* its storage is the double's own, and not constant */
}

static int open_file(int flags) {
  const char *state = getenv("HAMI_FAKE_STATE");
  char path[4096];
  if (state == NULL || state[0] == '\0' || snprintf(path, sizeof path, "%s.mig", state) >= (int)sizeof path) {
    return -1;
  }
  return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void show(struct fake_machine *machine) {
  if (base < 0) {
    base = machine->unit_count;
    for (int i = 0; i < machine->device_count; i++) {
      of_file[i] = machine->devices[i].instance_count;
    }
  }
  machine->unit_count = base;
  for (int i = 0; i < machine->device_count; i++) {
    machine->devices[i].instance_count = of_file[i];
  }
  for (int slot = 0; base + slot < FAKE_MAX_UNITS; slot++) {
    const struct record *record = &records[slot];
    if (!record->present || record->device >= (unsigned)machine->device_count) {
      continue;
    }
    struct fake_device *device = &machine->devices[record->device];
    if (device->instance_count == FAKE_MAX_INSTANCES || record->profile >= device->profile_count) {
      continue;
    }
    int unit = base + slot;
    struct fake_instance *instance = &device->instances[device->instance_count];
    *instance = (struct fake_instance){.profile = record->profile, .placement_start = record->start, .unit = unit};
    snprintf(instance->uuid, sizeof instance->uuid, "MIG-%08x-%04x-%04x-%04x-%012x", (unsigned)machine->digest,
             record->device, record->profile, record->start, (unsigned)unit);
    machine->units[unit] = (struct fake_unit){.device = (int)record->device,
                                              .instance = (int)device->instance_count,
                                              .memory_bytes = device->profiles[record->profile].memory_bytes};
    device->instance_count++;
    machine->unit_count = unit + 1;
  }
  for (int unit = base; unit < machine->unit_count; unit++) {
    if (!records[unit - base].present) {
      machine->units[unit] = (struct fake_unit){.device = 0, .instance = -1, .memory_bytes = 0};
    }
  }
}

static void load(int fd) {
  struct record read_records[FAKE_MAX_UNITS];
  if (fd >= 0 && pread(fd, read_records, sizeof read_records, 0) == (ssize_t)sizeof read_records) {
    memcpy(records, read_records, sizeof records);
  }
}

void fake_partitions_refresh(const struct fake_machine *machine) {
  pthread_mutex_lock(&lock);
  int fd = open_file(O_RDONLY);
  load(fd);
  if (fd >= 0) {
    close(fd);
  }
  show(writable(machine));
  pthread_mutex_unlock(&lock);
}

/* Between these two calls nobody else changes anything. */
static int begin(const struct fake_machine *machine) {
  pthread_mutex_lock(&lock);
  int fd = open_file(O_RDWR | O_CREAT);
  if (fd >= 0) {
    flock(fd, LOCK_EX);
    load(fd);
  }
  show(writable(machine));
  return fd;
}

static void end(const struct fake_machine *machine, int fd) {
  if (fd >= 0) {
    if (pwrite(fd, records, sizeof records, 0) != (ssize_t)sizeof records) {
      perror("hami fake driver: HAMI_FAKE_STATE.mig");
    }
    close(fd);
  }
  show(writable(machine));
  pthread_mutex_unlock(&lock);
}

unsigned fake_partitions_id(const struct fake_machine *machine, int unit) {
  return unit >= base ? FIRST_ID + (unsigned)(unit - base) : (unsigned)machine->units[unit].instance + 1;
}

static bool is_free(const struct fake_device *device, unsigned profile, unsigned start) {
  unsigned end_slice = start + device->profiles[profile].placement_size;
  for (unsigned i = 0; i < device->instance_count; i++) {
    const struct fake_instance *other = &device->instances[i];
    unsigned other_end = other->placement_start + device->profiles[other->profile].placement_size;
    if (start < other_end && other->placement_start < end_slice) {
      return false;
    }
  }
  return device->instance_count < FAKE_MAX_INSTANCES;
}

int fake_partitions_make(const struct fake_machine *machine, int device, unsigned profile, unsigned start) {
  int made = -1;
  int fd = begin(machine);
  for (int slot = 0; base + slot < FAKE_MAX_UNITS && is_free(&machine->devices[device], profile, start); slot++) {
    if (!records[slot].present) {
      records[slot] =
          (struct record){.present = 1, .device = (unsigned)device, .profile = profile, .start = start, .computes = 0};
      made = base + slot;
      break;
    }
  }
  end(machine, fd);
  return made;
}

bool fake_partitions_drop(const struct fake_machine *machine, int unit) {
  int fd = begin(machine);
  bool ours = unit >= base && records[unit - base].present;
  if (ours) {
    records[unit - base] = (struct record){.present = 0};
  }
  end(machine, fd);
  return ours;
}

bool fake_partitions_computes(const struct fake_machine *machine, int unit) {
  (void)machine;
  return unit < base || records[unit - base].computes;
}

void fake_partitions_set_computes(const struct fake_machine *machine, int unit, bool computes) {
  int fd = begin(machine);
  if (unit >= base && records[unit - base].present) {
    records[unit - base].computes = computes;
  }
  end(machine, fd);
}
