/* Launches: each waits for the container's share of device time, see pace.h. */
#include "estimates.h"
#include "graph_memory.h"
#include "hook.h"
#include "pace.h"

/* Launches of one function take the same time as long as they have the same shape, mostly. */
static uint64_t key_of(CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                       unsigned int block_threads) {
  uint64_t key = hami_estimates_mix(0, (uintptr_t)function);
  key = hami_estimates_mix(key, ((uint64_t)grid_x << 32) | block_threads);
  return hami_estimates_mix(key, ((uint64_t)grid_y << 32) | grid_z);
}

/* The end of every wrapper that launches: `key`, stream and kind of stream, then the driver's arguments. */
#define LAUNCH(key, stream, per_thread, ...)                                                                           \
  do {                                                                                                                 \
    if (hami_pace_calm()) {                                                                                            \
      HAMI_LEAVE(real(__VA_ARGS__));                                                                                   \
    }                                                                                                                  \
    struct hami_pace pace;                                                                                             \
    hami_pace_begin(&pace, key, stream, per_thread);                                                                   \
    CUresult result = real(__VA_ARGS__);                                                                               \
    hami_pace_end(&pace, result);                                                                                      \
    HAMI_LEAVE(result);                                                                                                \
  } while (0)

CUresult cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                        unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                        unsigned int sharedMemBytes, CUstream hStream, void **kernelParams, void **extra) {
  HAMI_CUDA_ENTER(cuLaunchKernel, f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes,
                  hStream, kernelParams, extra);
  LAUNCH(key_of(f, gridDimX, gridDimY, gridDimZ, blockDimX * blockDimY * blockDimZ), hStream, false, f, gridDimX,
         gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream, kernelParams, extra);
}

CUresult cuLaunchKernel_ptsz(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                             unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                             unsigned int sharedMemBytes, CUstream hStream, void **kernelParams, void **extra) {
  HAMI_CUDA_ENTER(cuLaunchKernel_ptsz, f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes,
                  hStream, kernelParams, extra);
  LAUNCH(key_of(f, gridDimX, gridDimY, gridDimZ, blockDimX * blockDimY * blockDimZ), hStream, true, f, gridDimX,
         gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream, kernelParams, extra);
}

CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                                   unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                                   unsigned int sharedMemBytes, CUstream hStream, void **kernelParams) {
  HAMI_CUDA_ENTER(cuLaunchCooperativeKernel, f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ,
                  sharedMemBytes, hStream, kernelParams);
  struct hami_pace pace;
  hami_pace_begin(&pace, key_of(f, gridDimX, gridDimY, gridDimZ, blockDimX * blockDimY * blockDimZ), hStream, false);
  CUresult result =
      real(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream, kernelParams);
  hami_pace_end(&pace, result);
  HAMI_LEAVE(result);
}

CUresult cuLaunchCooperativeKernel_ptsz(CUfunction f, unsigned int gridDimX, unsigned int gridDimY,
                                        unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY,
                                        unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
                                        void **kernelParams) {
  HAMI_CUDA_ENTER(cuLaunchCooperativeKernel_ptsz, f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ,
                  sharedMemBytes, hStream, kernelParams);
  struct hami_pace pace;
  hami_pace_begin(&pace, key_of(f, gridDimX, gridDimY, gridDimZ, blockDimX * blockDimY * blockDimZ), hStream, true);
  CUresult result =
      real(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream, kernelParams);
  hami_pace_end(&pace, result);
  HAMI_LEAVE(result);
}

static uint64_t key_of_config(const CUlaunchConfig *config, CUfunction function) {
  return config == NULL ? 1
                        : key_of(function, config->gridDimX, config->gridDimY, config->gridDimZ,
                                 config->blockDimX * config->blockDimY * config->blockDimZ);
}

static CUstream stream_of_config(const CUlaunchConfig *config) { return config == NULL ? NULL : config->hStream; }

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams, void **extra) {
  HAMI_CUDA_ENTER(cuLaunchKernelEx, config, f, kernelParams, extra);
  LAUNCH(key_of_config(config, f), stream_of_config(config), false, config, f, kernelParams, extra);
}

CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig *config, CUfunction f, void **kernelParams, void **extra) {
  HAMI_CUDA_ENTER(cuLaunchKernelEx_ptsz, config, f, kernelParams, extra);
  LAUNCH(key_of_config(config, f), stream_of_config(config), true, config, f, kernelParams, extra);
}

typedef __typeof__(&cuGraphLaunch) graph_launch_function;

