/* Where NVIDIA's driver is, and how HAMi passes a container's share of its cards. */
#include "libraries.h"

#include <stddef.h>

#include "functions.h"

static const char *const cuda[] = {"libcuda.so.1", NULL};
static const char *const nvml[] = {"libnvidia-ml.so.1", NULL};

const char *const *const hami_libraries[HAMI_API_COUNT] = {[HAMI_API_CUDA] = cuda, [HAMI_API_NVML] = nvml};

const struct hami_env_names hami_environment = {
    .memory_limit = "CUDA_DEVICE_MEMORY_LIMIT",
    .core_limit = "CUDA_DEVICE_SM_LIMIT",
    .region = "CUDA_DEVICE_MEMORY_SHARED_CACHE",
    .priority = "CUDA_TASK_PRIORITY",
    .policy = "GPU_CORE_UTILIZATION_POLICY",
    .oversubscribe = "CUDA_OVERSUBSCRIBE",
    .visible_devices = "NVIDIA_VISIBLE_DEVICES",
    .log_level = "LIBCUDA_LOG_LEVEL",
};
