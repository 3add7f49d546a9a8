#include "environment.h"

const struct hami_env_names hami_common_environment = {
    .memory_limit = "HAMI_DEVICE_MEMORY_LIMIT",
    .core_limit = "HAMI_DEVICE_CORE_LIMIT",
    .region = "HAMI_REGION",
    .priority = "HAMI_TASK_PRIORITY",
    .policy = "HAMI_CORE_POLICY",
    .log_level = "HAMI_LOG_LEVEL",
};
