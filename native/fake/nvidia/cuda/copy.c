/* Moving data: every copy is a 3D copy in the end. Takes no simulated time. */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

/* Memory of one block that really exists; writes beyond are dropped and reads give zeroes. */
static size_t backing_limit(void) {
  static size_t limit;
  size_t known = __atomic_load_n(&limit, __ATOMIC_RELAXED);
  if (known == 0) {
    const char *text = getenv("HAMI_FAKE_BACKING_MIB");
    unsigned long long mib = text == NULL ? 256 : strtoull(text, NULL, 10);
    known = (size_t)(mib == 0 || mib > (1u << 22) ? 256 : mib) * FAKE_MIB;
    __atomic_store_n(&limit, known, __ATOMIC_RELAXED);
  }
  return known;
}

CUresult fake_data_at(CUdeviceptr address, size_t size, bool writing, void **data, size_t *backed) {
  *data = (void *)(uintptr_t)address;
  *backed = size;
  if (!fake_arena_holds(address)) {
    return address == 0 && size > 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS; /* the application's own memory */
  }
  CUresult result = CUDA_ERROR_INVALID_VALUE;
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(address);
  uint64_t offset = block == NULL ? 0 : address - block->base;
  if (block != NULL && size <= block->size - offset &&
      (block->kind != FAKE_BLOCK_RESERVATION || fake_mapping_covers(block, offset, size))) {
    size_t limit = block->kind == FAKE_BLOCK_HOST || block->kind == FAKE_BLOCK_MANAGED ? SIZE_MAX : backing_limit();
    size_t left = offset < limit ? limit - offset : 0;
    *backed = size < left ? size : left;
    block->touched = block->touched || writing;
    result = CUDA_SUCCESS;
  }
  pthread_mutex_unlock(&fake_lock);
  return result;
}

/* One end of a copy: where row `y` of slice `z` starts, and what may be touched there. */
struct end {
  CUdeviceptr base;
  size_t pitch;
  size_t height;
};

static CUresult array_end(CUarray handle, size_t x, size_t y, size_t z, struct end *end) {
  const struct fake_array *array = fake_array_of(handle);
  if (array == NULL || array->block == NULL) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  end->pitch = array->pitch;
  end->height = array->height;
  end->base = array->block->base + (z * array->height + y) * array->pitch + x;
  return CUDA_SUCCESS;
}

static CUresult source_end(const CUDA_MEMCPY3D *copy, struct end *end) {
  if (copy->srcMemoryType == CU_MEMORYTYPE_ARRAY) {
    return array_end(copy->srcArray, copy->srcXInBytes, copy->srcY, copy->srcZ, end);
  }
  end->base = copy->srcMemoryType == CU_MEMORYTYPE_HOST ? (CUdeviceptr)(uintptr_t)copy->srcHost : copy->srcDevice;
  end->pitch = copy->srcPitch == 0 ? copy->WidthInBytes + copy->srcXInBytes : copy->srcPitch;
  end->height = copy->srcHeight == 0 ? copy->Height + copy->srcY : copy->srcHeight;
  end->base += (copy->srcZ * end->height + copy->srcY) * end->pitch + copy->srcXInBytes;
  return CUDA_SUCCESS;
}

static CUresult destination_end(const CUDA_MEMCPY3D *copy, struct end *end) {
  if (copy->dstMemoryType == CU_MEMORYTYPE_ARRAY) {
    return array_end(copy->dstArray, copy->dstXInBytes, copy->dstY, copy->dstZ, end);
  }
  end->base = copy->dstMemoryType == CU_MEMORYTYPE_HOST ? (CUdeviceptr)(uintptr_t)copy->dstHost : copy->dstDevice;
  end->pitch = copy->dstPitch == 0 ? copy->WidthInBytes + copy->dstXInBytes : copy->dstPitch;
  end->height = copy->dstHeight == 0 ? copy->Height + copy->dstY : copy->dstHeight;
  end->base += (copy->dstZ * end->height + copy->dstY) * end->pitch + copy->dstXInBytes;
  return CUDA_SUCCESS;
}

static CUresult copy_row(CUdeviceptr destination, CUdeviceptr source, size_t bytes) {
  void *to = NULL;
  void *from = NULL;
  size_t to_backed = 0;
  size_t from_backed = 0;
  FAKE_TRY(fake_data_at(destination, bytes, true, &to, &to_backed));
  FAKE_TRY(fake_data_at(source, bytes, false, &from, &from_backed));
  size_t both = to_backed < from_backed ? to_backed : from_backed;
  memmove(to, from, both);
  if (to_backed > both) {
    memset((char *)to + both, 0, to_backed - both);
  }
  return CUDA_SUCCESS;
}

CUresult fake_copy_now(const CUDA_MEMCPY3D *copy) {
  struct end source = {0};
  struct end destination = {0};
  if (copy->WidthInBytes == 0 || copy->Height == 0 || copy->Depth == 0) {
    return CUDA_SUCCESS;
  }
  FAKE_TRY(source_end(copy, &source));
  FAKE_TRY(destination_end(copy, &destination));
  for (size_t z = 0; z < copy->Depth; z++) {
    for (size_t y = 0; y < copy->Height; y++) {
      FAKE_TRY(copy_row(destination.base + (z * destination.height + y) * destination.pitch,
                        source.base + (z * source.height + y) * source.pitch, copy->WidthInBytes));
    }
  }
  return CUDA_SUCCESS;
}

CUresult fake_set_now(const CUDA_MEMSET_NODE_PARAMS *set) {
  if (set->elementSize != 1 && set->elementSize != 2 && set->elementSize != 4) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t y = 0; y < set->height; y++) {
    void *data = NULL;
    size_t backed = 0;
    FAKE_TRY(fake_data_at(set->dst + y * set->pitch, set->width * set->elementSize, true, &data, &backed));
    for (size_t i = 0; set->elementSize > 1 && i + set->elementSize <= backed; i += set->elementSize) {
      memcpy((char *)data + i, &set->value, set->elementSize); /* little-endian machines only, like the driver */
    }
    if (set->elementSize == 1) {
      memset(data, (int)(set->value & 0xFF), backed);
    }
  }
  return CUDA_SUCCESS;
}
