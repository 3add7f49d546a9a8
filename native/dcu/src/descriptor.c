/* What makes this library Hygon's, see interpose/vendor.h. */
#include "interpose/vendor.h"

#include <stddef.h>

#include "hami_table.h"
#include "interpose/environment.h"
#include "interpose/timer.h"

static const char *const hip[] = {"libgalaxyhip.so.5", "libgalaxyhip.so", NULL};
static const char *const *const libraries[] = {hip};
static const char *const prefixes[] = {"hip", NULL};

const struct hami_vendor hami_vendor = {
    .libraries = libraries,
    .prefixes = prefixes,
    .environment = &hami_common_environment,
    .order = "HIP_VISIBLE_DEVICES",
    .timer = &hami_timer,
    .function_count = HAMI_FUNCTION_COUNT,
    .hook_count = HAMI_HOOK_COUNT,
    .after_fork_in_child = hami_launches_after_fork_in_child,
};
