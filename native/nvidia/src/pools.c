#include "pools.h"

#include <pthread.h>
#include <stdlib.h>

#include "devices.h"
#include "hook.h"
#include "sizes.h"

/* A pool grows by whole chunks; reserving one ahead keeps its growth inside the limit. The size is the driver's
 * default growth step as seen on cards of the last generations; a smaller step only means reserving a little early. */
#define GROWTH_BYTES (32ULL << 20)

/* The most ordinals CUDA gives one process. */
#define GRAPH_POOLS 64

struct pool {
  CUmemoryPool handle;
  bool special; /* see hami_pools_created */
  bool alive;   /* false once destroyed with pointers outstanding: the driver keeps all of it until the last is freed */
  uint64_t pointers; /* handed out and not freed */
  struct hami_charge charge;
  uint64_t asked_bytes;   /* of requests the driver is answering just now; they may show in its numbers already */
  uint64_t in_hand_bytes; /* what those requests reserved, not yet part of `charge` */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool *pools;
static size_t pool_count;
static size_t pool_capacity;

/* Stand for the pool of graph memory that each device has besides the ones with handles. */
static char graph_pools[GRAPH_POOLS];

static bool is_graph_pool(CUmemoryPool handle) {
  uintptr_t address = (uintptr_t)handle;
  return address >= (uintptr_t)graph_pools && address < (uintptr_t)graph_pools + GRAPH_POOLS;
}

static CUdevice graph_pool_ordinal(CUmemoryPool handle) {
  return (CUdevice)((uintptr_t)handle - (uintptr_t)graph_pools);
}

enum amount { HELD, USED };

static uint64_t ask(CUmemoryPool handle, enum amount amount, uint64_t otherwise) {
  cuuint64_t value = 0;
  CUresult result = HAMI_CUDA_MISSING;
  if (is_graph_pool(handle)) {
    __typeof__(&cuDeviceGetGraphMemAttribute) read = HAMI_REAL(cuDeviceGetGraphMemAttribute);
    CUgraphMem_attribute which =
        amount == HELD ? CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT : CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT;
    result = read == NULL ? result : read(graph_pool_ordinal(handle), which, &value);
  } else {
    __typeof__(&cuMemPoolGetAttribute) read = HAMI_REAL(cuMemPoolGetAttribute);
    CUmemPool_attribute which =
        amount == HELD ? CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT : CU_MEMPOOL_ATTR_USED_MEM_CURRENT;
    result = read == NULL ? result : read(handle, which, &value);
  }
  return result == CUDA_SUCCESS ? value : otherwise;
}

static struct pool *find_locked(CUmemoryPool handle) {
  for (size_t i = 0; i < pool_count; i++) {
    if (pools[i].alive && pools[i].handle == handle) {
      return &pools[i];
    }
  }
  return NULL;
}

static struct pool *add_locked(CUmemoryPool handle, int device, enum hami_books_class class) {
  if (pool_count == pool_capacity) {
    size_t capacity = pool_capacity == 0 ? 16 : pool_capacity * 2;
    struct pool *grown = realloc(pools, capacity * sizeof *grown);
    if (grown == NULL) {
      return NULL;
    }
    pools = grown;
    pool_capacity = capacity;
  }
  struct pool *added = &pools[pool_count];
  __atomic_store_n(&pool_count, pool_count + 1, __ATOMIC_RELAXED);
  *added = (struct pool){.handle = handle, .alive = true};
  hami_books_force(&added->charge, device, class, 0);
  return added;
}

static void remove_locked(struct pool *pool) {
  hami_books_refund(&pool->charge);
  __atomic_store_n(&pool_count, pool_count - 1, __ATOMIC_RELAXED);
  *pool = pools[pool_count];
}

/* `charge` and what is in hand together never count less than the pool holds. */
static bool refresh_locked(struct pool *pool) {
  if (!pool->alive || pool->charge.device == HAMI_NO_DEVICE) {
    return false;
  }
  uint64_t before = pool->charge.bytes;
  uint64_t held = ask(pool->handle, HELD, before);
  uint64_t covered = hami_sizes_subtract(held, pool->in_hand_bytes);
  hami_books_resize(&pool->charge, before < covered ? covered : before < held ? before : held);
  return pool->charge.bytes < before;
}

/* A pool nobody saw created is a device's default pool, or one the caller is about to learn is not its own. */
static struct pool *find_or_adopt_locked(CUmemoryPool handle) {
  struct pool *pool = find_locked(handle);
  if (pool == NULL) {
    int device = hami_devices_of_default_pool(handle);
    pool = add_locked(handle, device == HAMI_NO_DEVICE ? hami_devices_current(NULL) : device, HAMI_CLASS_POOL);
    if (pool != NULL) {
      (void)refresh_locked(pool);
    }
  }
  return pool;
}

void hami_pools_created(CUmemoryPool handle, int device, bool special) {
  (void)pthread_mutex_lock(&lock);
  struct pool *pool = find_locked(handle);
  if (pool == NULL) {
    pool = add_locked(handle, device, HAMI_CLASS_POOL);
  }
  if (pool != NULL) {
    pool->special = special;
  }
  (void)pthread_mutex_unlock(&lock);
}

bool hami_pools_special(CUmemoryPool handle) {
  (void)pthread_mutex_lock(&lock);
  const struct pool *pool = find_locked(handle);
  bool special = pool == NULL || pool->special;
  (void)pthread_mutex_unlock(&lock);
  return special;
}

CUmemoryPool hami_pools_of_graphs(CUdevice ordinal) {
  if (ordinal < 0 || ordinal >= GRAPH_POOLS) {
    return NULL;
  }
  CUmemoryPool handle = (CUmemoryPool)(uintptr_t)&graph_pools[ordinal];
  int device = hami_devices_of_ordinal(ordinal);
  (void)pthread_mutex_lock(&lock);
  bool known = find_locked(handle) != NULL || add_locked(handle, device, HAMI_CLASS_GRAPH) != NULL;
  (void)pthread_mutex_unlock(&lock);
  return known ? handle : NULL;
}

CUmemoryPool hami_pools_of_stream(CUstream stream, bool per_thread) {
  CUdevice device;
  CUmemoryPool pool = NULL;
  __typeof__(&cuDeviceGetMemPool) get_pool = HAMI_REAL(cuDeviceGetMemPool);
  if (get_pool == NULL || !hami_devices_ordinal_of_stream(stream, per_thread, &device) ||
      get_pool(&pool, device) != CUDA_SUCCESS) {
    return NULL;
  }
  return pool;
}

/* How much the pool may have to grow for `bytes` more, on top of what is being asked of it already. */
static uint64_t growth_locked(const struct pool *pool, uint64_t bytes) {
  uint64_t held = ask(pool->handle, HELD, 0);
  uint64_t used = ask(pool->handle, USED, held);
  uint64_t wanted = hami_sizes_add(hami_sizes_add(used, pool->asked_bytes), bytes);
  return hami_sizes_subtract(wanted, hami_sizes_add(held, pool->in_hand_bytes));
}

bool hami_pools_reserve(CUmemoryPool handle, uint64_t bytes, struct hami_charge *charge) {
  (void)pthread_mutex_lock(&lock);
  struct pool *pool = find_or_adopt_locked(handle);
  if (pool == NULL) {
    (void)pthread_mutex_unlock(&lock);
    return false;
  }
  uint64_t growth = growth_locked(pool, bytes);
  int device = pool->charge.device;
  enum hami_books_class class = pool->charge.class;
  (void)pthread_mutex_unlock(&lock);
  /* Outside the lock, since a refusal asks the pools. A whole chunk if there is room, else no more than is needed. */
  hami_books_force(charge, device, class, 0);
  if (growth != 0 && !hami_books_reserve(charge, device, class, hami_sizes_round_up(growth, GROWTH_BYTES)) &&
      !hami_books_reserve(charge, device, class, growth)) {
    return false;
  }
  (void)pthread_mutex_lock(&lock);
  pool = find_locked(handle);
  if (pool != NULL) {
    pool->asked_bytes += bytes;
    pool->in_hand_bytes += charge->bytes;
  }
  (void)pthread_mutex_unlock(&lock);
  return true;
}

bool hami_pools_settle(CUmemoryPool handle, CUresult result, CUdeviceptr pointer, uint64_t bytes,
                       struct hami_charge *charge) {
  int device = charge->device;
  bool outgrown = false; /* it took more than was reserved */
  (void)pthread_mutex_lock(&lock);
  struct pool *pool = find_locked(handle);
  if (pool != NULL && pool->charge.device == device) {
    pool->asked_bytes = hami_sizes_subtract(pool->asked_bytes, bytes);
    pool->in_hand_bytes = hami_sizes_subtract(pool->in_hand_bytes, charge->bytes);
    /* The reservation becomes part of the pool's charge before the pool is asked: at no moment is the new memory
     * uncounted. */
    hami_books_merge(&pool->charge, charge);
    uint64_t covered = pool->charge.bytes;
    (void)refresh_locked(pool);
    outgrown = pool->charge.bytes > covered;
  } else {
    hami_books_refund(charge);
  }
  (void)pthread_mutex_unlock(&lock);
  if (result != CUDA_SUCCESS || (outgrown && hami_books_over_limit(device))) {
    return result != CUDA_SUCCESS;
  }
  if (pointer == 0) {
    return true; /* a graph's memory is found by its graph */
  }
  /* The entry only says which pool a pointer belongs to; its bytes are counted by the pool. */
  struct hami_charge entry = {.device = device, .class = HAMI_CLASS_POOL, .bytes = bytes, .owner = handle};
  if (!hami_books_record(HAMI_BOOKS_POINTER, pointer, &entry)) {
    return false;
  }
  (void)pthread_mutex_lock(&lock);
  pool = find_locked(handle);
  if (pool != NULL) {
    pool->pointers++;
  }
  (void)pthread_mutex_unlock(&lock);
  return true;
}

void hami_pools_freed(const struct hami_charge *entry) {
  (void)pthread_mutex_lock(&lock);
  struct pool *pool = find_locked((CUmemoryPool)(uintptr_t)entry->owner);
  if (pool != NULL) {
    pool->pointers = hami_sizes_subtract(pool->pointers, 1);
    (void)refresh_locked(pool);
  } else {
    for (size_t i = 0; i < pool_count; i++) {
      struct pool *gone = &pools[i];
      if (!gone->alive && (const void *)gone->handle == entry->owner) {
        gone->pointers = hami_sizes_subtract(gone->pointers, 1);
        if (gone->pointers == 0) {
          remove_locked(gone);
        }
        break;
      }
    }
  }
  (void)pthread_mutex_unlock(&lock);
}

uint64_t hami_pools_used_bytes(CUmemoryPool handle) { return ask(handle, USED, 0); }

void hami_pools_destroyed(CUmemoryPool handle, uint64_t used_bytes) {
  (void)pthread_mutex_lock(&lock);
  struct pool *pool = find_locked(handle);
  if (pool != NULL) {
    pool->alive = false;
    if (used_bytes == 0 || pool->pointers == 0) {
      remove_locked(pool);
    }
  }
  (void)pthread_mutex_unlock(&lock);
}

bool hami_pools_refresh(void) {
  if (__atomic_load_n(&pool_count, __ATOMIC_RELAXED) == 0) {
    return false; /* without the lock: asked after every synchronisation */
  }
  bool shrank = false;
  (void)pthread_mutex_lock(&lock);
  for (size_t i = 0; i < pool_count; i++) {
    shrank = refresh_locked(&pools[i]) || shrank;
  }
  (void)pthread_mutex_unlock(&lock);
  return shrank;
}

void hami_pools_after_fork_in_child(void) {
  /* Another thread may have held the lock when it forked; the array it guarded may be half written, so it is left. */
  lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  pools = NULL;
  pool_count = 0;
  pool_capacity = 0;
}
