/* What makes this library Ascend's, see interpose/vendor.h. */
#include "interpose/vendor.h"

#include <stddef.h>

#include "hami_table.h"
#include "interpose/launches.h"
#include "timer.h"

static const char *const runtime[] = {"libruntime.so", NULL};
static const char *const *const libraries[] = {runtime};
static const char *const prefixes[] = {"rt", NULL};

/* HAMi's soft mode has its own variables in MB (NPU_MEM_QUOTA), which these are not: a number here is bytes. */
static const struct hami_env_names environment = {
    .memory_limit = "HAMI_DEVICE_MEMORY_LIMIT",
    .core_limit = "HAMI_DEVICE_CORE_LIMIT",
    .region = "HAMI_REGION",
    .priority = "HAMI_TASK_PRIORITY",
    .policy = "HAMI_CORE_POLICY",
    .log_level = "HAMI_LOG_LEVEL",
};

const struct hami_vendor hami_vendor = {
    .libraries = libraries,
    .prefixes = prefixes,
    .environment = &environment,
    .order = "ASCEND_RT_VISIBLE_DEVICES",
    .timer = &hami_ascend_timer,
    .function_count = HAMI_FUNCTION_COUNT,
    .hook_count = HAMI_HOOK_COUNT,
    .after_fork_in_child = hami_launches_after_fork_in_child,
};
