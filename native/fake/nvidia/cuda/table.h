/* Every function of cuda.h with the CUDA version that introduced its ABI; generated. Immutable. */
#ifndef HAMI_FAKE_CUDA_TABLE_H
#define HAMI_FAKE_CUDA_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct fake_function {
  const char *name;
  const char *base;
  int introduced;
  bool per_thread;
  int (*address)(void);
};

extern const struct fake_function fake_functions[];
extern const size_t fake_function_count;

#endif
