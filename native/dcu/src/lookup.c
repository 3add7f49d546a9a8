/* hipGetProcAddress: the driver answers first; a name that is wrapped then leads to its wrapper. */
#include "api.h"
#include "hami_table.h"
#include "interpose/real.h"
#include "interpose/symbol_lookup.h"

hipError_t hipGetProcAddress(const char *symbol, void **pfn, int hipVersion, uint64_t flags, int *symbolStatus) {
  __typeof__(&hipGetProcAddress) real = HAMI_REAL(hipGetProcAddress);
  if (real == NULL) {
    return HAMI_MISSING;
  }
  hipError_t result = real(symbol, pfn, hipVersion, flags, symbolStatus);
  if (result == hipSuccess && pfn != NULL) {
    *pfn = hami_lookup_substitute(symbol, *pfn);
  }
  return result;
}
