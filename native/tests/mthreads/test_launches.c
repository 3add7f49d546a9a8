/* Every way to launch on MUSA that its doubles have. See tests/interpose/launches.h. */
#include "tests/interpose/launches.h"

#include "mthreads/api.h"
#include "tests/core/check.h"

MUresult muCtxSynchronize(void);
MUresult muLaunchKernelEx(const void *config, MUfunction f, void **kernelParams, void **extra);
MUresult muLaunchCooperativeKernel(MUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                                   unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                                   unsigned int sharedMemBytes, MUstream hStream, void **kernelParams);

typedef MUresult (*launch_function)(MUfunction, unsigned int, unsigned int, unsigned int, unsigned int, unsigned int,
                                    unsigned int, unsigned int, MUstream, void **, void **);

static MUfunction kernel(const uint64_t *d) { return (MUfunction)(uintptr_t)d; }

static int plain(const uint64_t *d) { return muLaunchKernel(kernel(d), 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL); }
static int per_thread(const uint64_t *d) {
  return muLaunchKernel_ptsz(kernel(d), 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
}
static int by_graph(const uint64_t *d) { return muGraphLaunch((MUgraphExec)(uintptr_t)d, NULL); }
static int by_name(const uint64_t *d) {
  void *function = NULL;
  CHECK_EQUAL(MUSA_SUCCESS, muGetProcAddress("muLaunchKernel", &function, 40000, 1, NULL));
  return ((launch_function)(uintptr_t)function)(kernel(d), 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
}
static int with_attributes(const uint64_t *d) {
  return muLaunchKernelEx((const void *)0x22, kernel(d), (void **)0x33, (void **)0x44);
}
static int cooperatively(const uint64_t *d) {
  return muLaunchCooperativeKernel(kernel(d), 1, 2, 3, 4, 5, 6, 7, NULL, (void **)0x55);
}
static int by_runtime(const uint64_t *d) {
  return musaLaunchKernel(d, (dim3){7, 8, 9}, (dim3){10, 11, 12}, NULL, 13, NULL);
}
static int graph_by_runtime(const uint64_t *d) { return musaGraphLaunch((MUgraphExec)(uintptr_t)d, NULL); }

static const struct launch_path paths[] = {
    {"muLaunchKernel", plain, LAUNCH_MEASURED},
    {"muLaunchKernel_ptsz", per_thread, LAUNCH_ESTIMATED},
    {"muGraphLaunch", by_graph, LAUNCH_MEASURED},
    {"muGetProcAddress", by_name, LAUNCH_MEASURED},
    {"muLaunchKernelEx", with_attributes, LAUNCH_ESTIMATED},
    {"muLaunchCooperativeKernel", cooperatively, LAUNCH_ESTIMATED},
    {"musaLaunchKernel", by_runtime, LAUNCH_MEASURED},
    {"musaGraphLaunch", graph_by_runtime, LAUNCH_MEASURED},
};

static void synchronise(void) { CHECK_EQUAL(MUSA_SUCCESS, muCtxSynchronize()); }

int main(void) {
  launches_check(paths, sizeof paths / sizeof paths[0], synchronise);
  return 0;
}
