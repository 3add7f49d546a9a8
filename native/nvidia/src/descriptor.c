/* What makes this library NVIDIA's, see interpose/vendor.h. */
#include "interpose/vendor.h"

#include <stddef.h>

#include "array_mappings.h"
#include "contexts.h"
#include "deferred.h"
#include "devices.h"
#include "functions.h"
#include "graph_memory.h"
#include "growth.h"
#include "imports.h"
#include "libraries.h"
#include "own_memory.h"
#include "pace.h"
#include "pools.h"

static const char *const prefixes[] = {"cu", "nvml", NULL};

void *hami_reals[HAMI_FUNCTION_COUNT];

/* Whatever went back unseen, before an allocation is refused. */
static bool reclaim(void) {
  bool shrank = hami_pools_refresh();
  return hami_growth_reclaim() || shrank || hami_deferred_reclaim();
}

static void after_fork_in_child(void) {
  hami_deferred_after_fork_in_child();
  hami_pools_after_fork_in_child();
  hami_graph_memory_after_fork_in_child();
  hami_pace_after_fork_in_child();
  hami_devices_after_fork_in_child();
  hami_contexts_after_fork_in_child();
  hami_own_memory_after_fork_in_child();
  hami_growth_after_fork_in_child();
  hami_imports_after_fork_in_child();
  hami_array_mappings_after_fork_in_child();
}

const struct hami_vendor hami_vendor = {
    .libraries = hami_libraries,
    .prefixes = prefixes,
    .environment = &hami_environment,
    .function_count = HAMI_FUNCTION_COUNT,
    .hook_count = HAMI_HOOK_COUNT,
    .before_reserve = hami_growth_check,
    .reclaim = reclaim,
    .pool_freed = hami_pools_freed,
    .after_fork_in_child = after_fork_in_child,
};
