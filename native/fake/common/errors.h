/* Names and texts of one API's result codes; generated from the header's enumerators. Immutable. */
#ifndef HAMI_FAKE_CUDA_ERRORS_H
#define HAMI_FAKE_CUDA_ERRORS_H

#include <stddef.h>

struct fake_error {
  int code;
  const char *name;
  const char *text;
};

extern const struct fake_error fake_errors[];
extern const size_t fake_error_count;

#endif
