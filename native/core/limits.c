#include "core/limits.h"

#include <string.h>

#define BYTES_PER_MIB (1ULL << 20)
#define STRICTEST_PERCENT 1U
#define STRICTEST_BYTES 0U
#define UUID_DIGITS 36U
/* Devices assumed when only a limit for "every device" is known; HAMi's own library stops at 16. */
#define UNNAMED_DEVICES 64U

/* A piece of the text being read. */
struct span {
  const char *start;
  size_t length;
};

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static bool is_word(struct span span, const char *word) {
  return span.length == strlen(word) && memcmp(span.start, word, span.length) == 0;
}

static struct span trimmed(struct span span) {
  while (span.length > 0 && is_blank(span.start[0])) {
    span = (struct span){span.start + 1, span.length - 1};
  }
  while (span.length > 0 && is_blank(span.start[span.length - 1])) {
    span.length--;
  }
  return span;
}

/* Takes up to the next `separator` off `rest`. */
static struct span take_until(struct span *rest, char separator) {
  const char *end = rest->length == 0 ? NULL : memchr(rest->start, separator, rest->length);
  struct span taken = {rest->start, end == NULL ? rest->length : (size_t)(end - rest->start)};
  size_t skipped = end == NULL ? taken.length : taken.length + 1;
  *rest = (struct span){rest->start + skipped, rest->length - skipped};
  return taken;
}

static struct span take_word(struct span *rest) {
  *rest = trimmed(*rest);
  size_t length = 0;
  while (length < rest->length && !is_blank(rest->start[length])) {
    length++;
  }
  struct span word = {rest->start, length};
  *rest = (struct span){rest->start + length, rest->length - length};
  return word;
}

static bool read_number(struct span span, uint64_t *number) {
  uint64_t value = 0;
  for (size_t i = 0; i < span.length; i++) {
    if (span.start[i] < '0' || span.start[i] > '9' || __builtin_mul_overflow(value, 10U, &value) ||
        __builtin_add_overflow(value, (uint64_t)(span.start[i] - '0'), &value)) {
      return false;
    }
  }
  *number = value;
  return span.length > 0;
}

static bool copy_text(char *out, size_t size, struct span span) {
  if (span.length == 0 || span.length >= size || memchr(span.start, '\0', span.length) != NULL) {
    return false;
  }
  memcpy(out, span.start, span.length);
  out[span.length] = '\0';
  return true;
}

/* "yes" or "no"; anything else is damage and leaves `value`. */
static void read_flag(struct span span, bool *value, struct hami_limits *limits) {
  if (is_word(span, "yes") || is_word(span, "no")) {
    *value = is_word(span, "yes");
  } else {
    limits->damaged = true;
  }
}

static void read_memory(struct span span, struct hami_device_limits *device, struct hami_limits *limits) {
  uint64_t mib;
  uint64_t bytes;
  if (!read_number(span, &mib) || __builtin_mul_overflow(mib, BYTES_PER_MIB, &bytes)) {
    limits->damaged = true;
    bytes = STRICTEST_BYTES;
  }
  device->memory_bytes = bytes;
}

static void read_percent(struct span span, struct hami_device_limits *device, struct hami_limits *limits) {
  uint64_t percent;
  if (!read_number(span, &percent) || percent > 100) {
    limits->damaged = true;
    percent = STRICTEST_PERCENT;
  }
  device->core_percent = percent == 100 ? 0 : (uint32_t)percent;
}

static uint32_t stricter_percent(uint32_t left, uint32_t right) {
  if (left == 0 || right == 0) {
    return left | right;
  }
  return left < right ? left : right;
}

static void add_device(struct hami_limits *limits, const struct hami_device_limits *device) {
  int known = hami_limits_find(limits, device->uuid);
  if (known >= 0) { /* named twice: both lines hold */
    struct hami_device_limits *earlier = &limits->devices[known];
    limits->damaged = true;
    earlier->memory_bytes = device->memory_bytes < earlier->memory_bytes ? device->memory_bytes : earlier->memory_bytes;
    earlier->core_percent = stricter_percent(earlier->core_percent, device->core_percent);
  } else if (limits->device_count == HAMI_LIMITS_MAX_DEVICES) {
    limits->damaged = true;
  } else {
    limits->devices[limits->device_count++] = *device;
  }
}

static void read_device(struct span rest, struct hami_limits *limits) {
  struct hami_device_limits device = {.memory_bytes = HAMI_UNLIMITED};
  struct span uuid = take_word(&rest);
  if (!copy_text(device.uuid, sizeof device.uuid, uuid) || memchr(uuid.start, '=', uuid.length) != NULL) {
    limits->damaged = true;
    return;
  }
  for (struct span word = take_word(&rest); word.length > 0; word = take_word(&rest)) {
    struct span value = word;
    struct span key = take_until(&value, '=');
    if (is_word(key, "memory_mib")) {
      read_memory(value, &device, limits);
    } else if (is_word(key, "core_percent")) {
      read_percent(value, &device, limits);
    } else if (is_word(key, "contended")) {
      bool contended = true;
      read_flag(value, &contended, limits);
      device.contention = contended ? HAMI_CONTENTION_SOME : HAMI_CONTENTION_NONE;
    } else if (is_word(key, "yield")) {
      read_flag(value, &device.yields, limits);
    }
  }
  add_device(limits, &device);
}

