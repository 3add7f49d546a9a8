/* What makes this library Moore Threads', see interpose/vendor.h. */
#include "interpose/vendor.h"

#include <stddef.h>

#include "hami_table.h"
#include "interpose/environment.h"
#include "interpose/timer.h"

/* Which of these names a release uses was not seen on a machine. */
static const char *const driver[] = {"libmusa.so.1", "libmusa.so.4", "libmusa.so", NULL};
static const char *const runtime[] = {"libmusart.so.5", "libmusart.so", NULL};
static const char *const *const libraries[] = {driver, runtime};
static const char *const prefixes[] = {"mu", NULL};

const struct hami_vendor hami_vendor = {
    .libraries = libraries,
    .prefixes = prefixes,
    .environment = &hami_common_environment,
    .order = "MUSA_VISIBLE_DEVICES",
    .timer = &hami_timer,
    .function_count = HAMI_FUNCTION_COUNT,
    .hook_count = HAMI_HOOK_COUNT,
    .after_fork_in_child = hami_launches_after_fork_in_child,
};
