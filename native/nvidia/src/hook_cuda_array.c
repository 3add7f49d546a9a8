/* CUDA arrays and mipmapped arrays: memory of the driver's own layout, whose size it does not tell. */
#include "array_mappings.h"
#include "books.h"
#include "hook.h"
#include "settle.h"
#include "sizes.h"

/* Cards store arrays in blocks of 64 bytes by 8 rows. */
#define BLOCK_ROW_BYTES 64U
#define BLOCK_ROWS 8U
#define BLOCK_LINE_BYTES 512U /* of an array with one row */

/* Backed by memory of its own from the start; the other kinds get cuMemCreate's mapped into them. */
#define UNBACKED_FLAGS (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)

struct shape {
  uint64_t width, height, depth; /* in elements; 0 counts as 1 */
  uint64_t element_bytes;
};

static uint64_t channel_bits(CUarray_format format) {
  switch (format) {
  case CU_AD_FORMAT_UNSIGNED_INT8:
  case CU_AD_FORMAT_SIGNED_INT8:
    return 8;
  case CU_AD_FORMAT_UNSIGNED_INT16:
  case CU_AD_FORMAT_SIGNED_INT16:
  case CU_AD_FORMAT_HALF:
    return 16;
  case CU_AD_FORMAT_BC1_UNORM:
  case CU_AD_FORMAT_BC1_UNORM_SRGB:
  case CU_AD_FORMAT_BC4_UNORM:
  case CU_AD_FORMAT_BC4_SNORM:
    return 4; /* of each pixel; the block formats have one channel for this purpose */
  case CU_AD_FORMAT_BC2_UNORM:
  case CU_AD_FORMAT_BC2_UNORM_SRGB:
  case CU_AD_FORMAT_BC3_UNORM:
  case CU_AD_FORMAT_BC3_UNORM_SRGB:
  case CU_AD_FORMAT_BC5_UNORM:
  case CU_AD_FORMAT_BC5_SNORM:
  case CU_AD_FORMAT_BC6H_UF16:
  case CU_AD_FORMAT_BC6H_SF16:
  case CU_AD_FORMAT_BC7_UNORM:
  case CU_AD_FORMAT_BC7_UNORM_SRGB:
  case CU_AD_FORMAT_NV12:
    return 8;
  default:
    return 32; /* the largest there is: 32-bit integers, floats, and packed or later formats */
  }
}

static uint64_t element_bytes(CUarray_format format, unsigned int channels) {
  uint64_t bits = channel_bits(format) * (channels == 0 ? 1 : channels);
  return bits < 8 ? 1 : bits / 8;
}

static uint64_t at_least_one(uint64_t extent) { return extent == 0 ? 1 : extent; }

static uint64_t shape_bytes(const struct shape *shape) {
  uint64_t height = at_least_one(shape->height);
  uint64_t line = hami_sizes_multiply(at_least_one(shape->width), shape->element_bytes);
  if (height == 1) {
    line = hami_sizes_round_up(line, BLOCK_LINE_BYTES);
  } else {
    line = hami_sizes_round_up(line, BLOCK_ROW_BYTES);
    height = hami_sizes_round_up(height, BLOCK_ROWS);
  }
  return hami_sizes_multiply(hami_sizes_multiply(line, height), at_least_one(shape->depth));
}

static uint64_t levels_bytes(struct shape shape, unsigned int levels, bool layered) {
  uint64_t bytes = 0;
  for (unsigned int level = 0; level < levels && level < 64; level++) {
    bytes = hami_sizes_add(bytes, shape_bytes(&shape));
    shape.width = at_least_one(shape.width / 2);
    shape.height = shape.height / 2;
    shape.depth = layered ? shape.depth : shape.depth / 2;
  }
  return bytes;
}

