#include "spill.h"

#include "capture.h"
#include "core/core.h"
#include "core/effects.h"
#include "core/log.h"
#include "host_room.h"
#include "real.h"
#include "sizes.h"

static int attribute(CUdevice_attribute which, CUdevice ordinal, int otherwise) {
  __typeof__(&cuDeviceGetAttribute) ask = HAMI_REAL(cuDeviceGetAttribute);
  int value;
  return ask != NULL && ask(&value, which, ordinal) == CUDA_SUCCESS ? value : otherwise;
}

bool hami_spill_wanted(CUresult result, int device) {
  return result == CUDA_ERROR_OUT_OF_MEMORY && device != HAMI_NO_DEVICE && hami_core_oversubscribes();
}

static bool has_host_room(const struct hami_charge *charge, size_t bytes) {
  if (hami_host_room(&hami_effects_system, bytes, hami_books_spilled_bytes(charge->device))) {
    return true;
  }
  HAMI_LOG(HAMI_LOG_WARN, "device %d is full, and the container has no host memory left for %zu bytes", charge->device,
           bytes);
  return false;
}

static CUresult spilled(struct hami_charge *charge) {
  hami_books_spill(charge);
  HAMI_LOG(HAMI_LOG_INFO, "device %d is full: %llu bytes are host memory", charge->device,
           (unsigned long long)charge->bytes);
  return CUDA_SUCCESS;
}

/* Both, or the memory would be brought to the card by the first kernel that touches it. */
static bool keep_on_host(CUdeviceptr pointer, size_t bytes, CUdevice ordinal) {
  __typeof__(&cuMemAdvise) advise = HAMI_REAL(cuMemAdvise);
  return advise != NULL &&
         advise(pointer, bytes, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, CU_DEVICE_CPU) == CUDA_SUCCESS &&
         advise(pointer, bytes, CU_MEM_ADVISE_SET_ACCESSED_BY, ordinal) == CUDA_SUCCESS;
}

static CUresult allocate_on_host(CUdeviceptr *dptr, size_t bytes, CUdevice ordinal) {
  __typeof__(&cuMemAllocManaged) allocate = HAMI_REAL(cuMemAllocManaged);
  __typeof__(&cuMemFree_v2) release = HAMI_REAL(cuMemFree_v2);
  CUdeviceptr pointer;
  if (allocate == NULL || release == NULL || allocate(&pointer, bytes, CU_MEM_ATTACH_GLOBAL) != CUDA_SUCCESS) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  if (!keep_on_host(pointer, bytes, ordinal)) {
    (void)release(pointer);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *dptr = pointer;
  return CUDA_SUCCESS;
}

CUresult hami_spill_allocate(CUdeviceptr *dptr, size_t bytes, struct hami_charge *charge) {
  __typeof__(&cuCtxGetDevice) get_device = HAMI_REAL(cuCtxGetDevice);
  CUdevice ordinal;
  /* Without concurrent access managed memory must fit on the card like any other, so it is no way out. */
  if (get_device == NULL || get_device(&ordinal) != CUDA_SUCCESS ||
      attribute(CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, ordinal, 0) == 0 || !has_host_room(charge, bytes)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  hami_capture_exchange_mode(&mode);
  CUresult result = allocate_on_host(dptr, bytes, ordinal);
  hami_capture_exchange_mode(&mode);
  return result == CUDA_SUCCESS ? spilled(charge) : result;
}

CUresult hami_spill_allocate_pitched(CUdeviceptr *dptr, size_t *pitch, size_t width_bytes, size_t height,
                                     struct hami_charge *charge) {
  const int usual_alignment_bytes = 512; /* of every card so far */
  __typeof__(&cuCtxGetDevice) get_device = HAMI_REAL(cuCtxGetDevice);
  CUdevice ordinal;
  if (get_device == NULL || get_device(&ordinal) != CUDA_SUCCESS) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  int alignment = attribute(CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, ordinal, usual_alignment_bytes);
  uint64_t row = hami_sizes_round_up(width_bytes, alignment > 0 ? (uint64_t)alignment : usual_alignment_bytes);
  uint64_t bytes = hami_sizes_multiply(row, height);
  if (bytes > charge->bytes) { /* more than was reserved: this card's rows are longer than those of any before it */
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  hami_books_resize(charge, bytes);
  CUresult result = hami_spill_allocate(dptr, bytes, charge);
  if (result == CUDA_SUCCESS) {
    *pitch = row;
  }
  return result;
}

CUresult hami_spill_create(CUmemGenericAllocationHandle *handle, size_t bytes, const CUmemAllocationProp *prop,
                           unsigned long long flags, struct hami_charge *charge) {
  __typeof__(&cuMemCreate) create = HAMI_REAL(cuMemCreate);
  CUdevice ordinal = prop->location.id;
  unsigned int other_handles =
      (unsigned int)prop->requestedHandleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  if (create == NULL || prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
      prop->type != CU_MEM_ALLOCATION_TYPE_PINNED || other_handles != 0 || prop->allocFlags.usage != 0 ||
      attribute(CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, ordinal, 0) == 0 ||
      !has_host_room(charge, bytes)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  int node = attribute(CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, ordinal, 0);
  CUmemAllocationProp host = {.type = prop->type,
                              .requestedHandleTypes = prop->requestedHandleTypes,
                              .location = {.type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = node < 0 ? 0 : node}};
  if (create(handle, bytes, &host, flags) != CUDA_SUCCESS) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  return spilled(charge);
}
