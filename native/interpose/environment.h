/*
 * The variables by which limits are passed to a vendor's library when no limits file is: for vendors of whom HAMi knows
 * none that say the same. A number without a unit is bytes.
 */
#ifndef HAMI_INTERPOSE_ENVIRONMENT_H
#define HAMI_INTERPOSE_ENVIRONMENT_H

#include "core/limits.h"

extern const struct hami_env_names hami_common_environment;

#endif
