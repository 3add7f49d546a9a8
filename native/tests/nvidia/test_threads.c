/*
 * Threads that allocate, free, launch and ask at random, in a share of 1000 MiB: nobody is told more than there is, and
 * in the end the books are as at the start. The seed is printed and can be given as an argument.
 */
#include <pthread.h>

#include "share.h"

#define THREADS 6
#define STEPS 400
#define HELD 16

static CUcontext context;
static CUfunction kernel;
static CUmemoryPool pool;
static unsigned long seed = 1;

struct random {
  uint64_t state;
};

static uint64_t draw(struct random *random) {
  random->state = random->state * 6364136223846793005ULL + 1442695040888963407ULL;
  return random->state >> 33;
}

static bool granted(CUresult result) {
  CHECK(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
  return result == CUDA_SUCCESS;
}

static void check_numbers(void) {
  size_t available;
  size_t total;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  CHECK_EQUAL(1000 * MIB, total);
  CHECK(available <= total);
}

static void step(struct random *random, CUdeviceptr *held) {
  CUdeviceptr *place = &held[draw(random) % HELD];
  size_t bytes = (1 + draw(random) % 40) * MIB;
  if (*place != 0) {
    CUresult result = draw(random) % 2 == 0 ? cuMemFree_v2(*place) : cuMemFreeAsync(*place, NULL);
    if (result == CUDA_ERROR_INVALID_VALUE) { /* the double frees plain memory only in the plain way */
      result = cuMemFree_v2(*place);
    }
    CHECK_EQUAL(CUDA_SUCCESS, result);
    *place = 0;
    return;
  }
  CUresult result = CUDA_SUCCESS;
  CUdeviceptr pointer = 0;
  switch (draw(random) % 6) {
  case 0:
    result = cuMemAlloc_v2(&pointer, bytes);
    break;
  case 1:
    result = cuMemAllocAsync(&pointer, bytes, NULL);
    break;
  case 2:
    result = cuMemAllocFromPoolAsync(&pointer, bytes, pool, NULL);
    break;
  case 3:
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, NULL));
    return;
  case 4:
    CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(NULL));
    return;
  default:
    check_numbers();
    return;
  }
  if (granted(result)) {
    *place = pointer;
  }
}

static void *work(void *argument) {
  struct random random = {.state = seed * 1000 + (uintptr_t)argument};
  CUdeviceptr held[HELD] = {0};
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
  for (int i = 0; i < STEPS; i++) {
    step(&random, held);
  }
  for (int i = 0; i < HELD; i++) {
    if (held[i] != 0) {
      CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(held[i]));
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                          .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  seed = argc > 1 ? strtoul(argv[1], NULL, 10) : seed;
  printf("seed %lu\n", seed);
  context = share_open();
  kernel = share_kernel(20000);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolCreate(&pool, &props));
  uint64_t before = share_used();
  uint64_t held_before = device_used();
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++) {
    CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
  }
  for (int i = 0; i < THREADS; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolTrimTo(pool, 0));
  CHECK_EQUAL(held_before, device_used());
  CHECK_EQUAL(before, share_used());
  return 0;
}
