/* cuGetProcAddress: the driver answers first; what it found is then replaced by the wrapper of the same ABI. */
#include "guard.h"
#include "real.h"
#include "symbol_lookup.h"

CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *symbolStatus) {
  __typeof__(&cuGetProcAddress_v2) real = HAMI_REAL(cuGetProcAddress_v2);
  if (real == NULL) {
    return CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND;
  }
  CUresult result = real(symbol, pfn, cudaVersion, flags, symbolStatus);
  /* Seen from inside the driver the table stays the driver's. */
  if (result == CUDA_SUCCESS && pfn != NULL && !hami_guard_inside()) {
    *pfn = hami_lookup_substitute(symbol, *pfn, cudaVersion, flags);
  }
  return result;
}

CUresult cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags) {
  __typeof__(&cuGetProcAddress) real = HAMI_REAL(cuGetProcAddress);
  if (real == NULL) {
    return CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND;
  }
  CUresult result = real(symbol, pfn, cudaVersion, flags);
  if (result == CUDA_SUCCESS && pfn != NULL && !hami_guard_inside()) {
    *pfn = hami_lookup_substitute(symbol, *pfn, cudaVersion, flags);
  }
  return result;
}
