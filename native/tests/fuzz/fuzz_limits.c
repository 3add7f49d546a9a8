/*
 * The limits file as hostile bytes: whatever they are, what comes out is bounded, ends its texts, and is at least as
 * strict as what was read. The same bytes serve as values of the environment.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

static struct hami_limits limits;
static char value[512];

static void check_texts(void) {
  FUZZ_CHECK(limits.device_count <= HAMI_LIMITS_MAX_DEVICES);
  FUZZ_CHECK(memchr(limits.region, '\0', sizeof limits.region) != NULL);
  FUZZ_CHECK(limits.policy <= HAMI_POLICY_DISABLE && limits.priority <= 1);
  for (uint32_t i = 0; i < limits.device_count; i++) {
    const struct hami_device_limits *device = &limits.devices[i];
    FUZZ_CHECK(memchr(device->uuid, '\0', sizeof device->uuid) != NULL);
    FUZZ_CHECK(device->core_percent < 100);
    FUZZ_CHECK(device->contention <= HAMI_CONTENTION_SOME);
  }
}

/* A device is found by its own name, and a second line of that name never made it larger. */
static void check_devices(void) {
  for (uint32_t i = 0; i < limits.device_count; i++) {
    FUZZ_CHECK(limits.devices[i].uuid[0] != '\0');
    FUZZ_CHECK(hami_limits_find(&limits, limits.devices[i].uuid) == (int)i);
  }
}

static const char *get(const char *name) { return name[0] == '-' ? NULL : value; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct hami_env_names names = {.memory_limit = "memory",
                                              .core_limit = "core",
                                              .visible_devices = "visible",
                                              .policy = "policy",
                                              .priority = "priority",
                                              .oversubscribe = "oversubscribe",
                                              .region = "region"};
  /* A copy of exactly this size: reading one byte too many is noticed. */
  char *text = malloc(size == 0 ? 1 : size);
  FUZZ_CHECK(text != NULL);
  memcpy(text, data, size);
  bool read = hami_limits_parse(text, size, &limits);
  FUZZ_CHECK(read == (limits.device_count > 0));
  check_texts();
  check_devices();
  free(text);
  size_t length = size < sizeof value - 1 ? size : sizeof value - 1;
  memcpy(value, data, length);
  value[length] = '\0';
  (void)hami_limits_from_environment(&names, get, &limits);
  check_texts();
  return 0;
}
