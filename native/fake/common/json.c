#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT (1u << 20)
#define MAX_NODES 65536u
#define MAX_DEPTH 32

struct json_document {
  struct json *nodes;
  size_t used;
  size_t capacity;
  char *strings; /* decoded strings; decoding never makes text longer, so one block of the text's size holds them */
  size_t strings_used;
};

struct reader {
  struct json_document *document;
  const char *text;
  size_t length;
  size_t at;
  int depth;
  char *error;
  size_t error_size;
};

static void *fail(struct reader *reader, const char *problem) {
  size_t line = 1;
  for (size_t i = 0; i < reader->at && i < reader->length; i++) {
    line += reader->text[i] == '\n';
  }
  snprintf(reader->error, reader->error_size, "line %zu: %s", line, problem);
  return NULL;
}

static void skip_space(struct reader *reader) {
  while (reader->at < reader->length && strchr(" \t\r\n", reader->text[reader->at]) != NULL &&
         reader->text[reader->at] != '\0') {
    reader->at++;
  }
}

static char peek(const struct reader *reader) { return reader->at < reader->length ? reader->text[reader->at] : '\0'; }

static bool take(struct reader *reader, char wanted) {
  skip_space(reader);
  if (peek(reader) != wanted) {
    return false;
  }
  reader->at++;
  return true;
}

static struct json *new_node(struct reader *reader, enum json_kind kind) {
  struct json_document *document = reader->document;
  if (document->used == document->capacity) {
    return fail(reader, "too many values");
  }
  struct json *node = &document->nodes[document->used++];
  memset(node, 0, sizeof *node);
  node->kind = kind;
  return node;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hex digits after \u, or -1. */
static int32_t read_code_unit(struct reader *reader) {
  int32_t value = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hex_digit(peek(reader));
    if (digit < 0) {
      return -1;
    }
    value = value * 16 + digit;
    reader->at++;
  }
  return value;
}

