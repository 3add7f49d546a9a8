#include "common/json.h"

#include "tests/core/check.h"

static struct json_document *parsed(const char *text) {
  char error[128] = "";
  struct json_document *document = json_parse(text, strlen(text), error, sizeof error);
  CHECK_TEXT("", error);
  CHECK(document != NULL);
  return document;
}

static void refused(const char *text, const char *wanted) {
  char error[128] = "";
  CHECK(json_parse(text, strlen(text), error, sizeof error) == NULL);
  if (strstr(error, wanted) == NULL) {
    fprintf(stderr, "%s: \"%s\" does not mention \"%s\"\n", text, error, wanted);
    exit(1);
  }
}

static void test_members_keep_their_kind_and_order(void) {
  struct json_document *document = parsed("{\"a\": 1, \"b\": [true, null, \"x\"], \"c\": {}, \"d\": -7}");
  const struct json *root = json_root(document);
  CHECK_EQUAL(JSON_OBJECT, root->kind);
  CHECK_EQUAL(4, root->count);
  CHECK_EQUAL(1, json_member(root, "a")->integer);
  const struct json *list = json_member(root, "b");
  CHECK_EQUAL(3, list->count);
  CHECK(list->first->truth);
  CHECK_EQUAL(JSON_NULL, list->first->next->kind);
  CHECK_TEXT("x", list->first->next->next->text);
  CHECK(json_member(root, "d")->integer == -7);
  json_free(document);
}

static void test_an_absent_or_null_member_is_nothing(void) {
  struct json_document *document = parsed("{\"a\": null}");
  CHECK(json_member(json_root(document), "a") == NULL);
  CHECK(json_member(json_root(document), "b") == NULL);
  CHECK(json_member(NULL, "b") == NULL);
  json_free(document);
}

static void test_escapes_become_utf8(void) {
  struct json_document *document = parsed("\"\\u0041\\u00e9\\u4e2d\\ud83d\\ude00\\n\\\"\"");
  CHECK_TEXT("A\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80\n\"", json_root(document)->text);
  json_free(document);
}

static void test_text_that_is_no_json_is_refused_with_its_line(void) {
  refused("", "value expected");
  refused("{\"a\": 1,\n \"b\" 2}", "line 2: ':' expected");
  refused("{\"a\": 1} x", "after the end");
  refused("{\"a\": 1, \"a\": 2}", "twice");
  refused("[1 2]", "',' or ']'");
  refused("\"abc", "without an end");
  refused("\"\\ud800x\"", "escape");
  refused("\"\\u0000\"", "escape");
  refused("1.5", "whole number");
  refused("01", "value expected");
  refused("99999999999999999999", "too large");
  refused("{a: 1}", "double quotes");
  refused("[1,]", "value expected");
  refused("nul", "value expected");
}

static void test_deep_nesting_is_refused_instead_of_overflowing_the_stack(void) {
  char text[4001];
  memset(text, '[', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  refused(text, "too deeply");
}

/* Every prefix and every one-byte change of a document is read to its end or refused; the sanitizers watch. */
static void test_damaged_documents_never_lead_astray(void) {
  const char text[] = "{\"k\": [1, -2, \"\\u00e9\\ud83d\\ude00x\", {\"n\": null, \"t\": true}], \"m\": {}}";
  char error[128];
  for (size_t length = 0; length < sizeof text; length++) {
    char *copy = malloc(length + 1); /* exact size, so that reading on is noticed */
    memcpy(copy, text, length);
    json_free(json_parse(copy, length, error, sizeof error));
    for (size_t at = 0; at < length; at++) {
      char kept = copy[at];
      for (const char *other = "\"\\{}[],:0-ut\x80"; *other != '\0'; other++) {
        copy[at] = *other;
        json_free(json_parse(copy, length, error, sizeof error));
      }
      copy[at] = kept;
    }
    free(copy);
  }
}

int main(void) {
  RUN(test_members_keep_their_kind_and_order);
  RUN(test_an_absent_or_null_member_is_nothing);
  RUN(test_escapes_become_utf8);
  RUN(test_text_that_is_no_json_is_refused_with_its_line);
  RUN(test_deep_nesting_is_refused_instead_of_overflowing_the_stack);
  RUN(test_damaged_documents_never_lead_astray);
  return 0;
}