static void read_policy(struct span span, struct hami_limits *limits) {
  static const char *const words[] = {
      [HAMI_POLICY_DEFAULT] = "default", [HAMI_POLICY_FORCE] = "force", [HAMI_POLICY_DISABLE] = "disable"};
  for (unsigned int i = 0; i < sizeof words / sizeof *words; i++) {
    if (is_word(span, words[i])) {
      limits->policy = (enum hami_policy)i;
      return;
    }
  }
  limits->policy = HAMI_POLICY_FORCE;
  limits->damaged = true;
}

static void read_line(struct span line, struct hami_limits *limits) {
  struct span key = take_word(&line);
  struct span rest = trimmed(line);
  if (is_word(key, "region")) {
    limits->damaged = !copy_text(limits->region, sizeof limits->region, rest) || limits->damaged;
  } else if (is_word(key, "core-policy")) {
    read_policy(rest, limits);
  } else if (is_word(key, "priority")) {
    uint64_t priority;
    bool valid = read_number(rest, &priority) && priority <= 1;
    limits->priority = valid ? (uint32_t)priority : 1;
    limits->damaged = !valid || limits->damaged;
  } else if (is_word(key, "oversubscribe")) {
    read_flag(rest, &limits->oversubscribe, limits);
  } else if (is_word(key, "device")) {
    read_device(rest, limits);
  }
}

bool hami_limits_parse(const char *text, size_t length, struct hami_limits *limits) {
  memset(limits, 0, sizeof *limits);
  struct span rest = {text, length};
  struct span first = take_until(&rest, '\n');
  if (!is_word(take_word(&first), "hami-limits")) {
    return false;
  }
  while (rest.length > 0) {
    read_line(take_until(&rest, '\n'), limits);
  }
  return limits->device_count > 0;
}

/* "512", "512m", "8G", "8GiB": the unit's letter, in either case, and nothing after it but i and b. */
static bool read_amount(struct span span, uint64_t *bytes) {
  static const char letters[] = "kmgt";
  unsigned int shift = 0;
  if (span.length > 1 && (span.start[span.length - 1] | 0x20) == 'b') {
    span.length--;
    if (span.length > 1 && (span.start[span.length - 1] | 0x20) == 'i') {
      span.length--;
    }
  }
  if (span.length > 1) {
    const char *letter = strchr(letters, span.start[span.length - 1] | 0x20);
    if (letter != NULL && *letter != '\0') {
      shift = 10U * (unsigned int)(letter - letters + 1);
      span.length--;
    }
  }
  uint64_t number;
  return read_number(span, &number) && !__builtin_mul_overflow(number, 1ULL << shift, bytes);
}

/* Value of <name>_<i>, or NULL. */
static const char *get_numbered(const char *(*get)(const char *), const char *name, uint32_t i) {
  char numbered[128];
  size_t length = strlen(name);
  if (length + 5 > sizeof numbered) {
    return NULL;
  }
  memcpy(numbered, name, length);
  numbered[length++] = '_';
  if (i >= 100) {
    numbered[length++] = (char)('0' + i / 100);
  }
  if (i >= 10) {
    numbered[length++] = (char)('0' + i / 10 % 10);
  }
  numbered[length++] = (char)('0' + i % 10);
  numbered[length] = '\0';
  return get(numbered);
}

static struct span span_of(const char *text) {
  return text == NULL ? (struct span){NULL, 0} : trimmed((struct span){text, strlen(text)});
}

static struct span environment_value(const char *(*get)(const char *), const char *name) {
  return span_of(name == NULL ? NULL : get(name));
}

static void read_environment_memory(struct span span, struct hami_device_limits *device, struct hami_limits *limits) {
  uint64_t bytes = 0;
  bool valid = read_amount(span, &bytes);
  limits->damaged = !valid || limits->damaged;
  device->memory_bytes = !valid ? STRICTEST_BYTES : bytes == 0 ? HAMI_UNLIMITED : bytes;
}

static void read_environment_percent(struct span span, struct hami_device_limits *device, struct hami_limits *limits) {
  uint64_t percent = 0;
  bool valid = read_number(span, &percent);
  limits->damaged = !valid || limits->damaged;
  device->core_percent = !valid ? STRICTEST_PERCENT : percent >= 100 ? 0 : (uint32_t)percent;
}

