/* The look at the container's own memory limit, over made-up files. */
#include "host_room.h"

#include <errno.h>

#include "tests/core/check.h"

#define MIB (1024ULL * 1024ULL)

static const char *files[8][2];

static ssize_t read_file(const char *path, char *buffer, size_t size) {
  for (int i = 0; i < 8; i++) {
    if (files[i][0] != NULL && strcmp(files[i][0], path) == 0) {
      size_t length = strlen(files[i][1]);
      length = length < size ? length : size;
      memcpy(buffer, files[i][1], length);
      return (ssize_t)length;
    }
  }
  return -ENOENT;
}

static const struct hami_effects effects = {.read_file = read_file};

static void set(int i, const char *path, const char *text) {
  files[i][0] = path;
  files[i][1] = text;
}

static void forget(void) { memset(files, 0, sizeof files); }

static bool room(uint64_t mib, uint64_t held_mib) { return hami_host_room(&effects, mib * MIB, held_mib * MIB); }

static void without_a_limit_there_is_room(void) {
  CHECK(room(1000000, 0));
  set(0, "/sys/fs/cgroup/memory.max", "max\n");
  set(1, "/sys/fs/cgroup/memory.current", "104857600\n");
  CHECK(room(1000000, 1000000));
  forget();
}

static void what_is_used_and_what_was_given_count(void) {
  set(0, "/sys/fs/cgroup/memory.max", "1073741824\n");    /* 1024 MiB */
  set(1, "/sys/fs/cgroup/memory.current", "524288000\n"); /* 500 */
  CHECK(room(524, 0));
  CHECK(!room(525, 0));
  CHECK(room(424, 600)); /* given, and perhaps touched already */
  CHECK(!room(425, 600));
  CHECK(!hami_host_room(&effects, UINT64_MAX, 0));
  CHECK(!hami_host_room(&effects, 1, UINT64_MAX));
  forget();
}

static void page_cache_is_room(void) {
  set(0, "/sys/fs/cgroup/memory.max", "1073741824\n");
  set(1, "/sys/fs/cgroup/memory.current", "1073741824\n");
  CHECK(!room(1, 0));
  set(2, "/sys/fs/cgroup/memory.stat",
      "anon 524288000\nfile 419430400\ninactive_anon 1\ninactive_file 209715200\nactive_file 209715200\n");
  CHECK(room(400, 0));
  CHECK(!room(401, 0));
  set(2, "/sys/fs/cgroup/memory.stat", "inactive_file 99999999999999999999999\nactive_file nonsense\n");
  CHECK(room(1024, 0)); /* more cache than there is: no less than all of it is room, and nothing wraps */
  forget();
}

static void the_older_version_is_read_where_the_newer_is_not(void) {
  set(0, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
  set(1, "/sys/fs/cgroup/memory/memory.usage_in_bytes", "524288000\n");
  CHECK(room(524, 0));
  CHECK(!room(525, 0));
  forget();
}

static void files_that_cannot_be_read_forbid_nothing(void) {
  static const char *const damaged[] = {"", "\n", "-1\n", "12 34\n", "0x100\n", "max"};
  for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
    set(0, "/sys/fs/cgroup/memory.max", damaged[i]);
    set(1, "/sys/fs/cgroup/memory.current", "524288000\n");
    CHECK(room(1000000, 0));
  }
  set(0, "/sys/fs/cgroup/memory.max", "1048576\n");
  files[1][0] = NULL;
  CHECK(room(1000000, 0));
  forget();
}

int main(void) {
  RUN(without_a_limit_there_is_room);
  RUN(what_is_used_and_what_was_given_count);
  RUN(page_cache_is_room);
  RUN(the_older_version_is_read_where_the_newer_is_not);
  RUN(files_that_cannot_be_read_forbid_nothing);
  return 0;
}
