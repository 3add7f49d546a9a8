/* Several threads of one process on the double: the books balance, and the thread sanitizer has something to watch. */
#include <dlfcn.h>
#include <pthread.h>

#include "common/machine.h"
#include "tests/core/check.h"

#define __CUDA_API_VERSION_INTERNAL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cuda.h>
#pragma GCC diagnostic pop

#define THREADS 4
#define ROUNDS 300

static void *driver;
static CUcontext context;
static CUfunction kernel;
static int calls;

#define REAL(name) ((__typeof__(&(name)))(uintptr_t)dlsym(driver, #name))
#define OK(call) CHECK_EQUAL(CUDA_SUCCESS, (call))

static void CUDA_CB count_call(void *data) {
  (void)data;
  __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
}

static void *work(void *seed) {
  CUstream stream = NULL;
  CUevent event = NULL;
  OK(REAL(cuCtxSetCurrent)(context));
  OK(REAL(cuStreamCreate)(&stream, CU_STREAM_NON_BLOCKING));
  OK(REAL(cuEventCreate)(&event, CU_EVENT_DEFAULT));
  for (unsigned i = 0; i < ROUNDS; i++) {
    CUdeviceptr first = 0;
    CUdeviceptr second = 0;
    OK(REAL(cuMemAlloc_v2)(&first, 100 + i * (unsigned)(uintptr_t)seed));
    OK(REAL(cuMemAllocAsync)(&second, 100000, stream));
    OK(REAL(cuMemsetD8Async)(second, 1, 1000, stream));
    OK(REAL(cuLaunchKernel)(kernel, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL));
    OK(REAL(cuLaunchKernel_ptsz)(kernel, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    OK(REAL(cuEventRecord)(event, stream));
    OK(REAL(cuLaunchHostFunc)(stream, count_call, NULL));
    OK(REAL(cuEventSynchronize)(event));
    OK(REAL(cuMemFreeAsync)(second, stream));
    OK(REAL(cuMemFree_v2)(first));
  }
  OK(REAL(cuStreamSynchronize)(stream));
  OK(REAL(cuEventDestroy_v2)(event));
  OK(REAL(cuStreamDestroy_v2)(stream));
  return NULL;
}

static void test_threads_leave_the_card_as_it_was(void) {
  pthread_t threads[THREADS];
  size_t before = 0;
  size_t after = 0;
  OK(REAL(cuMemGetInfo_v2)(&before, NULL));
  for (uintptr_t i = 0; i < THREADS; i++) {
    CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
  }
  for (int i = 0; i < THREADS; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  OK(REAL(cuCtxSynchronize)());
  OK(REAL(cuMemGetInfo_v2)(&after, NULL));
  CHECK_EQUAL(before, after);
  CHECK_EQUAL(THREADS * ROUNDS, __atomic_load_n(&calls, __ATOMIC_RELAXED));
}

int main(void) {
  static const char ptx[] = ".version 7.0\n.target sm_70\n.visible .entry work() { ret; }\n";
  char path[512];
  snprintf(path, sizeof path, "%s/t4.json", MACHINES);
  setenv("HAMI_FAKE_MACHINE", path, 1);
  setenv("HAMI_FAKE_TIME_SCALE", "0", 1);
  unsetenv("HAMI_FAKE_STATE");
  driver = dlopen(FAKE_CUDA, RTLD_NOW);
  CHECK(driver != NULL);
  CUmodule module = NULL;
  OK(REAL(cuInit)(0));
  OK(REAL(cuDevicePrimaryCtxRetain)(&context, 0));
  OK(REAL(cuCtxSetCurrent)(context));
  OK(REAL(cuModuleLoadData)(&module, ptx));
  OK(REAL(cuModuleGetFunction)(&kernel, module, "work"));
  RUN(test_threads_leave_the_card_as_it_was);
  return 0;
}