/* Names devices by the uuids in a list like "GPU-a,GPU-b"; other forms ("all", "0,1") name none. */
static void name_devices(struct span list, struct hami_limits *limits) {
  while (list.length > 0 && limits->device_count < HAMI_LIMITS_MAX_DEVICES) {
    struct span item = trimmed(take_until(&list, ','));
    struct hami_device_limits device = {.memory_bytes = HAMI_UNLIMITED};
    if (item.length <= UUID_DIGITS || !copy_text(device.uuid, sizeof device.uuid, item)) {
      limits->device_count = 0;
      return;
    }
    limits->devices[limits->device_count++] = device;
  }
}

static void read_environment_scalars(const struct hami_env_names *names, const char *(*get)(const char *),
                                     struct hami_limits *limits) {
  struct span policy = environment_value(get, names->policy);
  limits->policy = is_word(policy, "force") || is_word(policy, "FORCE")       ? HAMI_POLICY_FORCE
                   : is_word(policy, "disable") || is_word(policy, "DISABLE") ? HAMI_POLICY_DISABLE
                                                                              : HAMI_POLICY_DEFAULT;
  uint64_t priority;
  bool has_priority = read_number(environment_value(get, names->priority), &priority);
  limits->priority = has_priority && priority == 0 ? 0 : 1;
  struct span oversubscribe = environment_value(get, names->oversubscribe);
  limits->oversubscribe = is_word(oversubscribe, "true") || is_word(oversubscribe, "1");
  (void)copy_text(limits->region, sizeof limits->region, environment_value(get, names->region));
}

bool hami_limits_from_environment(const struct hami_env_names *names, const char *(*get)(const char *name),
                                  struct hami_limits *limits) {
  memset(limits, 0, sizeof *limits);
  read_environment_scalars(names, get, limits);
  name_devices(environment_value(get, names->visible_devices), limits);
  struct span memory_for_all = environment_value(get, names->memory_limit);
  struct span percent_for_all = environment_value(get, names->core_limit);
  bool named = limits->device_count > 0;
  bool found = false;
  uint32_t count = named ? limits->device_count : HAMI_LIMITS_MAX_DEVICES;
  uint32_t last = 0;
  for (uint32_t i = 0; i < count; i++) {
    struct hami_device_limits *device = &limits->devices[i];
    device->memory_bytes = HAMI_UNLIMITED;
    struct span memory =
        names->memory_limit == NULL ? (struct span){NULL, 0} : span_of(get_numbered(get, names->memory_limit, i));
    struct span percent =
        names->core_limit == NULL ? (struct span){NULL, 0} : span_of(get_numbered(get, names->core_limit, i));
    last = memory.length > 0 || percent.length > 0 ? i + 1 : last;
    memory = memory.length > 0 ? memory : memory_for_all;
    percent = percent.length > 0 ? percent : percent_for_all;
    if (memory.length > 0) {
      read_environment_memory(memory, device, limits);
    }
    if (percent.length > 0) {
      read_environment_percent(percent, device, limits);
    }
    found = found || memory.length > 0 || percent.length > 0;
  }
  bool for_all = memory_for_all.length > 0 || percent_for_all.length > 0;
  limits->device_count = named ? limits->device_count : for_all && last < UNNAMED_DEVICES ? UNNAMED_DEVICES : last;
  return found;
}

void hami_limits_strictest(struct hami_limits *limits) {
  memset(limits, 0, sizeof *limits);
  limits->damaged = true;
  limits->policy = HAMI_POLICY_FORCE;
  limits->priority = 1;
  limits->device_count = UNNAMED_DEVICES;
  for (uint32_t i = 0; i < UNNAMED_DEVICES; i++) {
    limits->devices[i].memory_bytes = STRICTEST_BYTES;
    limits->devices[i].core_percent = STRICTEST_PERCENT;
  }
}

/* The last 36 characters, where they have a uuid's form; the whole text otherwise. */
static struct span significant(const char *uuid) {
  struct span whole = {uuid, strnlen(uuid, HAMI_UUID_SIZE)};
  if (whole.length < UUID_DIGITS) {
    return whole;
  }
  struct span tail = {uuid + whole.length - UUID_DIGITS, UUID_DIGITS};
  for (size_t i = 0; i < UUID_DIGITS; i++) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    char c = tail.start[i];
    bool digit = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
    if (dash ? c != '-' : !digit) {
      return whole;
    }
  }
  return tail;
}

bool hami_limits_same_uuid(const char *left, const char *right) {
  struct span a = significant(left);
  struct span b = significant(right);
  if (a.length != b.length || a.length == 0) {
    return false;
  }
  for (size_t i = 0; i < a.length; i++) {
    char x = a.start[i];
    char y = b.start[i];
    x = x >= 'A' && x <= 'Z' ? (char)(x | 0x20) : x;
    y = y >= 'A' && y <= 'Z' ? (char)(y | 0x20) : y;
    if (x != y) {
      return false;
    }
  }
  return true;
}

int hami_limits_find(const struct hami_limits *limits, const char *uuid) {
  for (uint32_t i = 0; i < limits->device_count; i++) {
    if (hami_limits_same_uuid(limits->devices[i].uuid, uuid)) {
      return (int)i;
    }
  }
  return -1;
}
