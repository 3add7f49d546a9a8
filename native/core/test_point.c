#include "core/test_point.h"

#ifdef HAMI_TESTS
void (*hami_test_point)(const char *name);
#else
typedef int hami_not_an_empty_file;
#endif