static CUresult settle_array(CUresult result, CUarray array, const struct hami_charge *charge) {
  if (hami_settle_object(result, HAMI_BOOKS_ARRAY, array, charge)) {
    return result;
  }
  __typeof__(&cuArrayDestroy) destroy = HAMI_REAL(cuArrayDestroy);
  if (destroy != NULL) {
    (void)destroy(array);
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

static struct shape shape_3d(const CUDA_ARRAY3D_DESCRIPTOR *array) {
  return (struct shape){.width = array->Width,
                        .height = array->Height,
                        .depth = array->Depth,
                        .element_bytes = element_bytes(array->Format, array->NumChannels)};
}

static struct shape shape_2d(uint64_t width, uint64_t height, CUarray_format format, unsigned int channels) {
  return (struct shape){.width = width, .height = height, .depth = 1, .element_bytes = element_bytes(format, channels)};
}

CUresult cuArrayCreate_v2(CUarray *pHandle, const CUDA_ARRAY_DESCRIPTOR *pAllocateArray) {
  HAMI_CUDA_ENTER(cuArrayCreate_v2, pHandle, pAllocateArray);
  if (pHandle == NULL || pAllocateArray == NULL) {
    HAMI_LEAVE(real(pHandle, pAllocateArray));
  }
  struct shape shape =
      shape_2d(pAllocateArray->Width, pAllocateArray->Height, pAllocateArray->Format, pAllocateArray->NumChannels);
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_ARRAY, shape_bytes(&shape))) {
    result = real(pHandle, pAllocateArray);
    result = settle_array(result, *pHandle, &charge);
  }
  HAMI_LEAVE(result);
}

CUresult cuArrayCreate(CUarray *pHandle, const CUDA_ARRAY_DESCRIPTOR_v1 *pAllocateArray) {
  HAMI_CUDA_ENTER(cuArrayCreate, pHandle, pAllocateArray);
  if (pHandle == NULL || pAllocateArray == NULL) {
    HAMI_LEAVE(real(pHandle, pAllocateArray));
  }
  struct shape shape =
      shape_2d(pAllocateArray->Width, pAllocateArray->Height, pAllocateArray->Format, pAllocateArray->NumChannels);
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_ARRAY, shape_bytes(&shape))) {
    result = real(pHandle, pAllocateArray);
    result = settle_array(result, *pHandle, &charge);
  }
  HAMI_LEAVE(result);
}

CUresult cuArray3DCreate_v2(CUarray *pHandle, const CUDA_ARRAY3D_DESCRIPTOR *pAllocateArray) {
  HAMI_CUDA_ENTER(cuArray3DCreate_v2, pHandle, pAllocateArray);
  if (pHandle == NULL || pAllocateArray == NULL || (pAllocateArray->Flags & UNBACKED_FLAGS) != 0) {
    HAMI_LEAVE(real(pHandle, pAllocateArray));
  }
  struct shape shape = shape_3d(pAllocateArray);
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_ARRAY, shape_bytes(&shape))) {
    result = real(pHandle, pAllocateArray);
    result = settle_array(result, *pHandle, &charge);
  }
  HAMI_LEAVE(result);
}

CUresult cuArray3DCreate(CUarray *pHandle, const CUDA_ARRAY3D_DESCRIPTOR_v1 *pAllocateArray) {
  HAMI_CUDA_ENTER(cuArray3DCreate, pHandle, pAllocateArray);
  if (pHandle == NULL || pAllocateArray == NULL || (pAllocateArray->Flags & UNBACKED_FLAGS) != 0) {
    HAMI_LEAVE(real(pHandle, pAllocateArray));
  }
  struct shape shape = {.width = pAllocateArray->Width,
                        .height = pAllocateArray->Height,
                        .depth = pAllocateArray->Depth,
                        .element_bytes = element_bytes(pAllocateArray->Format, pAllocateArray->NumChannels)};
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_ARRAY, shape_bytes(&shape))) {
    result = real(pHandle, pAllocateArray);
    result = settle_array(result, *pHandle, &charge);
  }
  HAMI_LEAVE(result);
}

