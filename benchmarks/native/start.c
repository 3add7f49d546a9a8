/*
 * Starts as a program with a GPU does: initialises the driver, makes a context and its first allocation. Prints one
 * line: how long cuInit and the whole took, and CLOCK_MONOTONIC at the end, in nanoseconds. Then it keeps what it has
 * until its standard input ends, so that a crowd of them is there at the same time.
 *
 * start [BYTES]: how much to allocate, 2 MiB if not said.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#define MIB ((size_t)1 << 20)

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void need(CUresult result, const char *what) {
  if (result != CUDA_SUCCESS) {
    fprintf(stderr, "%s failed with code %d\n", what, (int)result);
    exit(1);
  }
}

int main(int argc, char **argv) {
  size_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 2 * MIB;
  CUcontext context;
  CUdeviceptr pointer;
  uint64_t begin = now_ns();
  need(cuInit(0), "cuInit");
  uint64_t ready = now_ns();
  need(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
  need(cuCtxSetCurrent(context), "cuCtxSetCurrent");
  need(cuMemAlloc_v2(&pointer, bytes), "cuMemAlloc");
  uint64_t done = now_ns();
  printf("%llu %llu %llu\n", (unsigned long long)(ready - begin), (unsigned long long)(done - begin),
         (unsigned long long)done);
  (void)fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) == 1) {
  }
  return 0;
}
