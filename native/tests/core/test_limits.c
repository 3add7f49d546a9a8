#include "check.h"
#include "core/limits.h"

static struct hami_limits limits;

static bool parse(const char *text) { return hami_limits_parse(text, strlen(text), &limits); }

static void a_whole_file_is_read(void) {
  CHECK(parse("hami-limits 1\n"
              "region /run/hami/a region\n"
              "core-policy force\n"
              "priority 1\n"
              "oversubscribe yes\n"
              "device GPU-a memory_mib=23034 core_percent=30 contended=no yield=yes\n"
              "device GPU-b\n"));
  CHECK(!limits.damaged);
  CHECK_TEXT("/run/hami/a region", limits.region);
  CHECK_EQUAL(HAMI_POLICY_FORCE, limits.policy);
  CHECK_EQUAL(1, limits.priority);
  CHECK(limits.oversubscribe);
  CHECK_EQUAL(2, limits.device_count);
  CHECK_TEXT("GPU-a", limits.devices[0].uuid);
  CHECK_EQUAL(23034ULL << 20, limits.devices[0].memory_bytes);
  CHECK_EQUAL(30, limits.devices[0].core_percent);
  CHECK_EQUAL(HAMI_CONTENTION_NONE, limits.devices[0].contention);
  CHECK(limits.devices[0].yields);
  CHECK_EQUAL(HAMI_UNLIMITED, limits.devices[1].memory_bytes);
  CHECK_EQUAL(0, limits.devices[1].core_percent);
  CHECK_EQUAL(HAMI_CONTENTION_UNKNOWN, limits.devices[1].contention);
}

static void words_of_a_newer_version_are_ignored(void) {
  CHECK(parse("hami-limits 2\nnew-word 3\ndevice GPU-a memory_mib=5 new_key=x\n"));
  CHECK(!limits.damaged);
  CHECK_EQUAL(5ULL << 20, limits.devices[0].memory_bytes);
}

static void a_limit_that_cannot_be_read_becomes_the_strictest(void) {
  static const char *const values[] = {"", "2x", "-1", "1.5", "18446744073709551616", "18446744073709551615", " 5"};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    char text[128];
    (void)snprintf(text, sizeof text, "hami-limits 1\ndevice GPU-a memory_mib=%s core_percent=%s\n", values[i],
                   values[i]);
    CHECK(parse(text));
    CHECK(limits.damaged);
    CHECK_EQUAL(0, limits.devices[0].memory_bytes);
  }
  CHECK(parse("hami-limits 1\ndevice GPU-a core_percent=101\n"));
  CHECK(limits.damaged);
  CHECK_EQUAL(1, limits.devices[0].core_percent);
  CHECK(parse("hami-limits 1\ncore-policy none\npriority 7\ndevice GPU-a\n"));
  CHECK(limits.damaged);
  CHECK_EQUAL(HAMI_POLICY_FORCE, limits.policy);
  CHECK_EQUAL(1, limits.priority);
}

static void a_hundred_percent_is_no_limit(void) {
  CHECK(parse("hami-limits 1\ndevice GPU-a core_percent=100\n"));
  CHECK_EQUAL(0, limits.devices[0].core_percent);
}

static void a_device_named_twice_gets_the_stricter_of_both(void) {
  CHECK(parse("hami-limits 1\ndevice GPU-a memory_mib=9 core_percent=0\ndevice GPU-a memory_mib=5 core_percent=40\n"));
  CHECK(limits.damaged);
  CHECK_EQUAL(1, limits.device_count);
  CHECK_EQUAL(5ULL << 20, limits.devices[0].memory_bytes);
  CHECK_EQUAL(40, limits.devices[0].core_percent);
}

static void other_files_name_no_device(void) {
  CHECK(!parse(""));
  CHECK(!parse("device GPU-a memory_mib=1\n"));
  CHECK(!parse("hami-limits 1\n"));
  CHECK(!parse("hami-limitsX 1\ndevice GPU-a\n"));
}

static void more_devices_than_fit_are_left_out(void) {
  static char text[16384] = "hami-limits 1\n";
  for (int i = 0; i < HAMI_LIMITS_MAX_DEVICES + 3; i++) {
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "device GPU-%d memory_mib=1\n", i);
  }
  CHECK(parse(text));
  CHECK(limits.damaged);
  CHECK_EQUAL(HAMI_LIMITS_MAX_DEVICES, limits.device_count);
}

/* Any bytes at all: nothing may crash, and what is parsed stays within its bounds. */
static void random_bytes_do_no_harm(void) {
  static const char words[] = "hami-limits 1\ndevice GPU-a memory_mib=99 core_percent=5\nregion /x\npriority 0\n";
  unsigned int seed = 20261124;
  printf("seed %u\n", seed);
  for (int round = 0; round < 20000; round++) {
    char text[sizeof words];
    memcpy(text, words, sizeof words);
    for (int change = 0; change < 1 + round % 6; change++) {
      text[(size_t)rand_r(&seed) % (sizeof text - 1)] = (char)rand_r(&seed);
    }
    (void)hami_limits_parse(text, (size_t)rand_r(&seed) % sizeof text, &limits);
    CHECK(limits.device_count <= HAMI_LIMITS_MAX_DEVICES);
    for (uint32_t i = 0; i < limits.device_count; i++) {
      CHECK(limits.devices[i].core_percent < 100);
      CHECK(memchr(limits.devices[i].uuid, '\0', HAMI_UUID_SIZE) != NULL);
    }
  }
}

static const char *const (*environment)[2];

static const char *get(const char *name) {
  for (size_t i = 0; environment[i][0] != NULL; i++) {
    if (strcmp(environment[i][0], name) == 0) {
      return environment[i][1];
    }
  }
  return NULL;
}