CUresult cuArrayDestroy(CUarray hArray) {
  HAMI_CUDA_ENTER(cuArrayDestroy, hArray);
  struct hami_charge charge;
  char token = 0;
  bool known = hami_books_take(HAMI_BOOKS_ARRAY, (uintptr_t)hArray, &charge);
  hami_array_mappings_ending(hArray, &token);
  CUresult result = real(hArray);
  hami_array_mappings_ended(hArray, &token, result == CUDA_SUCCESS);
  hami_settle_destroy(result, known, HAMI_BOOKS_ARRAY, hArray, &charge);
  HAMI_LEAVE(result);
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray *pHandle, const CUDA_ARRAY3D_DESCRIPTOR *pMipmappedArrayDesc,
                                unsigned int numMipmapLevels) {
  HAMI_CUDA_ENTER(cuMipmappedArrayCreate, pHandle, pMipmappedArrayDesc, numMipmapLevels);
  if (pHandle == NULL || pMipmappedArrayDesc == NULL || (pMipmappedArrayDesc->Flags & UNBACKED_FLAGS) != 0) {
    HAMI_LEAVE(real(pHandle, pMipmappedArrayDesc, numMipmapLevels));
  }
  struct shape shape = shape_3d(pMipmappedArrayDesc);
  bool layered = (pMipmappedArrayDesc->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)) != 0;
  struct hami_charge charge;
  CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
  if (hami_books_reserve_here(&charge, HAMI_CLASS_ARRAY, levels_bytes(shape, numMipmapLevels, layered))) {
    result = real(pHandle, pMipmappedArrayDesc, numMipmapLevels);
    if (!hami_settle_object(result, HAMI_BOOKS_MIPMAP, *pHandle, &charge)) {
      __typeof__(&cuMipmappedArrayDestroy) destroy = HAMI_REAL(cuMipmappedArrayDestroy);
      if (destroy != NULL) {
        (void)destroy(*pHandle);
      }
      result = CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
  HAMI_LEAVE(result);
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray hMipmappedArray) {
  HAMI_CUDA_ENTER(cuMipmappedArrayDestroy, hMipmappedArray);
  struct hami_charge charge;
  char token = 0;
  bool known = hami_books_take(HAMI_BOOKS_MIPMAP, (uintptr_t)hMipmappedArray, &charge);
  hami_array_mappings_ending(hMipmappedArray, &token);
  CUresult result = real(hMipmappedArray);
  hami_array_mappings_ended(hMipmappedArray, &token, result == CUDA_SUCCESS);
  hami_settle_destroy(result, known, HAMI_BOOKS_MIPMAP, hMipmappedArray, &charge);
  HAMI_LEAVE(result);
}

typedef __typeof__(&cuMemMapArrayAsync) map_array_function;

static CUresult map_array(map_array_function real, CUarrayMapInfo *list, unsigned int count, CUstream stream) {
  if (list == NULL || count == 0) {
    return real(list, count, stream);
  }
  struct hami_array_change *change = hami_array_mappings_begin(list, count);
  if (change == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUresult result = real(list, count, stream);
  hami_array_mappings_end(change, result == CUDA_SUCCESS);
  return result;
}

CUresult cuMemMapArrayAsync(CUarrayMapInfo *mapInfoList, unsigned int count, CUstream hStream) {
  HAMI_CUDA_ENTER(cuMemMapArrayAsync, mapInfoList, count, hStream);
  HAMI_LEAVE(map_array(real, mapInfoList, count, hStream));
}

CUresult cuMemMapArrayAsync_ptsz(CUarrayMapInfo *mapInfoList, unsigned int count, CUstream hStream) {
  HAMI_CUDA_ENTER(cuMemMapArrayAsync_ptsz, mapInfoList, count, hStream);
  HAMI_LEAVE(map_array(real, mapInfoList, count, hStream));
}
