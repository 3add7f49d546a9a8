/* The table of objects, alone: against a simple model, through growth, removal and changes of owner. */
#include "table.h"

#include "tests/core/check.h"

#define KEYS 5000

static struct hami_charge charge_of(uint64_t key, const void *owner) {
  return (struct hami_charge){.device = 0, .class = HAMI_CLASS_BUFFER, .bytes = key * 3, .owner = owner};
}

static uint64_t key_of(uint64_t index) { return 0x7f0000000000ULL + index * 512; }

static void agrees_with_a_model(void) {
  static bool present[KEYS];
  uint64_t state = 1;
  for (int step = 0; step < 200000; step++) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    uint64_t index = (state >> 33) % KEYS;
    struct hami_charge charge = charge_of(index, NULL);
    struct hami_charge found;
    if ((state >> 20) % 2 == 0) {
      enum hami_table_put done = hami_table_put(HAMI_BOOKS_POINTER, key_of(index), &charge, &found);
      CHECK_EQUAL(present[index] ? HAMI_TABLE_REPLACED : HAMI_TABLE_ADDED, done);
      present[index] = true;
    } else {
      CHECK_EQUAL(present[index], hami_table_take(HAMI_BOOKS_POINTER, key_of(index), &found));
      CHECK(!present[index] || found.bytes == index * 3);
      present[index] = false;
    }
  }
  for (uint64_t index = 0; index < KEYS; index++) {
    struct hami_charge found;
    CHECK_EQUAL(present[index], hami_table_find(HAMI_BOOKS_POINTER, key_of(index), &found));
    (void)hami_table_take(HAMI_BOOKS_POINTER, key_of(index), &found);
  }
}

/* A list would take hours here: the frees of a program with many pointers must not. */
static void a_million_entries_are_found_in_any_order(void) {
  const uint64_t count = 1000000;
  struct hami_charge found;
  for (uint64_t index = 0; index < count; index++) {
    struct hami_charge charge = charge_of(index, NULL);
    CHECK_EQUAL(HAMI_TABLE_ADDED, hami_table_put(HAMI_BOOKS_POINTER, key_of(index), &charge, &found));
  }
  for (uint64_t i = 0; i < count; i++) {
    uint64_t index = (i * 700001) % count;
    CHECK(hami_table_take(HAMI_BOOKS_POINTER, key_of(index), &found) && found.bytes == index * 3);
  }
}

static void kinds_do_not_meet(void) {
  struct hami_charge pointer = charge_of(1, NULL);
  struct hami_charge array = charge_of(2, NULL);
  struct hami_charge found;
  CHECK_EQUAL(HAMI_TABLE_ADDED, hami_table_put(HAMI_BOOKS_POINTER, 7, &pointer, &found));
  CHECK_EQUAL(HAMI_TABLE_ADDED, hami_table_put(HAMI_BOOKS_ARRAY, 7, &array, &found));
  CHECK(hami_table_take(HAMI_BOOKS_POINTER, 7, &found) && found.bytes == 3);
  CHECK(hami_table_take(HAMI_BOOKS_ARRAY, 7, &found) && found.bytes == 6);
}

static uint64_t dropped_bytes;

static void count_dropped(const struct hami_charge *charge) { dropped_bytes += charge->bytes; }

static void an_owner_takes_its_own_and_nothing_else(void) {
  static char first;
  static char second;
  static char token;
  struct hami_charge found;
  for (uint64_t index = 0; index < KEYS; index++) {
    struct hami_charge charge = charge_of(1, index % 2 == 0 ? &first : &second);
    CHECK_EQUAL(HAMI_TABLE_ADDED, hami_table_put(HAMI_BOOKS_POINTER, key_of(index), &charge, &found));
  }
  hami_table_change_owner(&first, &token);
  hami_table_drop_owner(&first, count_dropped);
  CHECK_EQUAL(0, dropped_bytes);
  hami_table_drop_owner(&token, count_dropped);
  CHECK_EQUAL(KEYS / 2 * 3, dropped_bytes);
  for (uint64_t index = 0; index < KEYS; index++) {
    CHECK_EQUAL(index % 2, hami_table_take(HAMI_BOOKS_POINTER, key_of(index), &found));
  }
}

static void a_child_finds_it_empty(void) {
  struct hami_charge charge = charge_of(1, NULL);
  struct hami_charge found;
  CHECK_EQUAL(HAMI_TABLE_ADDED, hami_table_put(HAMI_BOOKS_POINTER, 9, &charge, &found));
  hami_table_after_fork_in_child();
  CHECK(!hami_table_find(HAMI_BOOKS_POINTER, 9, &found));
}

int main(void) {
  RUN(agrees_with_a_model);
  RUN(a_million_entries_are_found_in_any_order);
  RUN(kinds_do_not_meet);
  RUN(an_owner_takes_its_own_and_nothing_else);
  RUN(a_child_finds_it_empty);
  return 0;
}
