#include "check.h"
#include "world.h"

static struct world_process *process;

static void begin(const char *text) {
  if (process != NULL) {
    world_free(process);
  }
  world_begin();
  world_write("limits", text);
  process = world_process(7);
}

static void limits_follow_their_file(void) {
  begin("hami-limits 1\ndevice " WORLD_GPU_0 " memory_mib=100 core_percent=20\n");
  CHECK_EQUAL(100 * MIB, hami_ledger_limit_bytes(&process->ledger, 0));
  world_write("limits", "hami-limits 1\ndevice " WORLD_GPU_0 " memory_mib=200\n");
  world_now_ns += 60000000;
  CHECK_EQUAL(200 * MIB, hami_ledger_limit_bytes(&process->ledger, 0));
  CHECK_EQUAL(0, process->limits.core_percent[0]);
}

static void a_file_written_in_place_is_noticed_too(void) {
  begin("hami-limits 1\ndevice " WORLD_GPU_0 " memory_mib=100\n");
  FILE *file = fopen(world_path("limits"), "w");
  CHECK(file != NULL && fputs("hami-limits 1\ndevice " WORLD_GPU_0 " memory_mib=50\n", file) >= 0);
  CHECK(fclose(file) == 0);
  hami_live_limits_check(&process->limits);
  CHECK_EQUAL(50 * MIB, process->limits.memory_bytes[0]);
}

static void an_unusable_or_missing_file_changes_nothing(void) {
  begin("hami-limits 1\ndevice " WORLD_GPU_0 " memory_mib=100\n");
  world_write("limits", "half a fi");
  hami_live_limits_check(&process->limits);
  CHECK_EQUAL(100 * MIB, process->limits.memory_bytes[0]);
  CHECK(remove(world_path("limits")) == 0);
  hami_live_limits_check(&process->limits);
  CHECK_EQUAL(100 * MIB, process->limits.memory_bytes[0]);
}

static void a_device_keeps_its_index_whatever_the_file_does(void) {
  begin("hami-limits 1\ndevice " WORLD_GPU_0 " memory_mib=100\n");
  world_write("limits", "hami-limits 1\ndevice " WORLD_GPU_1 " memory_mib=7\ndevice " WORLD_GPU_0 " memory_mib=8\n");
  hami_live_limits_check(&process->limits);
  CHECK_EQUAL(8 * MIB, process->limits.memory_bytes[0]);
  CHECK_EQUAL(1, hami_live_limits_find(&process->limits, WORLD_GPU_1));
  world_write("limits", "hami-limits 1\ndevice " WORLD_GPU_1 " memory_mib=9\n");
  hami_live_limits_check(&process->limits);
  CHECK_EQUAL(8 * MIB, process->limits.memory_bytes[0]);
  CHECK_EQUAL(9 * MIB, process->limits.memory_bytes[1]);
}

static const char *no_file(const char *name) { return strcmp(name, "MEM") == 0 ? "1k" : NULL; }

static void a_device_known_by_number_is_named_once(void) {
  static struct hami_live_limits live;
  static const struct hami_env_names names = {.memory_limit = "MEM"};
  CHECK(hami_live_limits_open(&live, &world_effects, &names, no_file));
  CHECK_EQUAL((uint64_t)-1, (uint64_t)hami_live_limits_find(&live, WORLD_GPU_0));
  CHECK(hami_live_limits_name(&live, 1, WORLD_GPU_0));
  CHECK(!hami_live_limits_name(&live, 1, WORLD_GPU_1));
  CHECK(!hami_live_limits_name(&live, 4000, WORLD_GPU_1));
  CHECK(!hami_live_limits_name(&live, 2, ""));
  CHECK_EQUAL(1, hami_live_limits_find(&live, WORLD_GPU_0));
}

static bool fixed_is_beyond_reach(const char *path) { return strcmp(path, HAMI_LIMITS_FIXED_PATH) == 0; }

static ssize_t read_fixed(const char *path, char *buffer, size_t size) {
  const char *text = strcmp(path, HAMI_LIMITS_FIXED_PATH) == 0 ? "hami-limits 1\ndevice GPU-x memory_mib=1\n"
                                                               : "hami-limits 1\ndevice GPU-x memory_mib=999\n";
  CHECK(strlen(text) < size);
  memcpy(buffer, text, strlen(text));
  return (ssize_t)strlen(text);
}

static bool every_file_exists(const char *path, struct hami_file_version *version) {
  (void)path;
  memset(version, 0, sizeof *version);
  return true;
}

static const char *own_file(const char *name) {
  return strcmp(name, HAMI_LIMITS_FILE_VARIABLE) == 0 ? "/home/me/limits" : NULL;
}

static void a_file_beyond_reach_wins_over_one_the_program_names(void) {
  static struct hami_live_limits live;
  static const struct hami_env_names names;
  struct hami_effects effects = world_effects;
  effects.beyond_reach = fixed_is_beyond_reach;
  effects.read_file = read_fixed;
  effects.file_version = every_file_exists;
  CHECK(hami_live_limits_open(&live, &effects, &names, own_file));
  CHECK_EQUAL(1 * MIB, live.memory_bytes[0]);
  effects.beyond_reach = world_effects.beyond_reach;
  CHECK(hami_live_limits_open(&live, &effects, &names, own_file));
  CHECK_EQUAL(999 * MIB, live.memory_bytes[0]);
}

static const char *missing_file(const char *name) {
  return strcmp(name, HAMI_LIMITS_FILE_VARIABLE) == 0 ? world_path("no-such-file") : NULL;
}

static const char *missing_file_and_amount(const char *name) {
  return strcmp(name, "MEM") == 0 ? "5" : missing_file(name);
}

static const char *nothing(const char *name) {
  (void)name;
  return NULL;
}

static void a_file_that_is_named_and_unusable_is_not_freedom(void) {
  static struct hami_live_limits live;
  static const struct hami_env_names names = {.memory_limit = "MEM"};
  world_begin();
  CHECK(hami_live_limits_open(&live, &world_effects, &names, missing_file));
  CHECK(live.device_count > 0);
  CHECK_EQUAL(0, live.memory_bytes[0]);
  CHECK(hami_live_limits_open(&live, &world_effects, &names, missing_file_and_amount));
  CHECK_EQUAL(5, live.memory_bytes[0]);
  CHECK(!hami_live_limits_open(&live, &world_effects, &names, nothing));
}

int main(void) {
  RUN(limits_follow_their_file);
  RUN(a_file_written_in_place_is_noticed_too);
  RUN(an_unusable_or_missing_file_changes_nothing);
  RUN(a_device_keeps_its_index_whatever_the_file_does);
  RUN(a_device_known_by_number_is_named_once);
  RUN(a_file_beyond_reach_wins_over_one_the_program_names);
  RUN(a_file_that_is_named_and_unusable_is_not_freedom);
  world_free(process);
  return 0;
}