static CUresult launch_graph(graph_launch_function real, CUgraphExec exec, CUstream stream, bool per_thread) {
  struct hami_pace pace;
  struct hami_graph_memory_request request;
  hami_pace_begin(&pace, hami_estimates_mix(0, (uintptr_t)exec), stream, per_thread);
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_graph_memory_reserve(exec, &request)) {
    result = real(exec, stream);
    hami_graph_memory_settle(&request, result);
  }
  hami_pace_end(&pace, result);
  return result;
}

CUresult cuGraphLaunch(CUgraphExec hGraph, CUstream hStream) {
  HAMI_CUDA_ENTER(cuGraphLaunch, hGraph, hStream);
  HAMI_LEAVE(launch_graph(real, hGraph, hStream, false));
}

CUresult cuGraphLaunch_ptsz(CUgraphExec hGraphExec, CUstream hStream) {
  HAMI_CUDA_ENTER(cuGraphLaunch_ptsz, hGraphExec, hStream);
  HAMI_LEAVE(launch_graph(real, hGraphExec, hStream, true));
}

/* The launches of CUDA before 4.0 say nothing of the block, which is set on the function. */

CUresult cuLaunch(CUfunction f) {
  HAMI_CUDA_ENTER(cuLaunch, f);
  LAUNCH(key_of(f, 1, 1, 1, 0), NULL, false, f);
}

CUresult cuLaunchGrid(CUfunction f, int grid_width, int grid_height) {
  HAMI_CUDA_ENTER(cuLaunchGrid, f, grid_width, grid_height);
  LAUNCH(key_of(f, (unsigned int)grid_width, (unsigned int)grid_height, 1, 0), NULL, false, f, grid_width, grid_height);
}

CUresult cuLaunchGridAsync(CUfunction f, int grid_width, int grid_height, CUstream hStream) {
  HAMI_CUDA_ENTER(cuLaunchGridAsync, f, grid_width, grid_height, hStream);
  LAUNCH(key_of(f, (unsigned int)grid_width, (unsigned int)grid_height, 1, 0), hStream, false, f, grid_width,
         grid_height, hStream);
}

/* One kernel on several devices at once, in streams of its own on each: every device's share pays for its part. */

#define MOST_DEVICES 64U /* that CUDA knows in a process */

/* Makes the context of the part's stream the current one: it is that one's device that works. */
static bool enter_part(const CUDA_LAUNCH_PARAMS *part) {
  __typeof__(&cuStreamGetCtx) get_context = HAMI_REAL(cuStreamGetCtx);
  __typeof__(&cuCtxPushCurrent_v2) push = HAMI_REAL(cuCtxPushCurrent_v2);
  CUcontext context = NULL;
  return get_context != NULL && push != NULL && HAMI_REAL(cuCtxPopCurrent_v2) != NULL && part->hStream != NULL &&
         get_context(part->hStream, &context) == CUDA_SUCCESS && push(context) == CUDA_SUCCESS;
}

static void leave_part(bool entered) {
  CUcontext context = NULL;
  if (entered) {
    (void)HAMI_REAL(cuCtxPopCurrent_v2)(&context);
  }
}

static void admit_part(struct hami_pace *pace, const CUDA_LAUNCH_PARAMS *part) {
  bool entered = enter_part(part);
  hami_pace_admit(pace,
                  key_of(part->function, part->gridDimX, part->gridDimY, part->gridDimZ,
                         part->blockDimX * part->blockDimY * part->blockDimZ),
                  part->hStream, false);
  leave_part(entered);
}

static void mark_part(struct hami_pace *pace, const CUDA_LAUNCH_PARAMS *part) {
  bool entered = enter_part(part);
  hami_pace_mark(pace, part->hStream, false);
  leave_part(entered);
}

CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS *launchParamsList, unsigned int numDevices,
                                              unsigned int flags) {
  HAMI_CUDA_ENTER(cuLaunchCooperativeKernelMultiDevice, launchParamsList, numDevices, flags);
  struct hami_pace paces[MOST_DEVICES];
  unsigned int parts = launchParamsList == NULL || numDevices > MOST_DEVICES ? 0 : numDevices;
  for (unsigned int i = 0; i < parts; i++) {
    admit_part(&paces[i], &launchParamsList[i]);
  }
  for (unsigned int i = 0; i < parts; i++) { /* not before all have waited */
    mark_part(&paces[i], &launchParamsList[i]);
  }
  CUresult result = real(launchParamsList, numDevices, flags);
  for (unsigned int i = 0; i < parts; i++) {
    hami_pace_end(&paces[i], result);
  }
  HAMI_LEAVE(result);
}
