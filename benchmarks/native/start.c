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

#include "driver.h"

#define MIB ((size_t)1 << 20)

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
