#include "host_room.h"

#include <stddef.h>
#include <string.h>

#include "sizes.h"

/* As a container sees its own cgroup; version 2, then version 1 (cgroups(7)). */
static const struct files {
  const char *limit;
  const char *used;
  const char *details;
} versions[] = {
    {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"},
    {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
     "/sys/fs/cgroup/memory/memory.stat"},
};

/* Digits up to a line's end; false for anything else, "max" included. */
static bool read_number(const char *text, uint64_t *number) {
  uint64_t value = 0;
  const char *at = text;
  for (; *at >= '0' && *at <= '9'; at++) {
    value = hami_sizes_add(hami_sizes_multiply(value, 10), (uint64_t)(*at - '0'));
  }
  *number = value;
  return at != text && (*at == '\n' || *at == '\0');
}

static bool read_text(const struct hami_effects *effects, const char *path, char *text, size_t size) {
  ssize_t length = effects->read_file(path, text, size - 1);
  text[length < 0 ? 0 : length] = '\0';
  return length > 0;
}

static bool read_amount(const struct hami_effects *effects, const char *path, uint64_t *bytes) {
  char text[64];
  return read_text(effects, path, text, sizeof text) && read_number(text, bytes);
}

/* What the kernel gives up before it kills: the line "<name> <bytes>", 0 without one. */
static uint64_t detail(const char *text, const char *name) {
  size_t length = strlen(name);
  for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
    line += *line == '\n' ? 1 : 0;
    uint64_t bytes;
    if (strncmp(line, name, length) == 0 && line[length] == ' ' && read_number(line + length + 1, &bytes)) {
      return bytes;
    }
  }
  return 0;
}

bool hami_host_room(const struct hami_effects *effects, uint64_t bytes, uint64_t held_bytes) {
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    uint64_t limit;
    uint64_t used;
    if (!read_amount(effects, versions[i].limit, &limit) || !read_amount(effects, versions[i].used, &used)) {
      continue;
    }
    char details[2048]; /* the lines wanted are in the first half of these files */
    if (read_text(effects, versions[i].details, details, sizeof details)) {
      used = hami_sizes_subtract(used, detail(details, "inactive_file"));
      used = hami_sizes_subtract(used, detail(details, "active_file"));
    }
    return hami_sizes_add(used, bytes) <= limit && hami_sizes_add(held_bytes, bytes) <= limit;
  }
  return true;
}
