/*
 * Memory of graphs. A card has one pool for all graphs: it grows when a launch needs more, and what is free in it goes
 * back to the card only when asked. Addresses given to nodes stay reserved for the life of the process.
 */
#include <string.h>

#include "driver.h"

static struct {
  uint64_t used;
  uint64_t used_high;
  uint64_t reserved;
  uint64_t reserved_high;
} pools[FAKE_MAX_UNITS];

CUresult fake_graph_block_new(int unit, size_t bytes, struct fake_block **out) {
  if (bytes == 0 || bytes > SIZE_MAX - FAKE_CHUNK_BYTES) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_new(bytes, 0, FAKE_BLOCK_GRAPH, NULL);
  if (block != NULL) {
    block->unit = unit;
  }
  pthread_mutex_unlock(&fake_lock);
  *out = block;
  return block == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

struct fake_block *fake_graph_block_at(CUdeviceptr pointer) {
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(pointer);
  bool good = block != NULL && block->base == pointer && block->kind == FAKE_BLOCK_GRAPH;
  pthread_mutex_unlock(&fake_lock);
  return good ? block : NULL;
}

/* Needs fake_lock. `charged` of a graph's block is what it takes of the pool while it is committed. */
static CUresult commit(struct fake_block *block, bool auto_free) {
  uint64_t bytes = fake_round_up(block->size, FAKE_SMALL_BYTES);
  uint64_t wanted = fake_round_up(pools[block->unit].used + bytes, FAKE_CHUNK_BYTES);
  if (block->charged > 0) {
    return auto_free ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  }
  if (wanted > pools[block->unit].reserved) {
    if (!fake_state_charge(fake_driver.state, block->unit, wanted - pools[block->unit].reserved)) {
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    pools[block->unit].reserved = wanted;
  }
  pools[block->unit].used += bytes;
  block->charged = bytes;
  if (pools[block->unit].used > pools[block->unit].used_high) {
    pools[block->unit].used_high = pools[block->unit].used;
  }
  if (pools[block->unit].reserved > pools[block->unit].reserved_high) {
    pools[block->unit].reserved_high = pools[block->unit].reserved;
  }
  return CUDA_SUCCESS;
}

CUresult fake_graph_block_commit(struct fake_block *block, bool auto_free) {
  pthread_mutex_lock(&fake_lock);
  CUresult result = commit(block, auto_free);
  pthread_mutex_unlock(&fake_lock);
  return result;
}

CUresult fake_graph_block_release(struct fake_block *block) {
  pthread_mutex_lock(&fake_lock);
  bool committed = block->charged > 0;
  pools[block->unit].used -= block->charged;
  block->charged = 0;
  pthread_mutex_unlock(&fake_lock);
  return committed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGraphMemTrim(CUdevice device) {
  FAKE_ENTER(cuDeviceGraphMemTrim);
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  int unit = fake_driver.units[device];
  pthread_mutex_lock(&fake_lock);
  uint64_t keep = fake_round_up(pools[unit].used, FAKE_CHUNK_BYTES);
  fake_state_uncharge(fake_driver.state, unit, pools[unit].reserved - keep);
  pools[unit].reserved = keep;
  pthread_mutex_unlock(&fake_lock);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void *value) {
  FAKE_ENTER(cuDeviceGetGraphMemAttribute);
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  int unit = fake_driver.units[device];
  if (value == NULL || (unsigned)attribute > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  const uint64_t values[] = {pools[unit].used, pools[unit].used_high, pools[unit].reserved, pools[unit].reserved_high};
  memcpy(value, &values[attribute], sizeof *values);
  pthread_mutex_unlock(&fake_lock);
  return CUDA_SUCCESS;
}

CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void *value) {
  FAKE_ENTER(cuDeviceSetGraphMemAttribute);
  uint64_t number = 1;
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  if (value != NULL) {
    memcpy(&number, value, sizeof number);
  }
  bool used = attribute == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH;
  if (number != 0 || (!used && attribute != CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)) {
    return CUDA_ERROR_INVALID_VALUE; /* high-water marks can be reset, nothing else set */
  }
  int unit = fake_driver.units[device];
  pthread_mutex_lock(&fake_lock);
  if (used) {
    pools[unit].used_high = pools[unit].used;
  } else {
    pools[unit].reserved_high = pools[unit].reserved;
  }
  pthread_mutex_unlock(&fake_lock);
  return CUDA_SUCCESS;
}

static void count_needs(const struct fake_graph *graph, uint64_t needs[FAKE_MAX_UNITS]) {
  for (const struct fake_node *node = graph->first; node != NULL; node = node->next) {
    if (node->work.kind == FAKE_WORK_ALLOCATE && node->work.as.block->charged == 0) {
      needs[node->work.as.block->unit] += fake_round_up(node->work.as.block->size, FAKE_SMALL_BYTES);
    } else if (node->work.kind == FAKE_WORK_CHILD) {
      count_needs(node->work.as.child, needs);
    }
  }
}

CUresult fake_graph_upload(const struct fake_graph *graph) {
  uint64_t needs[FAKE_MAX_UNITS] = {0};
  CUresult result = CUDA_SUCCESS;
  pthread_mutex_lock(&fake_lock);
  count_needs(graph, needs);
  for (int unit = 0; unit < FAKE_MAX_UNITS && result == CUDA_SUCCESS; unit++) {
    uint64_t wanted = fake_round_up(pools[unit].used + needs[unit], FAKE_CHUNK_BYTES);
    if (needs[unit] != 0 && wanted > pools[unit].reserved) {
      bool fits = fake_state_charge(fake_driver.state, unit, wanted - pools[unit].reserved);
      result = fits ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
      pools[unit].reserved = fits ? wanted : pools[unit].reserved;
    }
  }
  pthread_mutex_unlock(&fake_lock);
  return result;
}
