#include "check.h"
#include "core/dmem.h"

#define CARD "0000:03:00.0"

static uint64_t limit_in(const char *text) { return hami_dmem_limit_in(text, strlen(text), CARD); }

static void a_device_s_memory_is_found_by_its_address(void) {
  CHECK_EQUAL(1073741824, limit_in("drm/0000:03:00.0/vram0 1073741824\ndrm/0000:03:00.0/stolen max\n"));
  CHECK_EQUAL(7, limit_in("drm/0000:AF:00.0/vram0 5\ndrm/0000:03:00.0/vram0 7"));
  CHECK_EQUAL(7, hami_dmem_limit_in("nvidia/0000:af:00.0 7\n", 22, "0000:AF:00.0"));
  CHECK_EQUAL(0, limit_in("drm/0000:03:00.0/vram0 0\n"));
}

static void regions_of_one_device_count_together(void) {
  CHECK_EQUAL(30, limit_in("drm/0000:03:00.0/vram0 10\ndrm/0000:03:00.0/vram1 20\n"));
  CHECK_EQUAL(HAMI_UNLIMITED, limit_in("drm/0000:03:00.0/vram0 10\ndrm/0000:03:00.0/vram1 max\n"));
}

static void what_is_not_the_device_s_memory_sets_no_limit(void) {
  static const char *const texts[] = {
      "",
      "\n\n",
      "drm/0000:03:00.0/vram0 max\n",
      "drm/0000:03:00.0/stolen 8650752\n",
      "drm/0000:03:00.1/vram0 10\n",
      "drm/10000:03:00.0/vram0 10\n",
      "drm/0000:03:00.0 vram0 10\n",
      "drm/0000:03:00.0/vram0\n",
      "drm/0000:03:00.0/vram0 \n",
      "drm/0000:03:00.0/vram0 -1\n",
      "drm/0000:03:00.0/vram0 99999999999999999999999\n",
      "drm/0000:03:00.0/vram0 18446744073709551615\ndrm/0000:03:00.0/vram1 1\n",
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    CHECK_EQUAL(HAMI_UNLIMITED, limit_in(texts[i]));
  }
}

static const char *groups;
static const char *asked;
static char read_path[HAMI_PATH_SIZE];

static ssize_t answer(const char *text, char *buffer, size_t size) {
  size_t length = strlen(text) < size ? strlen(text) : size;
  memcpy(buffer, text, length);
  return (ssize_t)length;
}

static ssize_t read_file(const char *path, char *buffer, size_t size) {
  if (strcmp(path, "/proc/self/cgroup") == 0) {
    return answer(groups, buffer, size);
  }
  (void)snprintf(read_path, sizeof read_path, "%s", path);
  asked = read_path;
  return answer("drm/0000:03:00.0/vram0 42\n", buffer, size);
}

static uint64_t limit_of_group(const char *text) {
  const struct hami_effects effects = {.read_file = read_file};
  groups = text;
  asked = NULL;
  static struct hami_dmem_space space;
  return hami_dmem_limit(&effects, CARD, &space);
}

static void the_group_is_this_process_s_own(void) {
  CHECK_EQUAL(42, limit_of_group("0::/\n"));
  CHECK_TEXT("/sys/fs/cgroup/dmem.max", asked);
  CHECK_EQUAL(42, limit_of_group("4:memory:/old\n0::/kubepods.slice/pod 1/a\n"));
  CHECK_TEXT("/sys/fs/cgroup/kubepods.slice/pod 1/a/dmem.max", asked);
}

static void a_group_that_is_not_here_sets_no_limit(void) {
  char far[2 * HAMI_PATH_SIZE];
  memset(far, 'a', sizeof far);
  memcpy(far, "0::/", 4);
  far[sizeof far - 1] = '\0';
  const char *const texts[] = {"", "4:memory:/old\n", "0::/../../elsewhere\n", far};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    CHECK_EQUAL(HAMI_UNLIMITED, limit_of_group(texts[i]));
    CHECK(asked == NULL);
  }
}

int main(void) {
  RUN(a_device_s_memory_is_found_by_its_address);
  RUN(regions_of_one_device_count_together);
  RUN(what_is_not_the_device_s_memory_sets_no_limit);
  RUN(the_group_is_this_process_s_own);
  RUN(a_group_that_is_not_here_sets_no_limit);
  return 0;
}
