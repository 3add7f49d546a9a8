/* Arrays and mipmaps: device memory with a shape. Rows are padded to 32 bytes, the whole to 512. */
#include <string.h>

#include "driver.h"

struct fake_array *fake_array_of(CUarray handle) {
  struct fake_array *array = (struct fake_array *)handle;
  return fake_object_is(array, FAKE_ARRAY) ? array : NULL;
}

static size_t format_bytes(CUarray_format format) {
  switch ((int)format) {
  case CU_AD_FORMAT_UNSIGNED_INT8:
  case CU_AD_FORMAT_SIGNED_INT8:
    return 1;
  case CU_AD_FORMAT_UNSIGNED_INT16:
  case CU_AD_FORMAT_SIGNED_INT16:
  case CU_AD_FORMAT_HALF:
    return 2;
  case CU_AD_FORMAT_UNSIGNED_INT32:
  case CU_AD_FORMAT_SIGNED_INT32:
  case CU_AD_FORMAT_FLOAT:
    return 4;
  default:
    return 0; /* compressed and planar formats are left out */
  }
}

/* Fills the shape of `array` from its descriptor and returns the bytes it takes, or 0 when that is not possible. */
static uint64_t lay_out(struct fake_array *array) {
  const CUDA_ARRAY3D_DESCRIPTOR *descriptor = &array->descriptor;
  size_t channels = descriptor->NumChannels;
  array->element_bytes = format_bytes(descriptor->Format) * channels;
  if ((channels != 1 && channels != 2 && channels != 4) || array->element_bytes == 0 || descriptor->Width == 0 ||
      descriptor->Width > (1u << 20) || descriptor->Height > (1u << 20) || descriptor->Depth > (1u << 20)) {
    return 0;
  }
  array->pitch = fake_round_up(descriptor->Width * array->element_bytes, 32);
  array->height = descriptor->Height == 0 ? 1 : descriptor->Height;
  array->depth = descriptor->Depth == 0 ? 1 : descriptor->Depth;
  uint64_t bytes = 0;
  if (__builtin_mul_overflow((uint64_t)array->pitch * array->height, (uint64_t)array->depth, &bytes)) {
    return UINT64_MAX / 2;
  }
  return bytes;
}

static CUresult new_array(struct fake_context *context, const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                          struct fake_array **out) {
  struct fake_array *array = fake_object_new(FAKE_ARRAY, sizeof *array);
  if (array == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  array->descriptor = *descriptor;
  uint64_t bytes = lay_out(array);
  bool deferred = (descriptor->Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)) != 0;
  CUresult result = bytes == 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  if (result == CUDA_SUCCESS && !deferred) {
    result =
        fake_memory_allocate(context, bytes, FAKE_BLOCK_ARRAY, fake_round_up(bytes, FAKE_SMALL_BYTES), &array->block);
  }
  if (result != CUDA_SUCCESS) {
    fake_object_delete(array);
    return result;
  }
  *out = array;
  return CUDA_SUCCESS;
}

static void delete_array(struct fake_array *array) {
  pthread_mutex_lock(&fake_lock);
  fake_array_unmap(array);
  if (array->block != NULL && array->block->live) {
    fake_memory_release(array->block);
  }
  pthread_mutex_unlock(&fake_lock);
  fake_object_delete(array);
}

static CUresult create(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *descriptor) {
  struct fake_context *context = NULL;
  struct fake_array *array = NULL;
  FAKE_TRY(fake_current(&context));
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(new_array(context, descriptor, &array));
  *out = (CUarray)array;
  return CUDA_SUCCESS;
}

CUresult cuArrayCreate_v2(CUarray *out, const CUDA_ARRAY_DESCRIPTOR *flat) {
  FAKE_ENTER(cuArrayCreate_v2);
  if (flat == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const CUDA_ARRAY3D_DESCRIPTOR descriptor = {
      .Width = flat->Width, .Height = flat->Height, .Format = flat->Format, .NumChannels = flat->NumChannels};
  return create(out, &descriptor);
}

CUresult cuArray3DCreate_v2(CUarray *out, const CUDA_ARRAY3D_DESCRIPTOR *descriptor) {
  FAKE_ENTER(cuArray3DCreate_v2);
  return descriptor == NULL ? CUDA_ERROR_INVALID_VALUE : create(out, descriptor);
}

#define ENTER_ARRAY(name)                                                                                              \
  FAKE_ENTER(name);                                                                                                    \
  struct fake_array *array = fake_array_of(handle);                                                                    \
  if (array == NULL) {                                                                                                 \
    return CUDA_ERROR_INVALID_HANDLE;                                                                                  \
  }

CUresult cuArrayDestroy(CUarray handle) {
  ENTER_ARRAY(cuArrayDestroy);
  if (array->mipmap != NULL) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  delete_array(array);
  return CUDA_SUCCESS;
}

CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *out, CUarray handle) {
  ENTER_ARRAY(cuArrayGetDescriptor_v2);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUDA_ARRAY_DESCRIPTOR){.Width = array->descriptor.Width,
                                 .Height = array->descriptor.Height,
                                 .Format = array->descriptor.Format,
                                 .NumChannels = array->descriptor.NumChannels};
  return CUDA_SUCCESS;
}

CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *out, CUarray handle) {
  ENTER_ARRAY(cuArray3DGetDescriptor_v2);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = array->descriptor;
  return CUDA_SUCCESS;
}

static CUresult requirements(const struct fake_array *array, CUDA_ARRAY_MEMORY_REQUIREMENTS *out) {
  struct fake_array shape = *array;
  *out = (CUDA_ARRAY_MEMORY_REQUIREMENTS){.size = fake_round_up(lay_out(&shape), FAKE_SMALL_BYTES),
                                          .alignment = FAKE_SMALL_BYTES};
  return CUDA_SUCCESS;
}

CUresult cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *out, CUarray handle, CUdevice device) {
  ENTER_ARRAY(cuArrayGetMemoryRequirements);
  return out == NULL || !fake_device_valid(device) ? CUDA_ERROR_INVALID_VALUE : requirements(array, out);
}

static void delete_levels(struct fake_mipmap *mipmap) {
  pthread_mutex_lock(&fake_lock);
  fake_array_unmap(mipmap);
  pthread_mutex_unlock(&fake_lock);
  for (unsigned i = 0; i < mipmap->level_count; i++) {
    delete_array(mipmap->levels[i]);
  }
  fake_object_delete(mipmap);
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray *out, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned levels) {
  FAKE_ENTER(cuMipmappedArrayCreate);
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  if (out == NULL || descriptor == NULL || levels == 0 || levels > 32) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  struct fake_mipmap *mipmap = fake_object_new(FAKE_MIPMAP, sizeof *mipmap);
  if (mipmap == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  mipmap->descriptor = *descriptor;
  CUDA_ARRAY3D_DESCRIPTOR level = *descriptor;
  for (unsigned i = 0; i < levels; i++) {
    CUresult result = new_array(context, &level, &mipmap->levels[i]);
    if (result != CUDA_SUCCESS) {
      delete_levels(mipmap);
      return result;
    }
    mipmap->levels[i]->mipmap = mipmap;
    mipmap->level_count++;
    level.Width = level.Width > 1 ? level.Width / 2 : 1;
    level.Height = level.Height > 1 ? level.Height / 2 : level.Height;
    level.Depth = level.Depth > 1 ? level.Depth / 2 : level.Depth;
  }
  *out = (CUmipmappedArray)mipmap;
  return CUDA_SUCCESS;
}

CUresult cuMipmappedArrayGetLevel(CUarray *out, CUmipmappedArray handle, unsigned level) {
  FAKE_ENTER(cuMipmappedArrayGetLevel);
  const struct fake_mipmap *mipmap = (const struct fake_mipmap *)(const void *)handle;
  if (!fake_object_is(mipmap, FAKE_MIPMAP)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (out == NULL || level >= mipmap->level_count) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUarray)mipmap->levels[level];
  return CUDA_SUCCESS;
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray handle) {
  FAKE_ENTER(cuMipmappedArrayDestroy);
  struct fake_mipmap *mipmap = (struct fake_mipmap *)handle;
  if (!fake_object_is(mipmap, FAKE_MIPMAP)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  delete_levels(mipmap);
  return CUDA_SUCCESS;
}

CUresult cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *out, CUmipmappedArray handle,
                                               CUdevice device) {
  FAKE_ENTER(cuMipmappedArrayGetMemoryRequirements);
  const struct fake_mipmap *mipmap = (const struct fake_mipmap *)(const void *)handle;
  if (!fake_object_is(mipmap, FAKE_MIPMAP)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (out == NULL || !fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUDA_ARRAY_MEMORY_REQUIREMENTS){.alignment = FAKE_SMALL_BYTES};
  for (unsigned i = 0; i < mipmap->level_count; i++) {
    CUDA_ARRAY_MEMORY_REQUIREMENTS level = {0};
    FAKE_TRY(requirements(mipmap->levels[i], &level));
    out->size += level.size;
  }
  return CUDA_SUCCESS;
}
