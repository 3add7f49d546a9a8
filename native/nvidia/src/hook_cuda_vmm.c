/* The virtual memory API: physical memory is charged where it is made, for as long as handles or mappings hold it. */
#include "books.h"
#include "devices.h"
#include "hook.h"
#include "imports.h"
#include "physical.h"
#include "spill.h"

CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
                     unsigned long long flags) {
  HAMI_CUDA_ENTER(cuMemCreate, handle, size, prop, flags);
  /* Host memory (pinned, or of a NUMA node) is not the card's, and needs no context either. */
  CUdevice ordinal = handle == NULL || prop == NULL ? -1 : hami_devices_ordinal_of_location(&prop->location);
  if (ordinal < 0) {
    HAMI_LEAVE(real(handle, size, prop, flags));
  }
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve(&charge, hami_devices_of_ordinal(ordinal), HAMI_CLASS_PHYSICAL, size)) {
    result = real(handle, size, prop, flags);
    if (hami_spill_wanted(result, charge.device)) {
      result = hami_spill_create(handle, size, prop, flags, &charge);
    }
    if (result != CUDA_SUCCESS) {
      hami_books_refund(&charge);
    } else if (!hami_physical_created(*handle, &charge)) {
      __typeof__(&cuMemRelease) release = HAMI_REAL(cuMemRelease);
      if (release != NULL) {
        (void)release(*handle);
      }
      result = CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
  HAMI_LEAVE(result);
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  HAMI_CUDA_ENTER(cuMemRelease, handle);
  struct hami_physical *physical = hami_physical_pin(handle);
  CUresult result = real(handle);
  hami_physical_unpin(physical, result == CUDA_SUCCESS ? -1 : 0, 0);
  if (physical == NULL) {
    hami_imports_dropped();
  }
  HAMI_LEAVE(result);
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr) {
  HAMI_CUDA_ENTER(cuMemRetainAllocationHandle, handle, addr);
  CUresult result = real(handle, addr);
  if (result == CUDA_SUCCESS && handle != NULL) {
    hami_physical_unpin(hami_physical_pin(*handle), 1, 0);
  }
  HAMI_LEAVE(result);
}

CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags) {
  HAMI_CUDA_ENTER(cuMemMap, ptr, size, offset, handle, flags);
  struct hami_physical *physical = hami_physical_pin(handle);
  CUresult result = real(ptr, size, offset, handle, flags);
  bool mapped = physical != NULL && result == CUDA_SUCCESS;
  if (mapped && !hami_physical_mapped(physical, ptr, size)) {
    __typeof__(&cuMemUnmap) unmap = HAMI_REAL(cuMemUnmap);
    if (unmap != NULL) {
      (void)unmap(ptr, size);
    }
    mapped = false;
    result = CUDA_ERROR_OUT_OF_MEMORY;
  }
  hami_physical_unpin(physical, 0, mapped ? 1 : 0);
  HAMI_LEAVE(result);
}

CUresult cuMemUnmap(CUdeviceptr ptr, size_t size) {
  HAMI_CUDA_ENTER(cuMemUnmap, ptr, size);
  struct hami_mapping *taken = hami_physical_take_mappings(ptr, size);
  CUresult result = real(ptr, size);
  if (taken == NULL) {
    hami_imports_dropped();
  }
  hami_physical_settle_mappings(taken, result == CUDA_SUCCESS);
  HAMI_LEAVE(result);
}
