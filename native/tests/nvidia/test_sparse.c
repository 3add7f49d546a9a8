/*
 * Sparse arrays cost nothing by themselves. The physical memory that is mapped into them is charged for as long as a
 * handle or a part of an array refers to it, in whatever pieces the parts come and go. Random sequences, after each of
 * whose steps what is charged is what the device holds. Run inside a share of 1000 MiB; the seed can be given.
 */
#include "share.h"

#define STEPS 1500U
#define PIECES 3U
#define PIECE (16 * MIB)
#define SIDE 4U /* tiles of each array in both directions */

static unsigned int seed = 1;
static unsigned int tile_width;
static unsigned int tile_height;

static unsigned int draw(unsigned int below) { return (unsigned int)rand_r(&seed) % below; }

static CUDA_ARRAY3D_DESCRIPTOR shape(unsigned int flags) {
  return (CUDA_ARRAY3D_DESCRIPTOR){
      .Width = 256 * SIDE, .Height = 64 * SIDE, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1, .Flags = flags};
}

static CUmemGenericAllocationHandle create(void) {
  CUmemGenericAllocationHandle handle;
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                               .allocFlags = {.usage = CU_MEM_CREATE_USAGE_TILE_POOL}};
  CHECK_EQUAL(CUDA_SUCCESS, cuMemCreate(&handle, PIECE, &props, 0));
  return handle;
}

static CUarrayMapInfo part_of(CUarray array, unsigned int x, unsigned int y, unsigned int width, unsigned int height) {
  return (CUarrayMapInfo){.resourceType = CU_RESOURCE_TYPE_ARRAY,
                          .resource = {.array = array},
                          .subresourceType = CU_ARRAY_SPARSE_SUBRESOURCE_TYPE_SPARSE_LEVEL,
                          .subresource = {.sparseLevel = {.offsetX = x * tile_width,
                                                          .offsetY = y * tile_height,
                                                          .extentWidth = width * tile_width,
                                                          .extentHeight = height * tile_height,
                                                          .extentDepth = 1}},
                          .memOperationType = CU_MEM_OPERATION_TYPE_UNMAP,
                          .deviceBitMask = 1};
}

static void into(CUarrayMapInfo *part, CUmemGenericAllocationHandle handle) {
  part->memOperationType = CU_MEM_OPERATION_TYPE_MAP;
  part->memHandleType = CU_MEM_HANDLE_TYPE_GENERIC;
  part->memHandle.memHandle = handle;
}

static void an_array_costs_nothing_until_memory_is_mapped_into_it(void) {
  uint64_t before = share_used();
  CUarray array;
  CUmipmappedArray mipmap;
  CUDA_ARRAY3D_DESCRIPTOR sparse = shape(CUDA_ARRAY3D_SPARSE);
  CUDA_ARRAY_SPARSE_PROPERTIES properties;
  CHECK_EQUAL(CUDA_SUCCESS, cuMipmappedArrayCreate(&mipmap, &sparse, 3));
  CHECK_EQUAL(CUDA_SUCCESS, cuMipmappedArrayDestroy(mipmap));
  CHECK_EQUAL(CUDA_SUCCESS, cuArray3DCreate_v2(&array, &sparse));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuArrayGetSparseProperties(&properties, array));
  tile_width = properties.tileExtent.width;
  tile_height = properties.tileExtent.height;
  CUmemGenericAllocationHandle handle = create();
  CUarrayMapInfo part = part_of(array, 1, 1, 2, 2);
  into(&part, handle);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemMapArrayAsync(&part, 1, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
  CHECK_EQUAL(before + PIECE, share_used());
  CUarrayMapInfo middle = part_of(array, 2, 0, 1, SIDE);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemMapArrayAsync_ptsz(&middle, 1, NULL));
  CHECK_EQUAL(before + PIECE, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuArrayDestroy(array));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(device_used(), share_used());
}

