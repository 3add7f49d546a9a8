/*
 * Sparse arrays: tiles of 64 KiB that physical memory is mapped behind, each of which keeps that memory alive. An array
 * whose mapping is deferred has one tile, all of it. Nothing is stored in them.
 */
#include <stdlib.h>

#include "vmm.h"

#define TILE_BYTES 65536u
#define TILE_WIDTH 256u
#define TAIL_LEVEL UINT32_MAX

struct place {
  const void *resource;
  uint32_t level;
  uint32_t layer;
  uint64_t x, y, z; /* in tiles */
};

struct tile {
  struct tile *next;
  struct place place;
  struct fake_physical *physical;
};

static struct tile *tiles; /* guarded by fake_lock */

static bool same(const struct place *left, const struct place *right) {
  return left->resource == right->resource && left->level == right->level && left->layer == right->layer &&
         left->x == right->x && left->y == right->y && left->z == right->z;
}

static void unmap_link(struct tile **link) {
  struct tile *tile = *link;
  *link = tile->next;
  tile->physical->mappings--;
  fake_physical_drop_if_done(tile->physical);
  free(tile);
}

static void unmap_place(const struct place *place) {
  for (struct tile **link = &tiles; *link != NULL;) {
    if (same(&(*link)->place, place)) {
      unmap_link(link);
    } else {
      link = &(*link)->next;
    }
  }
}

void fake_array_unmap(const void *resource) {
  for (struct tile **link = &tiles; *link != NULL;) {
    if ((*link)->place.resource == resource) {
      unmap_link(link);
    } else {
      link = &(*link)->next;
    }
  }
}

static bool map_place(const struct place *place, struct fake_physical *physical) {
  struct tile *tile = calloc(1, sizeof *tile);
  if (tile == NULL) {
    return false;
  }
  unmap_place(place);
  *tile = (struct tile){.next = tiles, .place = *place, .physical = physical};
  tiles = tile;
  physical->mappings++;
  return true;
}

static void tile_extent(const struct fake_array *array, uint32_t *width, uint32_t *height) {
  *width = TILE_WIDTH;
  *height = (uint32_t)(TILE_BYTES / (TILE_WIDTH * array->element_bytes));
}

/* The array that a request is about, and the first and last tile of it. */
struct request {
  struct place first;
  uint64_t width, height, depth; /* in tiles */
};

static const struct fake_array *array_of(const CUarrayMapInfo *info) {
  if (info->resourceType == CU_RESOURCE_TYPE_ARRAY) {
    const struct fake_array *array = fake_array_of(info->resource.array);
    return array == NULL || array->mipmap != NULL ? NULL : array;
  }
  const struct fake_mipmap *mipmap = (const struct fake_mipmap *)(const void *)info->resource.mipmap;
  if (info->resourceType != CU_RESOURCE_TYPE_MIPMAPPED_ARRAY || !fake_object_is(mipmap, FAKE_MIPMAP)) {
    return NULL;
  }
  bool level = info->subresourceType == CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_SPARSE_LEVEL;
  unsigned index = level ? info->subresource.sparseLevel.level : 0;
  return index < mipmap->level_count ? mipmap->levels[index] : NULL;
}

static bool parse(const CUarrayMapInfo *info, struct request *request) {
  const struct fake_array *array = array_of(info);
  uint32_t width;
  uint32_t height;
  if (array == NULL || (array->descriptor.Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)) == 0) {
    return false;
  }
  *request = (struct request){.first = {.resource = info->resource.array}, .width = 1, .height = 1, .depth = 1};
  if ((array->descriptor.Flags & CUDA_ARRAY3D_DEFERRED_MAPPING) != 0) {
    return true;
  }
  if (info->subresourceType == CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_MIPTAIL) {
    request->first.level = TAIL_LEVEL;
    request->first.layer = info->subresource.miptail.layer;
    request->first.x = info->subresource.miptail.offset / TILE_BYTES;
    request->width = info->subresource.miptail.size / TILE_BYTES;
    return info->subresource.miptail.size != 0 && info->subresource.miptail.offset % TILE_BYTES == 0;
  }
  tile_extent(array, &width, &height);
  request->first.level = info->subresource.sparseLevel.level;
  request->first.layer = info->subresource.sparseLevel.layer;
  request->first.x = info->subresource.sparseLevel.offsetX / width;
  request->first.y = info->subresource.sparseLevel.offsetY / height;
  request->first.z = info->subresource.sparseLevel.offsetZ;
  request->width = info->subresource.sparseLevel.extentWidth / width;
  request->height = info->subresource.sparseLevel.extentHeight / height;
  request->depth = info->subresource.sparseLevel.extentDepth;
  return info->subresource.sparseLevel.offsetX % width == 0 && info->subresource.sparseLevel.offsetY % height == 0 &&
         info->subresource.sparseLevel.extentWidth % width == 0 &&
         info->subresource.sparseLevel.extentHeight % height == 0 &&
         request->width * request->height * request->depth != 0;
}

static CUresult apply(const CUarrayMapInfo *info) {
  struct request request;
  bool mapping = info->memOperationType == CU_MEM_OPERATION_TYPE_MAP;
  struct fake_physical *physical = mapping ? fake_physical_of(info->memHandle.memHandle) : NULL;
  bool pooled = physical != NULL && (physical->properties.allocFlags.usage & CU_MEM_CREATE_USAGE_TILE_POOL) != 0;
  if (!parse(info, &request) || (mapping && !pooled) || (!mapping && info->memHandle.memHandle != 0) ||
      (!mapping && info->memOperationType != CU_MEM_OPERATION_TYPE_UNMAP)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  uint64_t count = request.width * request.height * request.depth;
  for (uint64_t i = 0; i < count; i++) {
    struct place place = request.first;
    place.x += i % request.width;
    place.y += i / request.width % request.height;
    place.z += i / request.width / request.height;
    if (!mapping) {
      unmap_place(&place);
    } else if (!map_place(&place, physical)) {
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
  }
  return CUDA_SUCCESS;
}

CUresult cuMemMapArrayAsync(CUarrayMapInfo *list, unsigned count, CUstream handle) {
  FAKE_ENTER(cuMemMapArrayAsync);
  struct fake_stream *stream = NULL;
  CUresult result = CUDA_SUCCESS;
  FAKE_TRY(fake_stream_resolve(handle, &stream));
  if (list == NULL || count == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  for (unsigned i = 0; i < count && result == CUDA_SUCCESS; i++) {
    result = apply(&list[i]);
  }
  pthread_mutex_unlock(&fake_lock);
  return result;
}

CUresult cuArrayGetSparseProperties(CUDA_ARRAY_SPARSE_PROPERTIES *out, CUarray handle) {
  FAKE_ENTER(cuArrayGetSparseProperties);
  const struct fake_array *array = fake_array_of(handle);
  if (out == NULL || array == NULL || (array->descriptor.Flags & CUDA_ARRAY3D_SPARSE) == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUDA_ARRAY_SPARSE_PROPERTIES){.tileExtent = {.depth = 1}, .miptailFirstLevel = 1};
  tile_extent(array, &out->tileExtent.width, &out->tileExtent.height);
  return CUDA_SUCCESS;
}
