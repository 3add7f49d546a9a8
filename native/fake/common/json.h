/*
 * A small reader for the machine file: JSON into a tree of nodes. Pure; no lock; not callable from a signal handler.
 *
 * Whole numbers only (a machine has no use for others), at most 1 MiB of text, 32 levels and 65536 values.
 */
#ifndef HAMI_FAKE_JSON_H
#define HAMI_FAKE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind { JSON_NULL, JSON_BOOL, JSON_INTEGER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
  enum json_kind kind;
  bool truth;
  int64_t integer;
  const char *text;        /* of a string; NUL-terminated UTF-8 without NUL inside */
  const char *key;         /* NULL unless the parent is an object */
  const struct json *next; /* following sibling */
  const struct json *first;
  size_t count; /* children */
};

struct json_document;

/* Returns NULL and a message with the line in `error` when `text` is not such JSON. Free with json_free. */
struct json_document *json_parse(const char *text, size_t length, char *error, size_t error_size);
const struct json *json_root(const struct json_document *document);
void json_free(struct json_document *document);

/* Member of an object, or NULL when absent or null, or when `object` is none. */
const struct json *json_member(const struct json *object, const char *key);

#endif
