/*
 * A program whose working set may be larger than its place on the card: allocates it in blocks, uses each block once a
 * pass, and says on standard output what a pass takes on the simulated clock. Meant for HAMI_FAKE_TIME_SCALE=0.
 *
 *   nvidia_pressure device|managed WORKING_SET_MIB CARD_MIB_PER_S [wait]
 *
 * device: by cuMemAlloc, as programs do; managed: by cuMemAllocManaged, where the driver's usual policy holds. wait:
 * after the first answer it waits for a line on standard input, passes again, and answers again.
 *
 *   nvidia_pressure calls
 *
 * CPU time of the calls instead, in nanoseconds, on a card that is full.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

#define MIB (1024ULL * 1024ULL)
#define BLOCK_MIB 64ULL
#define BLOCKS 4096
#define WARM_UP_PASSES 2
#define PASSES 4
#define ROUNDS 2000

uint64_t hami_fake_now_ns(void);
uint64_t hami_fake_used_bytes(int32_t pid, int device);

static CUdeviceptr blocks[BLOCKS];
static size_t block_count;

static CUfunction load_kernel(unsigned long long nanoseconds) {
  char ptx[256];
  CUmodule module;
  CUfunction kernel;
  (void)snprintf(ptx, sizeof ptx,
                 ".version 8.0\n.target sm_80\n// hami-fake: ns=%llu\n.visible .entry use(.param .u64 data) { ret; }\n",
                 nanoseconds);
  need(cuModuleLoadData(&module, ptx), "cuModuleLoadData");
  need(cuModuleGetFunction(&kernel, module, "use"), "cuModuleGetFunction");
  return kernel;
}

static uint64_t pass_ns(CUfunction kernel, int passes) {
  uint64_t began_ns = hami_fake_now_ns();
  for (int pass = 0; pass < passes; pass++) {
    for (size_t i = 0; i < block_count; i++) {
      void *arguments[] = {&blocks[i]};
      need(cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, NULL, arguments, NULL), "cuLaunchKernel");
    }
    need(cuCtxSynchronize(), "cuCtxSynchronize");
  }
  return (hami_fake_now_ns() - began_ns) / (uint64_t)passes;
}

static void answer(CUfunction kernel) {
  (void)pass_ns(kernel, WARM_UP_PASSES);
  uint64_t nanoseconds = pass_ns(kernel, PASSES);
  printf("{\"pass_ns\": %llu, \"device_mib\": %llu}\n", (unsigned long long)nanoseconds,
         (unsigned long long)(hami_fake_used_bytes((int32_t)getpid(), 0) / MIB));
  (void)fflush(stdout);
}

static uint64_t cpu_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void report(const char *name, uint64_t began_ns, const char *end) {
  printf("\"%s\": %.0f%s", name, (double)(cpu_ns() - began_ns) / ROUNDS, end);
}

/* What the library does when the card is full, by hand: what it costs without the library. */
static void by_hand(void) {
  CUdeviceptr pointer;
  if (cuMemAlloc_v2(&pointer, BLOCK_MIB * MIB) == CUDA_ERROR_OUT_OF_MEMORY) {
    need(cuMemAllocManaged(&pointer, BLOCK_MIB * MIB, CU_MEM_ATTACH_GLOBAL), "cuMemAllocManaged");
    need(cuMemAdvise(pointer, BLOCK_MIB * MIB, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, CU_DEVICE_CPU), "cuMemAdvise");
    need(cuMemAdvise(pointer, BLOCK_MIB * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0), "cuMemAdvise");
  }
  need(cuMemFree_v2(pointer), "cuMemFree");
}

static void time_calls(void) {
  CUdeviceptr filling;
  CUdeviceptr pointer;
  size_t available;
  size_t total;
  need(cuMemGetInfo_v2(&available, &total), "cuMemGetInfo");
  const uint64_t room = 45416 * MIB - hami_fake_used_bytes((int32_t)getpid(), 0);
  uint64_t began_ns = cpu_ns();
  for (int i = 0; i < ROUNDS; i++) {
    need(cuMemAlloc_v2(&pointer, BLOCK_MIB * MIB), "cuMemAlloc");
    need(cuMemFree_v2(pointer), "cuMemFree");
  }
  printf("{");
  report("fits", began_ns, ", ");
  need(cuMemAlloc_v2(&filling, room - MIB), "cuMemAlloc");
  began_ns = cpu_ns();
  if (total <= 45416 * MIB) {
    for (int i = 0; i < ROUNDS; i++) {
      by_hand();
    }
    report("full", began_ns, "}\n");
    return;
  }
  for (int i = 0; i < ROUNDS; i++) {
    need(cuMemAlloc_v2(&pointer, BLOCK_MIB * MIB), "cuMemAlloc");
    need(cuMemFree_v2(pointer), "cuMemFree");
  }
  report("full", began_ns, ", ");
  began_ns = cpu_ns();
  for (int i = 0; i < ROUNDS; i++) {
    need(cuMemAllocAsync(&pointer, BLOCK_MIB * MIB, NULL), "cuMemAllocAsync");
    need(cuMemFreeAsync(pointer, NULL), "cuMemFreeAsync");
  }
  report("full_async", began_ns, "}\n");
}

int main(int count, char **arguments) {
  CUcontext context;
  need(cuInit(0), "cuInit");
  need(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
  need(cuCtxSetCurrent(context), "cuCtxSetCurrent");
  if (count == 2 && strcmp(arguments[1], "calls") == 0) {
    time_calls();
    return 0;
  }
  if (count < 4) {
    fprintf(stderr, "usage: nvidia_pressure device|managed WORKING_SET_MIB CARD_MIB_PER_S [wait] | calls\n");
    return 2;
  }
  bool managed = strcmp(arguments[1], "managed") == 0;
  block_count = strtoull(arguments[2], NULL, 10) / BLOCK_MIB;
  unsigned long long card_mib_per_s = strtoull(arguments[3], NULL, 10);
  if (block_count == 0 || block_count > BLOCKS || card_mib_per_s == 0) {
    fprintf(stderr, "the working set must be %llu to %llu MiB, the card's speed 1 MiB/s or more\n", BLOCK_MIB,
            BLOCK_MIB * BLOCKS);
    return 2;
  }
  for (size_t i = 0; i < block_count; i++) {
    need(managed ? cuMemAllocManaged(&blocks[i], BLOCK_MIB * MIB, CU_MEM_ATTACH_GLOBAL)
                 : cuMemAlloc_v2(&blocks[i], BLOCK_MIB * MIB),
         managed ? "cuMemAllocManaged" : "cuMemAlloc");
  }
  CUfunction kernel = load_kernel(BLOCK_MIB * 1000000000ULL / card_mib_per_s);
  answer(kernel);
  if (count > 4 && getchar() != EOF) {
    answer(kernel);
  }
  return 0;
}
