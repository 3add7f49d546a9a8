#include "core/dmem.h"

#include <string.h>
#include <strings.h>

#define ROOT "/sys/fs/cgroup"
#define FILE_NAME "/dmem.max"
#define UNIFIED "0::" /* the line of the one hierarchy of version 2 in /proc/PID/cgroup */

struct part {
  const char *start;
  size_t length;
};

/* Cuts off what comes before `end`, and it; all that is left where there is none. */
static struct part cut(struct part *rest, char end) {
  const char *found = rest->length == 0 ? NULL : memchr(rest->start, end, rest->length);
  struct part head = {rest->start, found == NULL ? rest->length : (size_t)(found - rest->start)};
  size_t taken = head.length + (found == NULL ? 0 : 1);
  rest->start += taken;
  rest->length -= taken;
  return head;
}

static bool starts_with(struct part part, const char *text) {
  size_t length = strlen(text);
  return part.length >= length && memcmp(part.start, text, length) == 0;
}

static bool is_memory_of(struct part region, const char *bus_id) {
  bool ours = false;
  struct part last = {NULL, 0};
  while (region.length > 0) {
    last = cut(&region, '/');
    bool here = last.length == strlen(bus_id) && strncasecmp(last.start, bus_id, last.length) == 0;
    if (here && region.length == 0) {
      return true; /* a device with one region needs no name for it */
    }
    ours = ours || here;
  }
  return ours && starts_with(last, "vram");
}

static bool read_number(struct part part, uint64_t *number) {
  *number = 0;
  for (size_t i = 0; i < part.length; i++) {
    char c = part.start[i];
    if (c < '0' || c > '9' || __builtin_mul_overflow(*number, 10, number) ||
        __builtin_add_overflow(*number, (uint64_t)(c - '0'), number)) {
      return false;
    }
  }
  return part.length > 0;
}

uint64_t hami_dmem_limit_in(const char *text, size_t length, const char *bus_id) {
  struct part rest = {text, length};
  uint64_t total = 0;
  bool found = false;
  while (rest.length > 0) {
    struct part line = cut(&rest, '\n');
    struct part region = cut(&line, ' ');
    uint64_t bytes;
    if (!is_memory_of(region, bus_id)) {
      continue;
    }
    if (!read_number(line, &bytes) || __builtin_add_overflow(total, bytes, &total)) {
      return HAMI_UNLIMITED; /* "max" */
    }
    found = true;
  }
  return found ? total : HAMI_UNLIMITED;
}

/* Where this process's group has its files; false where the machine has no unified hierarchy, or it leads elsewhere. */
static bool find_file(const struct hami_effects *effects, struct hami_dmem_space *space) {
  ssize_t length = effects->read_file("/proc/self/cgroup", space->text, sizeof space->text);
  struct part rest = {space->text, length < 0 ? 0 : (size_t)length};
  while (rest.length > 0) {
    struct part line = cut(&rest, '\n');
    if (!starts_with(line, UNIFIED)) {
      continue;
    }
    struct part group = {line.start + strlen(UNIFIED), line.length - strlen(UNIFIED)};
    bool at_root = group.length == 1;
    size_t room = HAMI_PATH_SIZE - sizeof ROOT - sizeof FILE_NAME;
    if (group.length > room || memmem(group.start, group.length, "/..", 3) != NULL) {
      return false; /* a group outside this namespace's root has no files here */
    }
    memcpy(space->path, ROOT, sizeof ROOT);
    char *end = space->path + sizeof ROOT - 1;
    memcpy(end, group.start, at_root ? 0 : group.length);
    memcpy(end + (at_root ? 0 : group.length), FILE_NAME, sizeof FILE_NAME);
    return true;
  }
  return false;
}

uint64_t hami_dmem_limit(const struct hami_effects *effects, const char *bus_id, struct hami_dmem_space *space) {
  if (!find_file(effects, space)) {
    return HAMI_UNLIMITED;
  }
  ssize_t length = effects->read_file(space->path, space->text, sizeof space->text);
  return length <= 0 ? HAMI_UNLIMITED : hami_dmem_limit_in(space->text, (size_t)length, bus_id);
}