static size_t encode_utf8(uint32_t point, char *out) {
  if (point < 0x80) {
    out[0] = (char)point;
    return 1;
  }
  if (point < 0x800) {
    out[0] = (char)(0xC0 | (point >> 6));
    out[1] = (char)(0x80 | (point & 0x3F));
    return 2;
  }
  if (point < 0x10000) {
    out[0] = (char)(0xE0 | (point >> 12));
    out[1] = (char)(0x80 | ((point >> 6) & 0x3F));
    out[2] = (char)(0x80 | (point & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | (point >> 18));
  out[1] = (char)(0x80 | ((point >> 12) & 0x3F));
  out[2] = (char)(0x80 | ((point >> 6) & 0x3F));
  out[3] = (char)(0x80 | (point & 0x3F));
  return 4;
}

static bool read_unicode_escape(struct reader *reader, char **out) {
  int32_t unit = read_code_unit(reader);
  if (unit <= 0) {
    return false; /* malformed, or a NUL that no C string can hold */
  }
  uint32_t point = (uint32_t)unit;
  if (unit >= 0xD800 && unit < 0xDC00) {
    if (peek(reader) != '\\') {
      return false;
    }
    reader->at++;
    if (peek(reader) != 'u') {
      return false;
    }
    reader->at++;
    int32_t low = read_code_unit(reader);
    if (low < 0xDC00 || low > 0xDFFF) {
      return false;
    }
    point = 0x10000u + (((uint32_t)unit - 0xD800u) << 10) + ((uint32_t)low - 0xDC00u);
  } else if (unit >= 0xDC00 && unit <= 0xDFFF) {
    return false;
  }
  *out += encode_utf8(point, *out);
  return true;
}

static const char *read_string(struct reader *reader) {
  static const char names[] = "\"\\/bfnrt";
  static const char values[] = "\"\\/\b\f\n\r\t";
  char *start = reader->document->strings + reader->document->strings_used;
  char *out = start;
  for (;;) {
    if (reader->at >= reader->length) {
      return fail(reader, "string without an end");
    }
    char c = reader->text[reader->at++];
    if (c == '"') {
      break;
    }
    if ((unsigned char)c < 0x20) {
      return fail(reader, "control character in a string");
    }
    if (c != '\\') {
      *out++ = c;
      continue;
    }
    char escape = peek(reader);
    const char *known = escape == '\0' ? NULL : strchr(names, escape);
    reader->at++;
    if (known != NULL) {
      *out++ = values[known - names];
    } else if (escape != 'u' || !read_unicode_escape(reader, &out)) {
      return fail(reader, "bad escape in a string");
    }
  }
  *out++ = '\0';
  reader->document->strings_used += (size_t)(out - start);
  return start;
}

static struct json *read_integer(struct reader *reader) {
  bool negative = peek(reader) == '-';
  reader->at += negative;
  size_t start = reader->at;
  int64_t value = 0;
  while (peek(reader) >= '0' && peek(reader) <= '9') {
    int digit = peek(reader) - '0';
    if (__builtin_mul_overflow(value, (int64_t)10, &value) || __builtin_add_overflow(value, (int64_t)digit, &value)) {
      return fail(reader, "number too large");
    }
    reader->at++;
  }
  size_t digits = reader->at - start;
  if (digits == 0 || (digits > 1 && reader->text[start] == '0')) {
    return fail(reader, "value expected");
  }
  if (peek(reader) == '.' || peek(reader) == 'e' || peek(reader) == 'E') {
    return fail(reader, "whole number expected");
  }
  struct json *node = new_node(reader, JSON_INTEGER);
  if (node != NULL) {
    node->integer = negative ? -value : value;
  }
  return node;
}

static struct json *read_word(struct reader *reader) {
  static const struct {
    const char *word;
    enum json_kind kind;
    bool truth;
  } words[] = {{"null", JSON_NULL, false}, {"true", JSON_BOOL, true}, {"false", JSON_BOOL, false}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t size = strlen(words[i].word);
    if (reader->length - reader->at >= size && memcmp(reader->text + reader->at, words[i].word, size) == 0) {
      reader->at += size;
      struct json *node = new_node(reader, words[i].kind);
      if (node != NULL) {
        node->truth = words[i].truth;
      }
      return node;
    }
  }
  return fail(reader, "value expected");
}

static struct json *read_value(struct reader *reader);

/* One member of an object: its key, a colon, its value. */
static struct json *read_pair(struct reader *reader) {
  if (!take(reader, '"')) {
    return fail(reader, "key in double quotes expected");
  }
  const char *key = read_string(reader);
  if (key == NULL) {
    return NULL;
  }
  if (!take(reader, ':')) {
    return fail(reader, "':' expected");
  }
  struct json *value = read_value(reader);
  if (value != NULL) {
    value->key = key;
  }
  return value;
}

static struct json *read_container(struct reader *reader, enum json_kind kind, char end) {
  if (++reader->depth > MAX_DEPTH) {
    return fail(reader, "nested too deeply");
  }
  struct json *node = new_node(reader, kind);
  if (node == NULL) {
    return NULL;
  }
  const struct json **link = &node->first;
  while (!take(reader, end)) {
    if (node->count > 0 && !take(reader, ',')) {
      return fail(reader, kind == JSON_OBJECT ? "',' or '}' expected" : "',' or ']' expected");
    }
    struct json *child = kind == JSON_OBJECT ? read_pair(reader) : read_value(reader);
    if (child == NULL) {
      return NULL;
    }
    if (child->key != NULL && json_member(node, child->key) != NULL) {
      return fail(reader, "key given twice");
    }
    *link = child;
    link = &child->next;
    node->count++;
  }
  reader->depth--;
  return node;
}

static struct json *read_value(struct reader *reader) {
  skip_space(reader);
  char c = peek(reader);
  if (c == '{' || c == '[') {
    reader->at++;
    return c == '{' ? read_container(reader, JSON_OBJECT, '}') : read_container(reader, JSON_ARRAY, ']');
  }
  if (c == '"') {
    reader->at++;
    const char *text = read_string(reader);
    struct json *node = text == NULL ? NULL : new_node(reader, JSON_STRING);
    if (node != NULL) {
      node->text = text;
    }
    return node;
  }
  return c == '-' || (c >= '0' && c <= '9') ? read_integer(reader) : read_word(reader);
}

struct json_document *json_parse(const char *text, size_t length, char *error, size_t error_size) {
  struct reader reader = {.text = text, .length = length, .error = error, .error_size = error_size};
  if (length > MAX_TEXT) {
    return fail(&reader, "larger than 1 MiB");
  }
  struct json_document *document = calloc(1, sizeof *document);
  if (document == NULL) {
    return fail(&reader, "out of memory");
  }
  /* A value takes at least one character and a separator, so this many nodes always do. */
  document->capacity = length / 2 + 1 < MAX_NODES ? length / 2 + 1 : MAX_NODES;
  document->nodes = calloc(document->capacity, sizeof *document->nodes);
  document->strings = malloc(length + 1);
  reader.document = document;
  if (document->nodes == NULL || document->strings == NULL) {
    json_free(document);
    return fail(&reader, "out of memory");
  }
  bool whole = read_value(&reader) != NULL;
  skip_space(&reader);
  if (whole && reader.at != length) {
    fail(&reader, "text after the end of the value");
    whole = false;
  }
  if (!whole) {
    json_free(document);
    return NULL;
  }
  return document;
}

const struct json *json_root(const struct json_document *document) { return document->nodes; }

void json_free(struct json_document *document) {
  if (document != NULL) {
    free(document->nodes);
    free(document->strings);
    free(document);
  }
}

const struct json *json_member(const struct json *object, const char *key) {
  if (object == NULL || object->kind != JSON_OBJECT) {
    return NULL;
  }
  for (const struct json *member = object->first; member != NULL; member = member->next) {
    if (strcmp(member->key, key) == 0) {
      return member->kind == JSON_NULL ? NULL : member;
    }
  }
  return NULL;
}
