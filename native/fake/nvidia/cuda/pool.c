/* Stream-ordered memory. A pool holds `reserved` bytes of the card in 2 MiB steps, of which `used` are handed out. */
#include <string.h>

#include "driver.h"

static struct fake_pool *pools;
static struct fake_pool *defaults[FAKE_MAX_UNITS];
static struct fake_pool *current[FAKE_MAX_UNITS];

static struct fake_pool *new_pool(CUdevice device, int unit) {
  struct fake_pool *pool = fake_object_new(FAKE_POOL, sizeof *pool);
  if (pool != NULL) {
    pool->device = device;
    pool->unit = unit;
    pool->reuse[0] = pool->reuse[1] = pool->reuse[2] = 1;
    pool->next = pools;
    __atomic_store_n(&pools, pool, __ATOMIC_RELAXED); /* looked at without the lock, whether there are any */
  }
  return pool;
}

static struct fake_pool *default_pool(CUdevice device) {
  if (defaults[device] == NULL) {
    defaults[device] = new_pool(device, fake_driver.units[device]);
    if (defaults[device] != NULL) {
      defaults[device]->is_default = true;
    }
  }
  return defaults[device];
}

struct fake_pool *fake_pool_current(CUdevice device) {
  pthread_mutex_lock(&fake_lock);
  struct fake_pool *pool = current[device];
  pool = pool != NULL && !pool->destroyed ? pool : default_pool(device);
  pthread_mutex_unlock(&fake_lock);
  return pool;
}

/* Gives back what is reserved beyond `keep` and not in use; needs fake_lock. */
static void trim(struct fake_pool *pool, uint64_t keep) {
  uint64_t floor = fake_round_up(pool->used, FAKE_CHUNK_BYTES);
  uint64_t target = keep > floor ? keep : floor;
  if (pool->reserved > target) {
    if (pool->unit >= 0) {
      fake_state_uncharge(fake_driver.state, pool->unit, pool->reserved - target);
    }
    pool->reserved = target;
  }
}

void fake_pools_trim_unit(int unit) {
  for (struct fake_pool *pool = pools; pool != NULL; pool = pool->next) {
    if (pool->unit == unit) {
      trim(pool, 0);
    }
  }
}

void fake_pools_trim_idle(void) {
  if (__atomic_load_n(&pools, __ATOMIC_RELAXED) == NULL) {
    return;
  }
  pthread_mutex_lock(&fake_lock);
  for (struct fake_pool *pool = pools; pool != NULL; pool = pool->next) {
    trim(pool, pool->threshold);
  }
  pthread_mutex_unlock(&fake_lock);
}

/* Reserves what `bytes` more need; needs fake_lock. */
static bool grow(struct fake_pool *pool, uint64_t bytes) {
  uint64_t wanted = fake_round_up(pool->used + bytes, FAKE_CHUNK_BYTES);
  if (pool->max_size > 0 && wanted > pool->max_size) {
    return false;
  }
  if (wanted > pool->reserved) {
    uint64_t more = wanted - pool->reserved;
    if (pool->unit >= 0 && !fake_state_charge(fake_driver.state, pool->unit, more)) {
      return false;
    }
    pool->reserved = wanted;
  }
  pool->used += bytes;
  pool->used_high = pool->used > pool->used_high ? pool->used : pool->used_high;
  pool->reserved_high = pool->reserved > pool->reserved_high ? pool->reserved : pool->reserved_high;
  return true;
}

