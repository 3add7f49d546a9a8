#include "functions.h"

#include <string.h>

#include "vendor.h"

int hami_functions_find_hook(const char *name) {
  int low = 0;
  int high = hami_vendor.hook_count - 1;
  while (low <= high) {
    int middle = low + (high - low) / 2;
    int order = strcmp(name, hami_functions[middle].name);
    if (order == 0) {
      return middle;
    }
    if (order < 0) {
      high = middle - 1;
    } else {
      low = middle + 1;
    }
  }
  return -1;
}
