#include "settle.h"

#include "pools.h"
#include "real.h"

CUresult hami_settle_allocation(CUresult result, const struct hami_charge *charge, CUdeviceptr pointer) {
  if (result != CUDA_SUCCESS) {
    hami_books_refund(charge);
    return result;
  }
  if (hami_books_record(HAMI_BOOKS_POINTER, pointer, charge)) {
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
  if (!known) {
    return;
  }
  if (result != CUDA_SUCCESS) {
    (void)hami_books_record(HAMI_BOOKS_POINTER, pointer, charge);
  } else if (charge->class == HAMI_CLASS_POOL) {
    hami_pools_freed(charge);
  } else {
    hami_books_refund(charge);
  }
}

bool hami_settle_object(CUresult result, enum hami_books_kind kind, const void *handle,
                        const struct hami_charge *charge) {
  if (result != CUDA_SUCCESS) {
    hami_books_refund(charge);
    return true;
  }
  return hami_books_record(kind, (uintptr_t)handle, charge);
}

void hami_settle_destroy(CUresult result, bool known, enum hami_books_kind kind, const void *handle,
                         const struct hami_charge *charge) {
  if (!known) {
    return;
  }
  if (result == CUDA_SUCCESS) {
    hami_books_refund(charge);
  } else {
    (void)hami_books_record(kind, (uintptr_t)handle, charge);
  }
}