CUresult fake_pool_allocate(struct fake_context *context, struct fake_pool *pool, size_t bytes,
                            struct fake_block **out) {
  uint64_t taken = bytes > SIZE_MAX - FAKE_CHUNK_BYTES ? 0 : fake_round_up(bytes, FAKE_SMALL_BYTES);
  struct fake_block *block = NULL;
  pthread_mutex_lock(&fake_lock);
  if (taken > 0 && grow(pool, taken)) {
    block = fake_block_new(bytes, 0, FAKE_BLOCK_POOL, context);
    if (block == NULL) {
      pool->used -= taken;
    } else {
      block->unit = pool->unit;
      block->pool = pool;
      block->charged = taken;
      pool->live_blocks++;
    }
  }
  pthread_mutex_unlock(&fake_lock);
  *out = block;
  return block == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

static void drop_if_done(struct fake_pool *pool) {
  if (!pool->destroyed || pool->live_blocks > 0) {
    return;
  }
  trim(pool, 0);
  struct fake_pool **link = &pools;
  while (*link != pool) {
    link = &(*link)->next;
  }
  *link = pool->next;
  fake_object_delete(pool);
}

void fake_pool_give_back(struct fake_block *block) {
  struct fake_pool *pool = block->pool;
  pool->used -= block->charged;
  pool->live_blocks--;
  drop_if_done(pool);
}

static CUresult allocate_async(CUdeviceptr *out, size_t bytes, struct fake_pool *pool, CUstream handle) {
  struct fake_stream *stream = NULL;
  struct fake_block *block = NULL;
  FAKE_TRY(fake_stream_resolve(handle, &stream));
  if (out == NULL || bytes == 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (stream->capture != NULL) {
    return fake_capture_allocate(stream, bytes, out);
  }
  pool = pool == NULL ? fake_pool_current(stream->context->device) : pool;
  if (pool == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  FAKE_TRY(fake_pool_allocate(stream->context, pool, bytes, &block));
  *out = block->base;
  return CUDA_SUCCESS;
}

CUresult cuMemAllocAsync(CUdeviceptr *out, size_t bytes, CUstream stream) {
  FAKE_ENTER(cuMemAllocAsync);
  return allocate_async(out, bytes, NULL, stream);
}

#define ENTER_POOL(name)                                                                                               \
  FAKE_ENTER(name);                                                                                                    \
  struct fake_pool *pool = (struct fake_pool *)handle;                                                                 \
  if (!fake_object_is(pool, FAKE_POOL) || pool->destroyed) {                                                           \
    return CUDA_ERROR_INVALID_VALUE;                                                                                   \
  }

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *out, size_t bytes, CUmemoryPool handle, CUstream stream) {
  ENTER_POOL(cuMemAllocFromPoolAsync);
  return allocate_async(out, bytes, pool, stream);
}

CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream handle) {
  FAKE_ENTER(cuMemFreeAsync);
  struct fake_stream *stream = NULL;
  FAKE_TRY(fake_stream_resolve(handle, &stream));
  if (stream->capture != NULL) {
    return fake_capture_free(stream, pointer);
  }
  pthread_mutex_lock(&fake_lock);
  struct fake_block *block = fake_block_at(pointer);
  bool exact = block != NULL && block->base == pointer;
  bool graph = exact && block->kind == FAKE_BLOCK_GRAPH;
  /* Of the others only plain device memory is documented for this call. */
  bool good = exact && (block->kind == FAKE_BLOCK_POOL || block->kind == FAKE_BLOCK_DEVICE);
  if (good) {
    fake_memory_release(block);
  }
  pthread_mutex_unlock(&fake_lock);
  if (graph) {
    return fake_graph_block_release(block);
  }
  return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemPoolCreate(CUmemoryPool *out, const CUmemPoolProps *properties) {
  FAKE_ENTER(cuMemPoolCreate);
  if (out == NULL || properties == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  bool localized = properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE_LOCALITY_DOMAIN;
  bool host = properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE && !localized;
  CUdevice device = localized ? properties->location.localized.deviceId : properties->location.id;
  if (!host && !fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  pthread_mutex_lock(&fake_lock);
  struct fake_pool *pool = new_pool(host ? 0 : device, host ? -1 : fake_driver.units[device]);
  if (pool != NULL) {
    pool->max_size = properties->maxSize;
    pool->handle_types = properties->handleTypes;
    *out = (CUmemoryPool)pool;
  }
  pthread_mutex_unlock(&fake_lock);
  return pool == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult cuMemPoolDestroy(CUmemoryPool handle) {
  ENTER_POOL(cuMemPoolDestroy);
  if (pool->is_default) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  pool->destroyed = true;
  for (int i = 0; i < FAKE_MAX_UNITS; i++) {
    current[i] = current[i] == pool ? NULL : current[i];
  }
  drop_if_done(pool);
  pthread_mutex_unlock(&fake_lock);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolTrimTo(CUmemoryPool handle, size_t keep) {
  ENTER_POOL(cuMemPoolTrimTo);
  pthread_mutex_lock(&fake_lock);
  trim(pool, fake_round_up(keep, FAKE_CHUNK_BYTES));
  pthread_mutex_unlock(&fake_lock);
  return CUDA_SUCCESS;
}

static CUresult set_attribute(struct fake_pool *pool, CUmemPool_attribute attribute, const void *value) {
  uint64_t number = 0;
  switch ((int)attribute) {
  case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
  case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
  case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
    memcpy(&pool->reuse[attribute - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES], value, sizeof(int));
    return CUDA_SUCCESS;
  case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
    memcpy(&pool->threshold, value, sizeof pool->threshold);
    return CUDA_SUCCESS;
  case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
  case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
    memcpy(&number, value, sizeof number);
    if (number != 0) {
      return CUDA_ERROR_INVALID_VALUE; /* a high-water mark can only be reset */
    }
    if (attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH) {
      pool->used_high = pool->used;
    } else {
      pool->reserved_high = pool->reserved;
    }
    return CUDA_SUCCESS;
  default:
    return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value) {
  ENTER_POOL(cuMemPoolSetAttribute);
  if (value == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  CUresult result = set_attribute(pool, attribute, value);
  pthread_mutex_unlock(&fake_lock);
  return result;
}

CUresult cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value) {
  ENTER_POOL(cuMemPoolGetAttribute);
  if (value == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  const uint64_t numbers[] = {pool->threshold, pool->reserved, pool->reserved_high, pool->used, pool->used_high};
  pthread_mutex_unlock(&fake_lock);
  if (attribute >= CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES &&
      attribute <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES) {
    memcpy(value, &pool->reuse[attribute - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES], sizeof(int));
    return CUDA_SUCCESS;
  }
  if (attribute < CU_MEMPOOL_ATTR_RELEASE_THRESHOLD || attribute > CU_MEMPOOL_ATTR_USED_MEM_HIGH) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  memcpy(value, &numbers[attribute - CU_MEMPOOL_ATTR_RELEASE_THRESHOLD], sizeof *numbers);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc *access, size_t count) {
  ENTER_POOL(cuMemPoolSetAccess);
  return access == NULL && count > 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool handle, CUmemLocation *location) {
  ENTER_POOL(cuMemPoolGetAccess);
  if (flags == NULL || location == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *flags = location->id == pool->device ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
  return CUDA_SUCCESS;
}

static CUresult give(CUmemoryPool *out, CUdevice device, bool only_default) {
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  if (only_default) {
    pthread_mutex_lock(&fake_lock);
    *out = (CUmemoryPool)default_pool(device);
    pthread_mutex_unlock(&fake_lock);
  } else {
    *out = (CUmemoryPool)fake_pool_current(device);
  }
  return *out == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *out, CUdevice device) {
  FAKE_ENTER(cuDeviceGetDefaultMemPool);
  return give(out, device, true);
}

CUresult cuDeviceGetMemPool(CUmemoryPool *out, CUdevice device) {
  FAKE_ENTER(cuDeviceGetMemPool);
  return give(out, device, false);
}

CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool handle) {
  ENTER_POOL(cuDeviceSetMemPool);
  if (!fake_device_valid(device)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  pthread_mutex_lock(&fake_lock);
  current[device] = pool;
  pthread_mutex_unlock(&fake_lock);
  return CUDA_SUCCESS;
}

static CUresult located(const CUmemLocation *location, CUmemAllocationType type) {
  if (location == NULL || type != CU_MEM_ALLOCATION_TYPE_PINNED || location->type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool *out, CUmemLocation *location, CUmemAllocationType type) {
  FAKE_ENTER(cuMemGetDefaultMemPool);
  FAKE_TRY(located(location, type));
  return give(out, location->id, true);
}

CUresult cuMemGetMemPool(CUmemoryPool *out, CUmemLocation *location, CUmemAllocationType type) {
  FAKE_ENTER(cuMemGetMemPool);
  FAKE_TRY(located(location, type));
  return give(out, location->id, false);
}

CUresult cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool handle) {
  ENTER_POOL(cuMemSetMemPool);
  FAKE_TRY(located(location, type));
  if (!fake_device_valid(location->id)) {
    return CUDA_ERROR_INVALID_DEVICE;
  }
  pthread_mutex_lock(&fake_lock);
  current[location->id] = pool;
  pthread_mutex_unlock(&fake_lock);
  return CUDA_SUCCESS;
}
