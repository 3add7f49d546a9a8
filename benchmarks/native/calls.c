/*
 * Time per driver call, in nanoseconds, as one JSON object on standard output. Run it on the driver's test double with
 * and without the preload library: the difference is what the library costs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver.h"

#define ROUNDS 7

static CUfunction kernel;
static CUdeviceptr *pointers;

/* One measurement: runs `count` calls of one kind. */
struct bench {
  const char *name;
  void (*run)(size_t count);
  size_t count;
  /* Between rounds, for a core share to earn credit: what waiting for a turn takes is no cost of the call. */
  long rest_ms;
};

static void launch(size_t count) {
  for (size_t i = 0; i < count; i++) {
    need(cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL), "cuLaunchKernel");
  }
}

static void meminfo(size_t count) {
  size_t available;
  size_t total;
  for (size_t i = 0; i < count; i++) {
    need(cuMemGetInfo_v2(&available, &total), "cuMemGetInfo");
  }
}

static void allocate_and_free(size_t count) {
  CUdeviceptr pointer;
  for (size_t i = 0; i < count; i++) {
    need(cuMemAlloc_v2(&pointer, 512), "cuMemAlloc");
    need(cuMemFree_v2(pointer), "cuMemFree");
  }
}

static void allocate_and_free_async(size_t count) {
  CUdeviceptr pointer;
  for (size_t i = 0; i < count; i++) {
    need(cuMemAllocAsync(&pointer, 512, NULL), "cuMemAllocAsync");
    need(cuMemFreeAsync(pointer, NULL), "cuMemFreeAsync");
  }
}

static double best_ns(const struct bench *bench) {
  double best = 1e18;
  for (int round = 0; round < ROUNDS; round++) {
    (void)nanosleep(&(struct timespec){.tv_nsec = bench->rest_ms * 1000000}, NULL);
    uint64_t begin = now_ns();
    bench->run(bench->count);
    double each = (double)(now_ns() - begin) / (double)bench->count;
    best = each < best ? each : best;
  }
  return best;
}

/* Allocations and frees with `live` pointers held meanwhile; the frees are of pointers from all over. */
static void print_live(size_t live) {
  const size_t count = 20000;
  for (size_t i = 0; i < live; i++) {
    need(cuMemAlloc_v2(&pointers[i], 512), "cuMemAlloc");
  }
  double allocate = 1e18;
  double release = 1e18;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t begin = now_ns();
    for (size_t i = 0; i < count; i++) {
      need(cuMemFree_v2(pointers[(i * 7919) % live]), "cuMemFree");
      pointers[(i * 7919) % live] = 0;
      if (live < count && i + 1 == live) {
        break;
      }
    }
    size_t freed = live < count ? live : count;
    uint64_t middle = now_ns();
    for (size_t i = 0; i < freed; i++) {
      need(cuMemAlloc_v2(&pointers[(i * 7919) % live], 512), "cuMemAlloc");
    }
    uint64_t end = now_ns();
    double each = (double)(middle - begin) / (double)freed;
    release = each < release ? each : release;
    each = (double)(end - middle) / (double)freed;
    allocate = each < allocate ? each : allocate;
  }
  printf(",\n  \"free_ns_%zu_live\": %.1f,\n  \"alloc_ns_%zu_live\": %.1f", live, release, live, allocate);
  for (size_t i = 0; i < live; i++) {
    need(cuMemFree_v2(pointers[i]), "cuMemFree");
  }
}

int main(void) {
  uint64_t begin = now_ns();
  CUcontext context;
  need(cuInit(0), "cuInit");
  double init = (double)(now_ns() - begin);
  need(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
  need(cuCtxSetCurrent(context), "cuCtxSetCurrent");
  CUmodule module;
  need(cuModuleLoadData(&module, ".version 8.0\n// hami-fake: ns=0\n.visible .entry work() { ret; }\n"), "module");
  need(cuModuleGetFunction(&kernel, module, "work"), "cuModuleGetFunction");
  pointers = calloc(1000000, sizeof *pointers);
  need(pointers == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS, "calloc");
  const struct bench benches[] = {{"launch_ns", launch, 20000, 100},
                                  {"meminfo_ns", meminfo, 100000, 0},
                                  {"alloc_and_free_ns", allocate_and_free, 100000, 0},
                                  {"alloc_and_free_async_ns", allocate_and_free_async, 50000, 0}};
  printf("{\n  \"init_ns\": %.0f", init);
  for (size_t i = 0; i < sizeof benches / sizeof benches[0]; i++) {
    printf(",\n  \"%s\": %.1f", benches[i].name, best_ns(&benches[i]));
  }
  const size_t live[] = {1000, 20000, 1000000};
  for (size_t i = 0; i < sizeof live / sizeof live[0]; i++) {
    print_live(live[i]);
  }
  printf("\n}\n");
  return 0;
}
