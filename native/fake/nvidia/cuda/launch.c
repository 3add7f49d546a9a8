/*
 * Launches. How long a kernel takes, first rule that applies (docs/fake-driver.md):
 * a kernel named hami_spin_ns takes its first parameter (u64 nanoseconds); a "hami-fake: ns=N" hint in the PTX before
 * the entry; HAMI_FAKE_KERNEL_NS; else 1 us plus 1 us per wave of blocks that fills the card.
 */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

static int64_t configured_ns(void) {
  static int64_t cached = -2; /* not read yet */
  int64_t value = __atomic_load_n(&cached, __ATOMIC_RELAXED);
  if (value == -2) {
    const char *text = getenv("HAMI_FAKE_KERNEL_NS");
    value = text == NULL || text[0] == '\0' ? -1 : strtoll(text, NULL, 10);
    value = value < -1 ? -1 : value;
    __atomic_store_n(&cached, value, __ATOMIC_RELAXED);
  }
  return value;
}

static bool spin_duration(const struct fake_kernel *kernel, const CUDA_KERNEL_NODE_PARAMS *launch, uint64_t *duration) {
  if (strcmp(kernel->name, "hami_spin_ns") != 0) {
    return false;
  }
  const void *parameter = launch->kernelParams == NULL ? NULL : launch->kernelParams[0];
  for (int i = 0; parameter == NULL && launch->extra != NULL && launch->extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
    parameter = launch->extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER ? launch->extra[i + 1] : NULL;
  }
  if (parameter == NULL) {
    return false;
  }
  memcpy(duration, parameter, sizeof *duration);
  return true;
}

uint64_t fake_kernel_duration_ns(struct fake_context *context, const CUDA_KERNEL_NODE_PARAMS *launch) {
  const struct fake_kernel *kernel = (const struct fake_kernel *)(const void *)launch->func;
  uint64_t duration = 0;
  if (spin_duration(kernel, launch, &duration)) {
    return duration;
  }
  if (kernel->duration_ns >= 0) {
    return (uint64_t)kernel->duration_ns;
  }
  if (configured_ns() >= 0) {
    return (uint64_t)configured_ns();
  }
  const struct fake_device *card = fake_device_of_unit(context->unit);
  uint64_t blocks = (uint64_t)launch->gridDimX * launch->gridDimY * launch->gridDimZ;
  uint64_t threads = (uint64_t)launch->blockDimX * launch->blockDimY * launch->blockDimZ;
  uint64_t resident = card->threads_per_multiprocessor / threads;
  uint64_t wave = (resident == 0 ? 1 : resident) * card->multiprocessors;
  return 1000 * (1 + (blocks + wave - 1) / wave);
}

static CUresult launch(const CUDA_KERNEL_NODE_PARAMS *kernel, CUstream handle) {
  struct fake_stream *stream = NULL;
  FAKE_TRY(fake_stream_resolve(handle, &stream));
  uint64_t threads = (uint64_t)kernel->blockDimX * kernel->blockDimY * kernel->blockDimZ;
  bool in_range = kernel->gridDimX - 1 < 2147483647u && kernel->gridDimY - 1 < 65535u &&
                  kernel->gridDimZ - 1 < 65535u && threads >= 1 && threads <= 1024;
  if (!fake_object_is(kernel->func, FAKE_FUNCTION)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (!in_range) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (__builtin_expect(stream->capture != NULL, 0)) {
    struct fake_work work = {.kind = FAKE_WORK_KERNEL};
    work.as.kernel = *kernel;
    return fake_capture_add(stream, &work);
  }
  if (!fake_kernel_prepare((struct fake_kernel *)kernel->func, stream->context)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  return fake_work_kernel(stream, kernel);
}

static CUDA_KERNEL_NODE_PARAMS shape(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                     unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                                     void **parameters, void **extra) {
  return (CUDA_KERNEL_NODE_PARAMS){.func = function,
                                   .gridDimX = grid_x,
                                   .gridDimY = grid_y,
                                   .gridDimZ = grid_z,
                                   .blockDimX = block_x,
                                   .blockDimY = block_y,
                                   .blockDimZ = block_z,
                                   .sharedMemBytes = shared,
                                   .kernelParams = parameters,
                                   .extra = extra};
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared, CUstream stream, void **parameters,
                        void **extra) {
  FAKE_ENTER(cuLaunchKernel);
  const CUDA_KERNEL_NODE_PARAMS kernel =
      shape(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, parameters, extra);
  return launch(&kernel, stream);
}

CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                                   CUstream stream, void **parameters) {
  FAKE_ENTER(cuLaunchCooperativeKernel);
  const CUDA_KERNEL_NODE_PARAMS kernel =
      shape(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, parameters, NULL);
  return launch(&kernel, stream);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **parameters, void **extra) {
  FAKE_ENTER(cuLaunchKernelEx);
  if (config == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const CUDA_KERNEL_NODE_PARAMS kernel =
      shape(function, config->gridDimX, config->gridDimY, config->gridDimZ, config->blockDimX, config->blockDimY,
            config->blockDimZ, config->sharedMemBytes, parameters, extra);
  return launch(&kernel, config->hStream);
}

CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS *launches, unsigned count, unsigned flags) {
  FAKE_ENTER(cuLaunchCooperativeKernelMultiDevice);
  (void)flags;
  if (launches == NULL || count == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (unsigned i = 0; i < count; i++) {
    const CUDA_LAUNCH_PARAMS *each = &launches[i];
    const CUDA_KERNEL_NODE_PARAMS kernel =
        shape(each->function, each->gridDimX, each->gridDimY, each->gridDimZ, each->blockDimX, each->blockDimY,
              each->blockDimZ, each->sharedMemBytes, each->kernelParams, NULL);
    FAKE_TRY(launch(&kernel, each->hStream));
  }
  return CUDA_SUCCESS;
}

/* ---- the launch calls of before CUDA 4, still exported -------------------------------------------------------- */

CUresult cuFuncSetBlockShape(CUfunction handle, int x, int y, int z) {
  FAKE_ENTER(cuFuncSetBlockShape);
  struct fake_kernel *kernel = (struct fake_kernel *)handle;
  if (!fake_object_is(kernel, FAKE_FUNCTION) || x <= 0 || y <= 0 || z <= 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  kernel->block[0] = (unsigned)x;
  kernel->block[1] = (unsigned)y;
  kernel->block[2] = (unsigned)z;
  return CUDA_SUCCESS;
}

static CUresult launch_shaped(CUfunction handle, int width, int height, CUstream stream) {
  const struct fake_kernel *shaped = (const struct fake_kernel *)(const void *)handle;
  if (!fake_object_is(shaped, FAKE_FUNCTION) || width <= 0 || height <= 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const CUDA_KERNEL_NODE_PARAMS kernel = shape(handle, (unsigned)width, (unsigned)height, 1, shaped->block[0],
                                               shaped->block[1], shaped->block[2], 0, NULL, NULL);
  return launch(&kernel, stream);
}

CUresult cuLaunch(CUfunction function) {
  FAKE_ENTER(cuLaunch);
  return launch_shaped(function, 1, 1, NULL);
}

CUresult cuLaunchGrid(CUfunction function, int width, int height) {
  FAKE_ENTER(cuLaunchGrid);
  return launch_shaped(function, width, height, NULL);
}

CUresult cuLaunchGridAsync(CUfunction function, int width, int height, CUstream stream) {
  FAKE_ENTER(cuLaunchGridAsync);
  return launch_shaped(function, width, height, stream);
}
