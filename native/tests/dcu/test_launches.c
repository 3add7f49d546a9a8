/* Every way to launch on HIP that its double has. See tests/interpose/launches.h. */
#include "tests/interpose/launches.h"

#include "dcu/api.h"
#include "tests/core/check.h"

hipError_t hipDeviceSynchronize(void);
hipError_t hipLaunchKernelExC(const void *config, const void *fPtr, void **args);
hipError_t hipHccModuleLaunchKernel(hipFunction_t f, uint32_t globalWorkSizeX, uint32_t globalWorkSizeY,
                                    uint32_t globalWorkSizeZ, uint32_t localWorkSizeX, uint32_t localWorkSizeY,
                                    uint32_t localWorkSizeZ, size_t sharedMemBytes, hipStream_t hStream,
                                    void **kernelParams, void **extra, hipEvent_t startEvent, hipEvent_t stopEvent);
hipError_t hipLaunchByPtr(const void *func);

typedef hipError_t (*launch_function)(const void *, dim3, dim3, void **, size_t, hipStream_t);

static const dim3 blocks = {7, 8, 9};
static const dim3 threads = {10, 11, 12};

static int plain(const uint64_t *d) { return hipLaunchKernel(d, blocks, threads, NULL, 13, NULL); }
static int per_thread(const uint64_t *d) { return hipLaunchKernel_spt(d, blocks, threads, NULL, 13, NULL); }
static int by_module(const uint64_t *d) {
  return hipModuleLaunchKernel((hipFunction_t)(uintptr_t)d, 1, 1, 1, 1, 1, 1, 8, NULL, NULL, (void **)0x11);
}
static int cooperatively(const uint64_t *d) {
  return hipModuleLaunchCooperativeKernel((hipFunction_t)(uintptr_t)d, 1, 1, 1, 1, 1, 1, 8, NULL, (void **)0x11);
}
static int by_graph(const uint64_t *d) { return hipGraphLaunch((hipGraphExec_t)(uintptr_t)d, NULL); }
static int per_thread_by_name(const uint64_t *d) {
  void *function = NULL;
  int status = 1;
  CHECK_EQUAL(hipSuccess, hipGetProcAddress("hipLaunchKernel", &function, 50000, 2, &status));
  return ((launch_function)(uintptr_t)function)(d, blocks, threads, NULL, 13, NULL);
}
static int by_entry_point(const uint64_t *d) {
  void *function = NULL;
  int status = 1;
  CHECK_EQUAL(hipSuccess, hipGetDriverEntryPoint("hipLaunchKernel", &function, 0, &status));
  return ((launch_function)(uintptr_t)function)(d, blocks, threads, NULL, 13, NULL);
}
static int with_attributes(const uint64_t *d) { return hipLaunchKernelExC((const void *)0x22, d, (void **)0x33); }
static int of_old(const uint64_t *d) {
  return hipHccModuleLaunchKernel((hipFunction_t)(uintptr_t)d, 1, 2, 3, 4, 5, 6, 7, NULL, (void **)0x44, (void **)0x55,
                                  (hipEvent_t)0x66, (hipEvent_t)0x77);
}
static int configured(const uint64_t *d) { return hipLaunchByPtr(d); }

static const struct launch_path paths[] = {
    {"hipLaunchKernel", plain, LAUNCH_MEASURED},
    {"hipLaunchKernel_spt", per_thread, LAUNCH_MEASURED},
    {"hipModuleLaunchKernel", by_module, LAUNCH_MEASURED},
    {"hipModuleLaunchCooperativeKernel", cooperatively, LAUNCH_MEASURED},
    {"hipGraphLaunch", by_graph, LAUNCH_MEASURED},
    {"hipGetProcAddress, per thread", per_thread_by_name, LAUNCH_MEASURED},
    {"hipGetDriverEntryPoint", by_entry_point, LAUNCH_MEASURED},
    {"hipLaunchKernelExC", with_attributes, LAUNCH_ESTIMATED},
    {"hipHccModuleLaunchKernel", of_old, LAUNCH_ESTIMATED},
    {"hipLaunchByPtr", configured, LAUNCH_ESTIMATED},
};

static void synchronise(void) { CHECK_EQUAL(hipSuccess, hipDeviceSynchronize()); }

int main(void) {
  launches_check(paths, sizeof paths / sizeof paths[0], synchronise);
  return 0;
}
