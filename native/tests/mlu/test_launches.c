/* Every way to launch on Cambricon's cards that the doubles have. See tests/interpose/launches.h. The argument "4" says
 * that the runtime's double is one before release 5. */
#include "tests/interpose/launches.h"

#include "mlu/api.h"
#include "tests/core/check.h"

typedef struct {
  unsigned int x;
  unsigned int y;
  unsigned int z;
} cnrtDim3_t;

typedef cnrtRet_t (*invoke_in_5)(const void *, cnrtDim3_t, int, void **, size_t, CNqueue);
typedef cnrtRet_t (*invoke_in_4)(const void *, cnrtDim3_t, void *, int, void *);
typedef cnrtRet_t (*invoke_3_in_4)(const void *, void *, cnrtDim3_t, void *, int, void *, void *);

/* As a program of either release sees it. */
void cnrtInvokeKernel(void);
void cnrtInvokeKernel_V3(void) __attribute__((weak));
CNresult cnInvokeKernelEx(const void *config, CNkernel kernel, void **kernelParams, void **extra);
CNresult cnTaskTopoEntityInvoke(const void *entity, CNqueue queue);

static void (*const volatile invoke)(void) = cnrtInvokeKernel;
static void (*const volatile invoke_newer)(void) = cnrtInvokeKernel_V3;

static const cnrtDim3_t dim = {1, 2, 3};

static int by_driver(const uint64_t *d) {
  return cnInvokeKernel((CNkernel)(uintptr_t)d, 4, 1, 1, 4, 0, NULL, NULL, NULL);
}
static int by_driver_with_attributes(const uint64_t *d) {
  return cnInvokeKernelEx(&dim, (CNkernel)(uintptr_t)d, NULL, (void **)0x77);
}
static int topology_by_driver(const uint64_t *d) { return cnTaskTopoEntityInvoke(d, NULL); }
static int topology_by_runtime(const uint64_t *d) {
  return cnrtTaskTopoEntityInvoke((cnrtTaskTopoEntity_t)(uintptr_t)d, NULL);
}
static int by_runtime_5(const uint64_t *d) {
  return ((invoke_in_5)(uintptr_t)invoke)(d, dim, 1, (void **)0x55, 6, NULL);
}
static int by_runtime_4(const uint64_t *d) {
  return ((invoke_in_4)(uintptr_t)invoke)(d, dim, (void *)0x55, 1, (void *)0x33);
}
static int by_runtime_4_newer(const uint64_t *d) {
  return ((invoke_3_in_4)(uintptr_t)invoke_newer)(d, (void *)0x44, dim, (void *)0x55, 1, (void *)0x33, (void *)0x66);
}

static const struct launch_path in_5[] = {
    {"cnInvokeKernel", by_driver, LAUNCH_MEASURED},
    {"cnInvokeKernelEx", by_driver_with_attributes, LAUNCH_ESTIMATED},
    {"cnTaskTopoEntityInvoke", topology_by_driver, LAUNCH_ESTIMATED},
    {"cnrtTaskTopoEntityInvoke", topology_by_runtime, LAUNCH_MEASURED},
    {"cnrtInvokeKernel", by_runtime_5, LAUNCH_MEASURED},
};

static const struct launch_path in_4[] = {
    {"cnInvokeKernel", by_driver, LAUNCH_MEASURED},
    {"cnrtInvokeKernel before release 5", by_runtime_4, LAUNCH_ESTIMATED},
    {"cnrtInvokeKernel_V3", by_runtime_4_newer, LAUNCH_ESTIMATED},
};

static void synchronise(void) { CHECK_EQUAL(CN_SUCCESS, cnQueueSync(NULL)); }

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "4") == 0) {
    launches_check(in_4, sizeof in_4 / sizeof in_4[0], synchronise);
  } else {
    launches_check(in_5, sizeof in_5 / sizeof in_5[0], synchronise);
  }
  return 0;
}
