#include "ordinals.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "vendor.h"

#define CACHED 64
#define NUMBERS "HAMI_DEVICE_NUMBERS"
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

static bool is_set(const char *value) { return value != NULL && value[0] != '\0'; }

/* Place in the share of the device that the driver gives this number; -1 when it is none of the share's. */
static long place_of(const char *numbers, long number, int count) {
  char text[UUID_SIZE];
  if (!is_set(numbers)) {
    return number;
  }
  for (int place = 0; place < count && element(numbers, place, text); place++) {
    char *end = NULL;
    if (strtol(text, &end, 10) == number && *end == '\0') {
      return place;
    }
  }
  return -1;
}

int hami_ordinals_resolve(const char *order, const char *numbers, int ordinal, int count) {
  long device = ordinal;
  char text[UUID_SIZE];
  if (is_set(order) && ordinal >= 0) {
    char *end = NULL;
    bool given = element(order, ordinal, text);
    device = given ? strtol(text, &end, 10) : -1;
    bool named = given && *end != '\0';
    device = named ? hami_core_device_by_uuid(text) : place_of(numbers, device, count);
  } else {
    device = place_of(numbers, device, count);
  }
  return device >= 0 && device < count ? (int)device : count - 1;
}

int hami_ordinals_device(int ordinal) {
  bool cached = ordinal >= 0 && ordinal < CACHED;
  int known = cached ? __atomic_load_n(&cache[ordinal], __ATOMIC_RELAXED) : 0;
  if (known == 0) {
    /* The runtime reads its variable once, at the start; a later value means nothing. */
    const char *order = hami_vendor.order == NULL ? NULL : getenv(hami_vendor.order);
    known = hami_ordinals_resolve(order, getenv(NUMBERS), ordinal, hami_core_device_count()) + 1;
    if (cached) {
      __atomic_store_n(&cache[ordinal], known, __ATOMIC_RELAXED);
    }
  }
  return known - 1;
}
