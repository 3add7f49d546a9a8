#include "settle.h"

#include "real.h"

CUresult hami_settle_allocation(CUresult result, const struct hami_charge *charge, CUdeviceptr pointer) {
  if (hami_books_settle_made(charge, result == CUDA_SUCCESS, HAMI_BOOKS_POINTER, pointer)) {
    return result;
  }
  /* Memory that cannot be written down cannot be given back in the books either: better not to have it. */
  __typeof__(&cuMemFree_v2) release = HAMI_REAL(cuMemFree_v2);
  if (release != NULL) {
    (void)release(pointer);
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

void hami_settle_free(CUresult result, bool known, CUdeviceptr pointer, const struct hami_charge *charge) {
  hami_books_settle_freed(charge, known, result == CUDA_SUCCESS, HAMI_BOOKS_POINTER, pointer);
}

bool hami_settle_object(CUresult result, enum hami_books_kind kind, const void *handle,
                        const struct hami_charge *charge) {
  return hami_books_settle_made(charge, result == CUDA_SUCCESS, kind, (uintptr_t)handle);
}

void hami_settle_destroy(CUresult result, bool known, enum hami_books_kind kind, const void *handle,
                         const struct hami_charge *charge) {
  hami_books_settle_freed(charge, known, result == CUDA_SUCCESS, kind, (uintptr_t)handle);
}
