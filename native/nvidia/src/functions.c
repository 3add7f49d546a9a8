#include "functions.h"

#include <string.h>

int hami_functions_match(const char *symbol, const void *answer, int cuda_version, bool per_thread,
                         void *const reals[HAMI_FUNCTION_COUNT]) {
  /* Compared within the family asked for only: a driver may let unrelated names share one address. */
  int by_rule = -1;
  bool any_per_thread = false;
  for (int i = 0; i < HAMI_HOOK_COUNT; i++) {
    const struct hami_function_info *info = &hami_functions[i];
    if (info->api != HAMI_API_CUDA || reals[i] == NULL) {
      continue;
    }
    bool same_family = strcmp(info->base, symbol) == 0;
    if (!same_family && strcmp(info->name, symbol) != 0) {
      continue;
    }
    if (reals[i] == answer) {
      return i;
    }
    any_per_thread = any_per_thread || (same_family && info->per_thread);
  }
  for (int i = 0; i < HAMI_HOOK_COUNT; i++) {
    const struct hami_function_info *info = &hami_functions[i];
    if (info->api != HAMI_API_CUDA || reals[i] == NULL || strcmp(info->base, symbol) != 0) {
      continue;
    }
    if (info->per_thread != (per_thread && any_per_thread) || info->introduced == 0 ||
        info->introduced > cuda_version) {
      continue;
    }
    if (by_rule < 0 || info->introduced > hami_functions[by_rule].introduced) {
      by_rule = i;
    }
  }
  return by_rule;
}
