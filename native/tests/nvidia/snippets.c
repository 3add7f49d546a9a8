/*
 * One call each, made in every way a program can come to it. Usage: nvidia_snippets WAY, where WAY is one of
 * linked, dlsym, next, procaddress, constructor, fork, vfork_exec, clone. Run inside a share of 1000 MiB and, with the
 * environment variable OUTSIDE set, outside one: then the whole card shows.
 */
#include <dlfcn.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share.h"

/* The functions that the snippets call, found in the way under test. */
#define FUNCTIONS(X)                                                                                                   \
  X(cuInit, "cuInit", 2000)                                                                                            \
  X(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", 7000)                                                        \
  X(cuCtxSetCurrent, "cuCtxSetCurrent", 4000)                                                                          \
  X(cuMemAlloc_v2, "cuMemAlloc", 3020)                                                                                 \
  X(cuMemFree_v2, "cuMemFree", 3020)                                                                                   \
  X(cuMemGetInfo_v2, "cuMemGetInfo", 3020)                                                                             \
  X(cuDeviceTotalMem_v2, "cuDeviceTotalMem", 3020)                                                                     \
  X(cuMemAllocManaged, "cuMemAllocManaged", 6000)                                                                      \
  X(cuMemAllocAsync, "cuMemAllocAsync", 11020)                                                                         \
  X(cuMemFreeAsync, "cuMemFreeAsync", 11020)                                                                           \
  X(cuStreamSynchronize, "cuStreamSynchronize", 2000)                                                                  \
  X(cuMemCreate, "cuMemCreate", 10020)                                                                                 \
  X(cuMemRelease, "cuMemRelease", 10020)                                                                               \
  X(cuModuleLoadData, "cuModuleLoadData", 2000)                                                                        \
  X(cuModuleGetFunction, "cuModuleGetFunction", 2000)                                                                  \
  X(cuLaunchKernel, "cuLaunchKernel", 4000)

struct functions {
#define FIELD(name, symbol, version) __typeof__(&(name)) name;
  FUNCTIONS(FIELD)
#undef FIELD
};

static struct functions linked(void) {
  struct functions found = {
#define FIELD(name, symbol, version) .name = name,
      FUNCTIONS(FIELD)
#undef FIELD
  };
  return found;
}

static struct functions looked_up(void *handle) {
  struct functions found;
#define FIELD(name, symbol, version) found.name = (__typeof__(&(name)))(uintptr_t)dlsym(handle, #name);
  FUNCTIONS(FIELD)
#undef FIELD
  return found;
}

static struct functions asked_for(void) {
  struct functions found;
  CUdriverProcAddressQueryResult status;
  void *pointer;
#define FIELD(name, symbol, version)                                                                                   \
  CHECK_EQUAL(CUDA_SUCCESS, cuGetProcAddress_v2(symbol, &pointer, version, 0, &status));                               \
  found.name = (__typeof__(&(name)))(uintptr_t)pointer;
  FUNCTIONS(FIELD)
#undef FIELD
  return found;
}

static bool outside(void) { return getenv("OUTSIDE") != NULL; }

static CUresult past_the_share(void) { return outside() ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY; }

static void linear(const struct functions *call) {
  CUdeviceptr pointer;
  CUdeviceptr second = 0;
  CHECK_EQUAL(CUDA_SUCCESS, call->cuMemAlloc_v2(&pointer, 500 * MIB));
  CHECK_EQUAL(past_the_share(), call->cuMemAlloc_v2(&second, 600 * MIB));
  CHECK_EQUAL(CUDA_SUCCESS, call->cuMemFree_v2(pointer));
  CHECK_EQUAL(CUDA_SUCCESS, call->cuMemFree_v2(second));
}

static void managed(const struct functions *call) {
  CUdeviceptr pointer = 0;
  CHECK_EQUAL(past_the_share(), call->cuMemAllocManaged(&pointer, 1200 * MIB, CU_MEM_ATTACH_GLOBAL));
  CHECK_EQUAL(CUDA_SUCCESS, call->cuMemFree_v2(pointer));
}

static void ordered(const struct functions *call) {
  CUdeviceptr pointer;
  CHECK_EQUAL(past_the_share(), call->cuMemAllocAsync(&pointer, 1200 * MIB, NULL));
  if (outside()) {
    CHECK_EQUAL(CUDA_SUCCESS, call->cuMemFreeAsync(pointer, NULL));
  }
  CHECK_EQUAL(CUDA_SUCCESS, call->cuMemAllocAsync(&pointer, 100 * MIB, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, call->cuMemFreeAsync(pointer, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, call->cuStreamSynchronize(NULL));
}

static void physical(const struct functions *call) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemGenericAllocationHandle handle;
  CHECK_EQUAL(past_the_share(), call->cuMemCreate(&handle, 1200 * MIB, &props, 0));
  if (outside()) {
    CHECK_EQUAL(CUDA_SUCCESS, call->cuMemRelease(handle));
  }
}

static void information(const struct functions *call) {
  size_t available;
  size_t total;
  size_t device_total;
  CHECK_EQUAL(CUDA_SUCCESS, call->cuMemGetInfo_v2(&available, &total));
  CHECK_EQUAL(CUDA_SUCCESS, call->cuDeviceTotalMem_v2(&device_total, 0));
  CHECK_EQUAL(total, device_total);
  /* Only NVML knows what the context takes. */
  CHECK(available < total || getenv("HAMI_FAKE_FAULTS") != NULL);
  CHECK(outside() ? total > 40000 * MIB : total == 1000 * MIB);
}

static void launch(const struct functions *call) {
  CUmodule module;
  CUfunction kernel;
  CHECK_EQUAL(CUDA_SUCCESS, call->cuModuleLoadData(
                                &module, ".version 8.0\n// hami-fake: ns=1000\n.visible .entry work() { ret; }\n"));
  CHECK_EQUAL(CUDA_SUCCESS, call->cuModuleGetFunction(&kernel, module, "work"));
  for (int i = 0; i < 100; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, call->cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL));
  }
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, call->cuLaunchKernel(kernel, 0, 1, 1, 32, 1, 1, 0, NULL, NULL, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, call->cuStreamSynchronize(NULL));
}

