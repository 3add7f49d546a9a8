#include "ordinals.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "vendor.h"

#define CACHED 64
#define UUID_SIZE HAMI_UUID_SIZE

static int cache[CACHED]; /* index plus one; 0: not asked yet */

/* Element `wanted` of a comma-separated list, copied to `text`; false when there is none or it does not fit. */
static bool element(const char *list, int wanted, char text[UUID_SIZE]) {
  for (int i = 0; i < wanted; i++) {
    list = strchr(list, ',');
    if (list == NULL) {
      return false;
    }
    list++;
  }
  list += strspn(list, " ");
  size_t length = strcspn(list, ", ");
  if (length == 0 || length >= UUID_SIZE) {
    return false;
  }
  memcpy(text, list, length);
  text[length] = '\0';
  return true;
}

int hami_ordinals_resolve(const char *order, int ordinal, int count) {
  long device = ordinal;
  char text[UUID_SIZE];
  if (order != NULL && order[0] != '\0' && ordinal >= 0) {
    char *end = NULL;
    bool given = element(order, ordinal, text);
    device = given ? strtol(text, &end, 10) : -1;
    if (given && *end != '\0') {
      device = hami_core_device_by_uuid(text);
    }
  }
  return device >= 0 && device < count ? (int)device : count - 1;
}

int hami_ordinals_device(int ordinal) {
  bool cached = ordinal >= 0 && ordinal < CACHED;
  int known = cached ? __atomic_load_n(&cache[ordinal], __ATOMIC_RELAXED) : 0;
  if (known == 0) {
    /* The runtime reads its variable once, at the start; a later value means nothing. */
    const char *order = hami_vendor.order == NULL ? NULL : getenv(hami_vendor.order);
    known = hami_ordinals_resolve(order, ordinal, hami_core_device_count()) + 1;
    if (cached) {
      __atomic_store_n(&cache[ordinal], known, __ATOMIC_RELAXED);
    }
  }
  return known - 1;
}
