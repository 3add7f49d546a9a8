/* The few lines that every test program here needs. A failed check names itself and ends the program with status 1. */
#ifndef HAMI_TESTS_CHECK_H
#define HAMI_TESTS_CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                        \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

#define CHECK_EQUAL(expected, actual)                                                                                  \
  do {                                                                                                                 \
    uint64_t check_expected = (uint64_t)(expected);                                                                    \
    uint64_t check_actual = (uint64_t)(actual);                                                                        \
    if (check_expected != check_actual) {                                                                              \
      fprintf(stderr, "%s:%d: %s is %" PRIu64 ", expected %" PRIu64 "\n", __FILE__, __LINE__, #actual, check_actual,   \
              check_expected);                                                                                         \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

#define CHECK_TEXT(expected, actual)                                                                                   \
  do {                                                                                                                 \
    const char *check_actual = (actual);                                                                               \
    if (strcmp((expected), check_actual) != 0) {                                                                       \
      fprintf(stderr, "%s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #actual, check_actual,             \
              (expected));                                                                                             \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

/* Runs one test function and says so: the last line of a crashed program tells which test it was in. */
#define RUN(test)                                                                                                      \
  do {                                                                                                                 \
    printf("%s\n", #test);                                                                                             \
    fflush(stdout);                                                                                                    \
    test();                                                                                                            \
  } while (0)

#endif
