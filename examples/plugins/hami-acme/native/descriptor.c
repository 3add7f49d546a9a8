/* What makes this library Acme's, see interpose/vendor.h. */
#include <stddef.h>

#include "hami_table.h"
#include "interpose/environment.h"
#include "interpose/vendor.h"

static const char *const driver[] = {"libacme.so", NULL};
static const char *const *const libraries[] = {driver};
static const char *const prefixes[] = {"acme", NULL};

const struct hami_vendor hami_vendor = {
    .libraries = libraries,
    .prefixes = prefixes,
    .environment = &hami_common_environment,
    .function_count = HAMI_FUNCTION_COUNT,
    .hook_count = HAMI_HOOK_COUNT,
};