static void run_all(struct functions call) {
  CUcontext context;
  CHECK_EQUAL(CUDA_SUCCESS, call.cuInit(0));
  CHECK_EQUAL(CUDA_SUCCESS, call.cuDevicePrimaryCtxRetain(&context, 0));
  CHECK_EQUAL(CUDA_SUCCESS, call.cuCtxSetCurrent(context));
  linear(&call);
  managed(&call);
  ordered(&call);
  physical(&call);
  information(&call);
  launch(&call);
}

static void expect_success(pid_t pid) {
  int status = 0;
  CHECK(pid > 0);
  CHECK(waitpid(pid, &status, __WALL) == pid);
  CHECK_EQUAL(0, status);
}

static int run_in_clone(void *unused) {
  (void)unused;
  run_all(linked());
  return 0;
}

static const char *way_of_constructor(void) { return getenv("WAY"); }

/* Before main, and before the constructors of nothing but what this program needs. */
__attribute__((constructor)) static void first(void) {
  const char *way = way_of_constructor();
  if (way != NULL && strcmp(way, "constructor") == 0) {
    run_all(linked());
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  const char *way = argv[1];
  if (strcmp(way, "linked") == 0) {
    run_all(linked());
  } else if (strcmp(way, "dlsym") == 0) {
    run_all(looked_up(dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)));
  } else if (strcmp(way, "next") == 0) {
    run_all(looked_up(RTLD_NEXT));
  } else if (strcmp(way, "procaddress") == 0) {
    run_all(asked_for());
  } else if (strcmp(way, "constructor") == 0) {
    CHECK(way_of_constructor() != NULL);
  } else if (strcmp(way, "fork") == 0) {
    pid_t pid = fork();
    if (pid == 0) {
      run_all(linked());
      _exit(0);
    }
    expect_success(pid);
    run_all(linked());
  } else if (strcmp(way, "vfork_exec") == 0) {
    pid_t pid = vfork();
    if (pid == 0) {
      (void)execl("/proc/self/exe", argv[0], "linked", (char *)NULL);
      _exit(1);
    }
    expect_success(pid);
  } else if (strcmp(way, "clone") == 0) {
    static char stack[1 << 20] __attribute__((aligned(16)));
    expect_success(clone(run_in_clone, stack + sizeof stack, 0, NULL));
  } else {
    fprintf(stderr, "%s: no such way\n", way);
    return 2;
  }
  return 0;
}
