/* Memory of other APIs, brought in: charged once, where it is imported. Mapped buffers are freed as unknown pointers.
 */
#include "books.h"
#include "hook.h"
#include "settle.h"

CUresult cuImportExternalMemory(CUexternalMemory *extMem_out, const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *memHandleDesc) {
  HAMI_CUDA_ENTER(cuImportExternalMemory, extMem_out, memHandleDesc);
  if (extMem_out == NULL || memHandleDesc == NULL) {
    HAMI_LEAVE(real(extMem_out, memHandleDesc));
  }
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_EXTERNAL, memHandleDesc->size)) {
    result = real(extMem_out, memHandleDesc);
    if (!hami_settle_object(result, HAMI_BOOKS_EXTERNAL, *extMem_out, &charge)) {
      __typeof__(&cuDestroyExternalMemory) destroy = HAMI_REAL(cuDestroyExternalMemory);
      if (destroy != NULL) {
        (void)destroy(*extMem_out);
      }
      result = CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
  HAMI_LEAVE(result);
}

CUresult cuDestroyExternalMemory(CUexternalMemory extMem) {
  HAMI_CUDA_ENTER(cuDestroyExternalMemory, extMem);
  struct hami_charge charge;
  bool known = hami_books_take(HAMI_BOOKS_EXTERNAL, (uintptr_t)extMem, &charge);
  CUresult result = real(extMem);
  hami_settle_destroy(result, known, HAMI_BOOKS_EXTERNAL, extMem, &charge);
  HAMI_LEAVE(result);
}
