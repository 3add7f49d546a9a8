/* What the measured programs have in common. */
#ifndef HAMI_BENCHMARKS_DRIVER_H
#define HAMI_BENCHMARKS_DRIVER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

static inline uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline void need(CUresult result, const char *what) {
  if (result != CUDA_SUCCESS) {
    fprintf(stderr, "%s failed with code %d\n", what, (int)result);
    exit(1);
  }
}

#endif
