/* What makes this library Cambricon's, see interpose/vendor.h. */
#include "interpose/vendor.h"

#include <stddef.h>

#include "hami_table.h"
#include "interpose/environment.h"
#include "interpose/timer.h"

/* The second name was seen in one project only. */
static const char *const driver[] = {"libcndrv.so", "libcndrv.so.2", NULL};
static const char *const runtime[] = {"libcnrt.so", NULL};
static const char *const *const libraries[] = {driver, runtime};
static const char *const prefixes[] = {"cn", NULL};

const struct hami_vendor hami_vendor = {
    .libraries = libraries,
    .prefixes = prefixes,
    .environment = &hami_common_environment,
    .order = "MLU_VISIBLE_DEVICES",
    .timer = &hami_timer,
    .function_count = HAMI_FUNCTION_COUNT,
    .hook_count = HAMI_HOOK_COUNT,
    .after_fork_in_child = hami_launches_after_fork_in_child,
};
