/*
 * Named points at which a test stops, kills or delays a process: between any two steps whose order matters to another
 * process. They vanish from what is shipped.
 */
#ifndef HAMI_CORE_TEST_POINT_H
#define HAMI_CORE_TEST_POINT_H

#ifdef HAMI_TESTS
extern void (*hami_test_point)(const char *name); /* NULL: pass through */
#define HAMI_TEST_POINT(name)                                                                                          \
  do {                                                                                                                 \
    if (hami_test_point != NULL) {                                                                                     \
      hami_test_point(name);                                                                                           \
    }                                                                                                                  \
  } while (0)
#else
#define HAMI_TEST_POINT(name) ((void)0)
#endif

#endif
