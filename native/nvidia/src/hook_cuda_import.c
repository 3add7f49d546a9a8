/* Memory of other processes, see imports.h: IPC handles, shareable handles, pointers of others' pools. */
#include "devices.h"
#include "hook.h"
#include "imports.h"

static int current_ordinal(void) {
  __typeof__(&cuCtxGetDevice) get_device = HAMI_REAL(cuCtxGetDevice);
  CUdevice ordinal;
  return get_device != NULL && get_device(&ordinal) == CUDA_SUCCESS ? ordinal : -1;
}

/* The end of every wrapper that imports; `ordinal` is asked for after the driver has succeeded. */
#define IMPORT(ordinal, ...)                                                                                           \
  do {                                                                                                                 \
    struct hami_import import;                                                                                         \
    hami_imports_begin(&import);                                                                                       \
    CUresult result = real(__VA_ARGS__);                                                                               \
    hami_imports_end(&import, result == CUDA_SUCCESS ? (ordinal) : -1);                                                \
    HAMI_LEAVE(result);                                                                                                \
  } while (0)

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int Flags) {
  HAMI_CUDA_ENTER(cuIpcOpenMemHandle_v2, pdptr, handle, Flags);
  IMPORT(current_ordinal(), pdptr, handle, Flags);
}

CUresult cuIpcOpenMemHandle(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int Flags) {
  HAMI_CUDA_ENTER(cuIpcOpenMemHandle, pdptr, handle, Flags);
  IMPORT(current_ordinal(), pdptr, handle, Flags);
}

CUresult cuIpcCloseMemHandle(CUdeviceptr dptr) {
  HAMI_CUDA_ENTER(cuIpcCloseMemHandle, dptr);
  CUresult result = real(dptr);
  hami_imports_dropped();
  HAMI_LEAVE(result);
}

static int ordinal_of_handle(CUmemGenericAllocationHandle handle) {
  __typeof__(&cuMemGetAllocationPropertiesFromHandle) get = HAMI_REAL(cuMemGetAllocationPropertiesFromHandle);
  CUmemAllocationProp properties;
  bool known = get != NULL && get(&properties, handle) == CUDA_SUCCESS;
  return known ? hami_devices_ordinal_of_location(&properties.location) : -1;
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *osHandle,
                                        CUmemAllocationHandleType shHandleType) {
  HAMI_CUDA_ENTER(cuMemImportFromShareableHandle, handle, osHandle, shHandleType);
  IMPORT(handle == NULL ? -1 : ordinal_of_handle(*handle), handle, osHandle, shHandleType);
}

CUresult cuMemPoolImportPointer(CUdeviceptr *ptr_out, CUmemoryPool pool, CUmemPoolPtrExportData *shareData) {
  HAMI_CUDA_ENTER(cuMemPoolImportPointer, ptr_out, pool, shareData);
  IMPORT(current_ordinal(), ptr_out, pool, shareData);
}
