/* Every call that a library wraps, without what it needs: what comes back is the driver's business. */
#include "nulls.h"

#define NULLS(X)                                                                                                       \
  X(cuMemAlloc_v2(NULL, 512))                                                                                          \
  X(cuMemAllocManaged(NULL, 512, CU_MEM_ATTACH_GLOBAL))                                                                \
  X(cuMemAllocPitch_v2(NULL, NULL, 1, 1, 4))                                                                           \
  X(cuMemAllocAsync(NULL, 512, NULL))                                                                                  \
  X(cuMemAllocFromPoolAsync(NULL, 512, NULL, NULL))                                                                    \
  X(cuMemFree_v2(0))                                                                                                   \
  X(cuMemFreeAsync(0, NULL))                                                                                           \
  X(cuMemCreate(NULL, 2 * MIB, NULL, 0))                                                                               \
  X(cuMemRelease(0))                                                                                                   \
  X(cuMemRetainAllocationHandle(NULL, NULL))                                                                           \
  X(cuMemMap(0, 0, 0, 0, 0))                                                                                           \
  X(cuMemUnmap(0, 0))                                                                                                  \
  X(cuArrayCreate_v2(NULL, NULL))                                                                                      \
  X(cuArray3DCreate_v2(NULL, NULL))                                                                                    \
  X(cuArrayDestroy(NULL))                                                                                              \
  X(cuMipmappedArrayCreate(NULL, NULL, 0))                                                                             \
  X(cuMipmappedArrayDestroy(NULL))                                                                                     \
  X(cuMemPoolCreate(NULL, NULL))                                                                                       \
  X(cuMemPoolDestroy(NULL))                                                                                            \
  X(cuMemPoolTrimTo(NULL, 0))                                                                                          \
  X(cuDevicePrimaryCtxRetain(NULL, 0))                                                                                 \
  X(cuCtxCreate_v2(NULL, 0, 0))                                                                                        \
  X(cuCtxDestroy_v2(NULL))                                                                                             \
  X(cuDeviceTotalMem_v2(NULL, 0))                                                                                      \
  X(cuGraphInstantiateWithFlags(NULL, NULL, 0))                                                                        \
  X(cuGraphLaunch(NULL, NULL))                                                                                         \
  X(cuGraphExecDestroy(NULL))                                                                                          \
  X(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL))                                                       \
  X(cuLaunchKernelEx(NULL, NULL, NULL, NULL))                                                                          \
  X(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL))                                                      \
  X(cuImportExternalMemory(NULL, NULL))                                                                                \
  X(cuIpcOpenMemHandle_v2(NULL, (CUipcMemHandle){{0}}, 1))                                                             \
  X(cuGetProcAddress_v2(NULL, NULL, 12000, 0, NULL))

CUresult say_nulls(void) {
#define SAY(call) printf("  %s %d\n", #call, (int)(call));
  NULLS(SAY)
#undef SAY
  printf("  %d\n", (int)nvmlDeviceGetMemoryInfo(NULL, NULL));
  printf("  %d\n", (int)nvmlDeviceGetComputeRunningProcesses_v3(NULL, NULL, NULL));
  printf("  %d\n", (int)nvmlDeviceGetProcessUtilization(NULL, NULL, NULL, 0));
  return CUDA_SUCCESS;
}
