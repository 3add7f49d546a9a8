/* Where CoreX has what CUDA has, and how limits are passed: the names that users of HAMi's CUDA library know. */
#include "libraries.h"

#include <stddef.h>

#include "functions.h"

static const char *const cuda[] = {"libcuda.so.1", NULL};
static const char *const ixml[] = {"libixml.so", NULL};

const char *const *const hami_libraries[HAMI_API_COUNT] = {[HAMI_API_CUDA] = cuda, [HAMI_API_NVML] = ixml};

const struct hami_env_names hami_environment = {
    .memory_limit = "CUDA_DEVICE_MEMORY_LIMIT",
    .core_limit = "CUDA_DEVICE_SM_LIMIT",
    .region = "CUDA_DEVICE_MEMORY_SHARED_CACHE",
    .priority = "CUDA_TASK_PRIORITY",
    .policy = "GPU_CORE_UTILIZATION_POLICY",
    .oversubscribe = "CUDA_OVERSUBSCRIBE",
    .visible_devices = "IX_VISIBLE_DEVICES",
    .log_level = "LIBCUDA_LOG_LEVEL",
};
