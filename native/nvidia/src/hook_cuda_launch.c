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

/* One kernel on several devices at once: paced and measured where the caller is, for the part that runs there. */
CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS *launchParamsList, unsigned int numDevices,
                                              unsigned int flags) {
  HAMI_CUDA_ENTER(cuLaunchCooperativeKernelMultiDevice, launchParamsList, numDevices, flags);
  if (launchParamsList == NULL || numDevices == 0) {
    HAMI_LEAVE(real(launchParamsList, numDevices, flags));
  }
  const CUDA_LAUNCH_PARAMS *first = &launchParamsList[0];
  struct hami_pace pace;
  hami_pace_begin(&pace,
                  key_of(first->function, first->gridDimX, first->gridDimY, first->gridDimZ,
                         first->blockDimX * first->blockDimY * first->blockDimZ),
                  first->hStream, false);
  CUresult result = real(launchParamsList, numDevices, flags);
  hami_pace_end(&pace, result);
  HAMI_LEAVE(result);
}