static void a_refused_mapping_keeps_nothing(void) {
  uint64_t before = share_used();
  CUarray array;
  CUDA_ARRAY3D_DESCRIPTOR sparse = shape(CUDA_ARRAY3D_SPARSE);
  CHECK_EQUAL(CUDA_SUCCESS, cuArray3DCreate_v2(&array, &sparse));
  CUmemGenericAllocationHandle handle = create();
  CUarrayMapInfo part = part_of(array, 0, 0, 1, 1);
  into(&part, handle);
  part.subresource.sparseLevel.offsetX = 1;
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuMemMapArrayAsync(&part, 1, NULL));
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuMemMapArrayAsync(NULL, 1, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuArrayDestroy(array));
}

/* Whatever part the caller names: an array with deferred mapping is mapped as a whole. */
static void a_deferred_array_is_mapped_and_unmapped_whole(void) {
  uint64_t before = share_used();
  CUarray array;
  CUDA_ARRAY3D_DESCRIPTOR deferred = shape(CUDA_ARRAY3D_DEFERRED_MAPPING);
  CHECK_EQUAL(CUDA_SUCCESS, cuArray3DCreate_v2(&array, &deferred));
  CUmemGenericAllocationHandle handle = create();
  CUarrayMapInfo part = part_of(array, 3, 3, 0, 0);
  into(&part, handle);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemMapArrayAsync(&part, 1, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
  CHECK_EQUAL(before + PIECE, share_used());
  part = part_of(array, 0, 0, 1, 1);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemMapArrayAsync(&part, 1, NULL));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuArrayDestroy(array));
}

static void memory_lives_while_any_part_of_any_array_refers_to_it(void) {
  CUmemGenericAllocationHandle handles[PIECES] = {0};
  CUarray arrays[2];
  uint64_t before = share_used();
  CUDA_ARRAY3D_DESCRIPTOR sparse = shape(CUDA_ARRAY3D_SPARSE);
  CHECK_EQUAL(CUDA_SUCCESS, cuArray3DCreate_v2(&arrays[0], &sparse));
  CHECK_EQUAL(CUDA_SUCCESS, cuArray3DCreate_v2(&arrays[1], &sparse));
  for (unsigned int i = 0; i < STEPS; i++) {
    CUmemGenericAllocationHandle *handle = &handles[draw(PIECES)];
    CUarray *array = &arrays[draw(2)];
    CUarrayMapInfo parts[2];
    for (unsigned int k = 0; k < 2; k++) {
      unsigned int x = draw(SIDE);
      unsigned int y = draw(SIDE);
      parts[k] = part_of(*array, x, y, 1 + draw(SIDE - x), 1 + draw(SIDE - y));
      if (*handle != 0 && draw(3) != 0) {
        into(&parts[k], *handle);
      }
    }
    switch (draw(8)) {
    case 0:
      if (*handle != 0) {
        CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(*handle));
        *handle = 0;
      } else {
        *handle = create();
      }
      break;
    case 1:
      CHECK_EQUAL(CUDA_SUCCESS, cuArrayDestroy(*array));
      CHECK_EQUAL(CUDA_SUCCESS, cuArray3DCreate_v2(array, &sparse));
      break;
    default:
      CHECK_EQUAL(CUDA_SUCCESS, cuMemMapArrayAsync(parts, 1 + draw(2), NULL));
    }
    CHECK_EQUAL(device_used(), share_used());
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuArrayDestroy(arrays[0]));
  CHECK_EQUAL(CUDA_SUCCESS, cuArrayDestroy(arrays[1]));
  for (unsigned int i = 0; i < PIECES; i++) {
    if (handles[i] != 0) {
      CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handles[i]));
    }
  }
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(before, device_used());
}

int main(int count, char **arguments) {
  seed = count > 1 ? (unsigned int)strtoul(arguments[1], NULL, 10) : 1;
  printf("seed %u\n", seed);
  fflush(stdout);
  (void)share_open();
  an_array_costs_nothing_until_memory_is_mapped_into_it();
  a_refused_mapping_keeps_nothing();
  a_deferred_array_is_mapped_and_unmapped_whole();
  memory_lives_while_any_part_of_any_array_refers_to_it();
  return 0;
}
