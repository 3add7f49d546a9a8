/* Plain allocations: cuMemAlloc, pitched, managed, and their frees, in the current and in the 32-bit ABI. */
#include "books.h"
#include "deferred.h"
#include "hook.h"
#include "settle.h"
#include "sizes.h"
#include "spill.h"

/* Row alignment assumed before the driver says which pitch it chose; 512 bytes is what every card so far uses. */
#define PITCH_GUESS_BYTES 512U

/* The driver gives no less than this, and whole multiples of it. */
#define GRANULE_BYTES 512U

static uint64_t granted_for(uint64_t bytes) { return hami_sizes_round_up(bytes, GRANULE_BYTES); }

CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize) {
  HAMI_CUDA_ENTER(cuMemAlloc_v2, dptr, bytesize);
  if (dptr == NULL) {
    HAMI_LEAVE(real(dptr, bytesize)); /* an argument error is the driver's to report, whatever the size */
  }
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_BUFFER, granted_for(bytesize))) {
    result = real(dptr, bytesize);
    if (hami_spill_wanted(result, charge.device)) {
      result = hami_spill_allocate(dptr, bytesize, &charge);
    }
    result = hami_settle_allocation(result, &charge, result == CUDA_SUCCESS ? *dptr : 0);
  }
  HAMI_LEAVE(result);
}

CUresult cuMemAlloc(CUdeviceptr_v1 *dptr, unsigned int bytesize) {
  HAMI_CUDA_ENTER(cuMemAlloc, dptr, bytesize);
  if (dptr == NULL) {
    HAMI_LEAVE(real(dptr, bytesize));
  }
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_BUFFER, granted_for(bytesize))) {
    result = real(dptr, bytesize);
    result = hami_settle_allocation(result, &charge, result == CUDA_SUCCESS ? *dptr : 0);
  }
  HAMI_LEAVE(result);
}

CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned int flags) {
  HAMI_CUDA_ENTER(cuMemAllocManaged, dptr, bytesize, flags);
  if (dptr == NULL) {
    HAMI_LEAVE(real(dptr, bytesize, flags));
  }
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_MANAGED, granted_for(bytesize))) {
    result = real(dptr, bytesize, flags);
    result = hami_settle_allocation(result, &charge, result == CUDA_SUCCESS ? *dptr : 0);
  }
  HAMI_LEAVE(result);
}

static uint64_t pitched_guess(uint64_t width_bytes, uint64_t height) {
  return hami_sizes_multiply(hami_sizes_round_up(width_bytes, PITCH_GUESS_BYTES), height);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
                            unsigned int ElementSizeBytes) {
  HAMI_CUDA_ENTER(cuMemAllocPitch_v2, dptr, pPitch, WidthInBytes, Height, ElementSizeBytes);
  if (dptr == NULL || pPitch == NULL) {
    HAMI_LEAVE(real(dptr, pPitch, WidthInBytes, Height, ElementSizeBytes));
  }
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_BUFFER, pitched_guess(WidthInBytes, Height))) {
    result = real(dptr, pPitch, WidthInBytes, Height, ElementSizeBytes);
    if (result == CUDA_SUCCESS) {
      hami_books_resize(&charge, hami_sizes_multiply(*pPitch, Height));
    } else if (hami_spill_wanted(result, charge.device)) {
      result = hami_spill_allocate_pitched(dptr, pPitch, WidthInBytes, Height, &charge);
    }
    result = hami_settle_allocation(result, &charge, result == CUDA_SUCCESS ? *dptr : 0);
  }
  HAMI_LEAVE(result);
}

CUresult cuMemAllocPitch(CUdeviceptr_v1 *dptr, unsigned int *pPitch, unsigned int WidthInBytes, unsigned int Height,
                         unsigned int ElementSizeBytes) {
  HAMI_CUDA_ENTER(cuMemAllocPitch, dptr, pPitch, WidthInBytes, Height, ElementSizeBytes);
  if (dptr == NULL || pPitch == NULL) {
    HAMI_LEAVE(real(dptr, pPitch, WidthInBytes, Height, ElementSizeBytes));
  }
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_BUFFER, pitched_guess(WidthInBytes, Height))) {
    result = real(dptr, pPitch, WidthInBytes, Height, ElementSizeBytes);
    if (result == CUDA_SUCCESS) {
      hami_books_resize(&charge, hami_sizes_multiply(*pPitch, Height));
    }
    result = hami_settle_allocation(result, &charge, result == CUDA_SUCCESS ? *dptr : 0);
  }
  HAMI_LEAVE(result);
}

CUresult cuMemFree_v2(CUdeviceptr dptr) {
  HAMI_CUDA_ENTER(cuMemFree_v2, dptr);
  if (hami_deferred_holds(dptr)) {
    HAMI_LEAVE(CUDA_ERROR_INVALID_VALUE); /* freed a second time */
  }
  (void)hami_deferred_poll();
  struct hami_charge charge;
  bool known = hami_books_take(HAMI_BOOKS_POINTER, dptr, &charge);
  CUresult result = real(dptr);
  hami_settle_free(result, known, dptr, &charge);
  HAMI_LEAVE(result);
}

CUresult cuMemFree(CUdeviceptr_v1 dptr) {
  HAMI_CUDA_ENTER(cuMemFree, dptr);
  if (hami_deferred_holds(dptr)) {
    HAMI_LEAVE(CUDA_ERROR_INVALID_VALUE); /* freed a second time */
  }
  (void)hami_deferred_poll();
  struct hami_charge charge;
  bool known = hami_books_take(HAMI_BOOKS_POINTER, dptr, &charge);
  CUresult result = real(dptr);
  hami_settle_free(result, known, dptr, &charge);
  HAMI_LEAVE(result);
}
