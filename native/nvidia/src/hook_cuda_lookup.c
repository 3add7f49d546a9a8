/* cuGetProcAddress: the driver answers first; what it found is then replaced by the wrapper of the same ABI. */
#include "guard.h"
#include "real.h"
#include "session.h"

/* The wrapper of exactly the ABI that the driver answered with, or the answer itself. */
static void *substitute(const char *symbol, void *answer, int cuda_version, cuuint64_t flags) {
  /* Seen from inside the driver the table stays the driver's. */
  if (symbol == NULL || answer == NULL || hami_guard_inside() || !hami_session_configured()) {
    return answer;
  }
  bool per_thread = (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0;
  int hook = hami_functions_match(symbol, answer, cuda_version, per_thread, hami_reals);
  return hook < 0 ? answer : (void *)(uintptr_t)hami_functions[hook].wrapper;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *symbolStatus) {
  __typeof__(&cuGetProcAddress_v2) real = HAMI_REAL(cuGetProcAddress_v2);
  if (real == NULL) {
    return CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND;
  }
  CUresult result = real(symbol, pfn, cudaVersion, flags, symbolStatus);
  if (result == CUDA_SUCCESS && pfn != NULL) {
    *pfn = substitute(symbol, *pfn, cudaVersion, flags);
  }
  return result;
}

CUresult cuGetProcAddress(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags) {
  __typeof__(&cuGetProcAddress) real = HAMI_REAL(cuGetProcAddress);
  if (real == NULL) {
    return CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND;
  }
  CUresult result = real(symbol, pfn, cudaVersion, flags);
  if (result == CUDA_SUCCESS && pfn != NULL) {
    *pfn = substitute(symbol, *pfn, cudaVersion, flags);
  }
  return result;
}
