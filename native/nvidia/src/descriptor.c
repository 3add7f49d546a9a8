/* What makes this library NVIDIA's, see interpose/vendor.h. */
#include "interpose/vendor.h"

#include <stddef.h>

#include "contexts.h"
#include "devices.h"
#include "functions.h"
#include "graph_memory.h"
#include "libraries.h"
#include "pace.h"
#include "pools.h"

static const char *const prefixes[] = {"cu", "nvml", NULL};

void *hami_reals[HAMI_FUNCTION_COUNT];

static void after_fork_in_child(void) {
  hami_pools_after_fork_in_child();
  hami_graph_memory_after_fork_in_child();
  hami_pace_after_fork_in_child();
  hami_devices_after_fork_in_child();
  hami_contexts_after_fork_in_child();
}

const struct hami_vendor hami_vendor = {
    .libraries = hami_libraries,
    .prefixes = prefixes,
    .environment = &hami_environment,
    .function_count = HAMI_FUNCTION_COUNT,
    .hook_count = HAMI_HOOK_COUNT,
    .reclaim = hami_pools_refresh,
    .pool_freed = hami_pools_freed,
    .after_fork_in_child = after_fork_in_child,
};
