/* What makes this library Ascend's, see interpose/vendor.h. */
#include "interpose/vendor.h"

#include <stddef.h>

#include "hami_table.h"
#include "interpose/environment.h"
#include "interpose/timer.h"

/* HAMi's soft mode has variables of its own, NPU_MEM_QUOTA and others, in MB; this library does not read them. */
static const char *const runtime[] = {"libruntime.so", NULL};
static const char *const *const libraries[] = {runtime};
static const char *const prefixes[] = {"rt", NULL};

const struct hami_vendor hami_vendor = {
    .libraries = libraries,
    .prefixes = prefixes,
    .environment = &hami_common_environment,
    .order = "ASCEND_RT_VISIBLE_DEVICES",
    .timer = &hami_timer,
    .function_count = HAMI_FUNCTION_COUNT,
    .hook_count = HAMI_HOOK_COUNT,
    .after_fork_in_child = hami_launches_after_fork_in_child,
};
