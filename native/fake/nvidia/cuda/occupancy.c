/* What cards can hold: registers and shared memory are taken to be plenty. */
#include "driver.h"

#define MOST_THREADS 1024
#define MOST_BLOCKS 16

static CUresult resident_blocks(int *blocks, CUfunction handle, int threads) {
  if (!fake_object_is(handle, FAKE_FUNCTION)) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  if (blocks == NULL || threads <= 0 || threads > MOST_THREADS) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  struct fake_context *context = NULL;
  FAKE_TRY(fake_current(&context));
  int fitting = (int)fake_device_of_unit(context->unit)->threads_per_multiprocessor / threads;
  *blocks = fitting < MOST_BLOCKS ? fitting : MOST_BLOCKS;
  return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction handle, int threads, size_t shared) {
  FAKE_ENTER(cuOccupancyMaxActiveBlocksPerMultiprocessor);
  (void)shared;
  return resident_blocks(blocks, handle, threads);
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction handle, int threads,
                                                              size_t shared, unsigned flags) {
  FAKE_ENTER(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags);
  (void)shared;
  return flags > CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE ? CUDA_ERROR_INVALID_VALUE
                                                       : resident_blocks(blocks, handle, threads);
}

static CUresult best_block(int *grid, int *block, CUfunction handle, int limit) {
  struct fake_context *context = NULL;
  int resident = 0;
  int threads = limit > 0 && limit < MOST_THREADS ? limit : MOST_THREADS;
  if (grid == NULL || block == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(fake_current(&context));
  FAKE_TRY(resident_blocks(&resident, handle, threads));
  *block = threads;
  *grid = resident * (int)fake_device_of_unit(context->unit)->multiprocessors;
  return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction handle, CUoccupancyB2DSize shared_of,
                                          size_t shared, int limit) {
  FAKE_ENTER(cuOccupancyMaxPotentialBlockSize);
  (void)shared_of;
  (void)shared;
  return best_block(grid, block, handle, limit);
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int *grid, int *block, CUfunction handle,
                                                   CUoccupancyB2DSize shared_of, size_t shared, int limit,
                                                   unsigned flags) {
  FAKE_ENTER(cuOccupancyMaxPotentialBlockSizeWithFlags);
  (void)shared_of;
  (void)shared;
  return flags > CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE ? CUDA_ERROR_INVALID_VALUE
                                                       : best_block(grid, block, handle, limit);
}