static const struct hami_env_names names = {
    .memory_limit = "MEM",
    .core_limit = "SM",
    .region = "CACHE",
    .priority = "PRIO",
    .policy = "POLICY",
    .oversubscribe = "OVER",
    .visible_devices = "VISIBLE",
};

static bool from_environment(const char *const (*pairs)[2]) {
  environment = pairs;
  return hami_limits_from_environment(&names, get, &limits);
}

static void the_environment_is_read_like_the_file(void) {
  static const char *const pairs[][2] = {
      {"MEM", "1g"},
      {"MEM_1", "512MiB"},
      {"SM", "30"},
      {"CACHE", "/tmp/cache"},
      {"PRIO", "0"},
      {"POLICY", "DISABLE"},
      {"OVER", "true"},
      {"VISIBLE", "GPU-00000000-0000-0000-0000-00000000000a,GPU-00000000-0000-0000-0000-00000000000b"},
      {NULL, NULL},
  };
  CHECK(from_environment(pairs));
  CHECK(!limits.damaged);
  CHECK_EQUAL(2, limits.device_count);
  CHECK_EQUAL(1ULL << 30, limits.devices[0].memory_bytes);
  CHECK_EQUAL(512ULL << 20, limits.devices[1].memory_bytes);
  CHECK_EQUAL(30, limits.devices[1].core_percent);
  CHECK_TEXT("/tmp/cache", limits.region);
  CHECK_EQUAL(0, limits.priority);
  CHECK_EQUAL(HAMI_POLICY_DISABLE, limits.policy);
  CHECK(limits.oversubscribe);
  CHECK_EQUAL(1, hami_limits_find(&limits, "00000000-0000-0000-0000-00000000000B"));
}

static void without_uuids_the_environment_limits_devices_by_number(void) {
  static const char *const all[][2] = {{"MEM", "1024"}, {"VISIBLE", "all"}, {NULL, NULL}};
  CHECK(from_environment(all));
  CHECK(limits.device_count >= 16);
  CHECK_EQUAL(1024, limits.devices[limits.device_count - 1].memory_bytes);
  CHECK_TEXT("", limits.devices[0].uuid);
  static const char *const third[][2] = {{"MEM_2", "1024"}, {NULL, NULL}};
  CHECK(from_environment(third));
  CHECK_EQUAL(3, limits.device_count);
  CHECK_EQUAL(HAMI_UNLIMITED, limits.devices[0].memory_bytes);
  CHECK_EQUAL(1024, limits.devices[2].memory_bytes);
}

static void zero_in_the_environment_means_no_limit(void) {
  static const char *const pairs[][2] = {{"MEM", "0"}, {"SM", "100"}, {NULL, NULL}};
  CHECK(from_environment(pairs));
  CHECK_EQUAL(HAMI_UNLIMITED, limits.devices[0].memory_bytes);
  CHECK_EQUAL(0, limits.devices[0].core_percent);
}

static void nothing_in_the_environment_means_no_limits(void) {
  static const char *const pairs[][2] = {{"VISIBLE", "all"}, {"MEM", ""}, {NULL, NULL}};
  CHECK(!from_environment(pairs));
}

static void a_mistyped_amount_is_not_a_small_one(void) {
  static const char *const amounts[] = {"2x", "1.5g", "g", "99999999999999999999", "20000000t", "2 g"};
  for (size_t i = 0; i < sizeof amounts / sizeof *amounts; i++) {
    const char *const pairs[][2] = {{"MEM", amounts[i]}, {NULL, NULL}};
    CHECK(from_environment(pairs));
    CHECK(limits.damaged);
    CHECK_EQUAL(0, limits.devices[0].memory_bytes);
  }
  static const struct {
    const char *text;
    uint64_t bytes;
  } good[] = {{"2gb", 2ULL << 30}, {"3K", 3072}, {" 7m ", 7ULL << 20}, {"1T", 1ULL << 40}, {"512", 512}};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    const char *const pairs[][2] = {{"MEM", good[i].text}, {NULL, NULL}};
    CHECK(from_environment(pairs));
    CHECK(!limits.damaged);
    CHECK_EQUAL(good[i].bytes, limits.devices[0].memory_bytes);
  }
}

static void uuids_are_the_same_in_every_spelling(void) {
  static const char gpu[] = "GPU-0a1b2c3d-0000-1111-2222-333344445555";
  CHECK(hami_limits_same_uuid(gpu, "0A1B2C3D-0000-1111-2222-333344445555"));
  CHECK(hami_limits_same_uuid(gpu, gpu));
  CHECK(!hami_limits_same_uuid(gpu, "GPU-0a1b2c3d-0000-1111-2222-333344445556"));
  CHECK(!hami_limits_same_uuid("", ""));
  CHECK(hami_limits_same_uuid("MIG-GPU-x/1/0", "mig-gpu-x/1/0"));
  CHECK(!hami_limits_same_uuid("GPU-short", gpu));
}

int main(void) {
  RUN(a_whole_file_is_read);
  RUN(words_of_a_newer_version_are_ignored);
  RUN(a_limit_that_cannot_be_read_becomes_the_strictest);
  RUN(a_hundred_percent_is_no_limit);
  RUN(a_device_named_twice_gets_the_stricter_of_both);
  RUN(other_files_name_no_device);
  RUN(more_devices_than_fit_are_left_out);
  RUN(random_bytes_do_no_harm);
  RUN(the_environment_is_read_like_the_file);
  RUN(without_uuids_the_environment_limits_devices_by_number);
  RUN(zero_in_the_environment_means_no_limit);
  RUN(nothing_in_the_environment_means_no_limits);
  RUN(a_mistyped_amount_is_not_a_small_one);
  RUN(uuids_are_the_same_in_every_spelling);
  return 0;
}
