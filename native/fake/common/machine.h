/*
 * The simulated machine, as its JSON file describes it. Read once per process; immutable afterwards, so no lock.
 * A card is a unit of memory and of compute; so is each MIG instance. Units number the cards first, then the instances.
 */
#ifndef HAMI_FAKE_MACHINE_H
#define HAMI_FAKE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_MAX_DEVICES 16
#define FAKE_MAX_UNITS 64
#define FAKE_MAX_LINKS 32
#define FAKE_MAX_LANES 36
#define FAKE_MAX_PROFILES 16
#define FAKE_MAX_PLACEMENTS 16
#define FAKE_MAX_INSTANCES 7
#define FAKE_MIB (1024ull * 1024ull)

struct fake_link {
  int peer;      /* device index */
  int count;     /* NVLink lanes */
  char kind[24]; /* as in the file: "nvlink", "single-switch", ... */
};

struct fake_profile {
  char name[32];
  unsigned id;                      /* NVML_GPU_INSTANCE_PROFILE_* */
  unsigned gpu_instance_profile_id; /* what nvidia-smi prints, such as 19 */
  uint64_t memory_bytes;
  unsigned slice_count;
  unsigned multiprocessors;
  unsigned instance_count;
  unsigned placement_size;
  unsigned placement_count;
  unsigned placements[FAKE_MAX_PLACEMENTS];
};

struct fake_instance {
  char uuid[64];
  unsigned profile; /* index into profiles */
  unsigned placement_start;
  int unit;
};

struct fake_device {
  char uuid[64];
  char model[96];
  char serial[32];
  int index;
  uint64_t memory_bytes;
  uint64_t reserved_bytes;
  uint64_t context_bytes;
  unsigned core_units; /* in the unit of the vendor's cores */
  bool healthy;        /* when the machine starts */
  unsigned multiprocessors;
  unsigned threads_per_multiprocessor;
  unsigned compute_major;
  unsigned compute_minor;
  int numa; /* -1: none */
  unsigned pci_domain;
  unsigned pci_bus;
  unsigned pci_device;
  unsigned power_limit_mw;
  unsigned idle_power_mw;
  unsigned temperature_c;
  unsigned sm_clock_mhz;
  unsigned memory_clock_mhz;
  bool unified_memory; /* memory belongs to the host: NVML does not report it */
  bool mig_capable;
  bool mig_enabled;
  unsigned profile_count;
  struct fake_profile profiles[FAKE_MAX_PROFILES];
  unsigned instance_count;
  struct fake_instance instances[FAKE_MAX_INSTANCES];
  unsigned switch_lanes; /* NVLink lanes to an NVSwitch, which the links then go through */
  unsigned link_count;
  struct fake_link links[FAKE_MAX_LINKS];
};

struct fake_unit {
  int device;
  int instance;          /* -1: the card itself */
  uint64_t memory_bytes; /* what allocations and contexts may take */
};

struct fake_machine {
  char name[64];
  char vendor[32];
  char driver_version[32];
  int cuda_version;
  int device_count;
  struct fake_device devices[FAKE_MAX_DEVICES];
  int unit_count;
  struct fake_unit units[FAKE_MAX_UNITS];
  uint64_t digest; /* of the file's text: processes on one state file must agree */
};

/* Fills `machine` from JSON text; false with a message in `error` when it does not describe a machine. */
bool fake_machine_parse(struct fake_machine *machine, const char *text, size_t length, char *error, size_t error_size);

enum fake_machine_status { FAKE_MACHINE_READY, FAKE_MACHINE_NONE, FAKE_MACHINE_BROKEN };

/*
 * The machine of HAMI_FAKE_MACHINE, read on the first call. NONE: the variable is unset or empty. BROKEN: the file
 * cannot be used; the first call said why on stderr, since a test double that stays silent wastes its user's time.
 */
enum fake_machine_status fake_machine_load(const struct fake_machine **machine);

#endif
