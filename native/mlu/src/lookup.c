/* cnGetExportFunction, by which the runtime is said to reach the driver: names lead to wrappers here as well. */
#include "api.h"
#include "hami_table.h"
#include "interpose/real.h"
#include "interpose/symbol_lookup.h"

CNresult cnGetExportFunction(const char *name, const void **fn) {
  __typeof__(&cnGetExportFunction) real = HAMI_REAL(cnGetExportFunction);
  if (real == NULL) {
    return HAMI_MISSING;
  }
  CNresult result = real(name, fn);
  if (result == CN_SUCCESS && fn != NULL) {
    *fn = hami_lookup_substitute(name, (void *)(uintptr_t)*fn);
  }
  return result;
}
