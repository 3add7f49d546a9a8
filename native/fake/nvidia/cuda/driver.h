/*
 * The inside of the libcuda double: its objects, and what each file offers the others.
 *
 * One process-wide mutex (fake_lock) guards objects and the address space; it is never held while waiting for
 * simulated time or while calling the application back. The shared state has its own lock, taken inside this one.
 */
#ifndef HAMI_FAKE_CUDA_DRIVER_H
#define HAMI_FAKE_CUDA_DRIVER_H

#include "entry.h"

/* ---- objects (object.c) ------------------------------------------------------------------------------------- */

enum fake_tag {
  FAKE_GONE = 0,
  FAKE_CONTEXT = 0x46435458,
  FAKE_STREAM,
  FAKE_EVENT,
  FAKE_MODULE,
  FAKE_FUNCTION,
  FAKE_POOL,
  FAKE_ARRAY,
  FAKE_MIPMAP,
  FAKE_GRAPH,
  FAKE_NODE,
  FAKE_GRAPH_EXEC,
  FAKE_PHYSICAL,
  FAKE_EXTERNAL,
};

/* Starts every object behind a handle. Memory of a deleted one is reused for its own kind only, so that a stale handle
   is recognised by its tag instead of reading freed memory. */
struct fake_object {
  uint32_t tag;
  uint32_t kind; /* tag it had; of the free list */
  struct fake_object *next_free;
};

void *fake_object_new(enum fake_tag tag, size_t size); /* zeroed; NULL when the host is out of memory */
void fake_object_delete(void *object);

static inline bool fake_object_is(const void *object, enum fake_tag tag) {
  return object != NULL &&
         __atomic_load_n(&((const struct fake_object *)object)->tag, __ATOMIC_RELAXED) == (uint32_t)tag;
}

/* ---- contexts (context.c) ----------------------------------------------------------------------------------- */

struct fake_stream;
struct fake_block;
struct fake_graph;
struct fake_node;

struct fake_context {
  struct fake_object object;
  CUdevice device;
  int unit;
  bool primary;
  bool active;         /* false: destroyed, or a primary context nobody holds */
  unsigned references; /* of a primary context; of another one attachments besides its maker's */
  unsigned flags;
  uint64_t id;
  uint64_t charged;
  uint64_t local_bytes;      /* the most that a kernel launched so far needs; part of `charged` */
  uint64_t tail_ns;          /* end of all work submitted so far */
  uint64_t blocking_tail_ns; /* the same, of streams that wait for the legacy stream */
  size_t limits[CU_LIMIT_MAX];
  CUfunc_cache cache_config;
  CUsharedconfig shared_config;
  uint32_t peers; /* bit per device with peer access */
  struct fake_block *blocks;
  struct fake_stream *streams;
  struct fake_stream *legacy;
};

CUresult fake_current(struct fake_context **context);
/* Memory that the context itself takes and gives back: code, local memory, heaps. It ends with the context. */
bool fake_context_grow(struct fake_context *context, uint64_t bytes);
void fake_context_shrink(struct fake_context *context, uint64_t bytes);
CUresult fake_primary_retain(CUdevice device, struct fake_context **context);
/* A context of its own over what the primary one has, and its end: all it holds becomes the primary one's. */
CUresult fake_context_derive(CUdevice device, struct fake_context **context);
void fake_context_merge(struct fake_context *context, CUdevice device);
CUresult fake_context_push(struct fake_context *context);
struct fake_context *fake_context_pop(void);
static inline bool fake_device_valid(CUdevice device) { return device >= 0 && device < fake_driver.device_count; }

/* ---- address space (arena.c) -------------------------------------------------------------------------------- */

enum fake_block_kind {
  FAKE_BLOCK_DEVICE,
  FAKE_BLOCK_MANAGED,
  FAKE_BLOCK_HOST,
  FAKE_BLOCK_POOL,
  FAKE_BLOCK_RESERVATION,
  FAKE_BLOCK_PHYSICAL,
  FAKE_BLOCK_GRAPH,
  FAKE_BLOCK_IPC,
  FAKE_BLOCK_EXTERNAL,
  FAKE_BLOCK_ARRAY,
};

struct fake_mapping;
struct fake_pool;

struct fake_block {
  CUdeviceptr base;
  size_t size; /* as asked for */
  size_t span; /* of address space */
  enum fake_block_kind kind;
  bool live;
  bool touched; /* its memory has been written, so freeing must give pages back */
  int unit;
  uint64_t charged;
  uint64_t shared_id; /* memory that other processes may hold; 0: none do */
  uint64_t id;
  unsigned flags;
  bool stays_home;   /* managed: the host is its preferred location */
  uint64_t last_use; /* managed: of residency.c */
  struct fake_context *context;
  struct fake_pool *pool;
  struct fake_mapping *mappings; /* of a reservation */
  struct fake_block *next;
  struct fake_block *previous;
};

bool fake_arena_open(void);
bool fake_arena_holds(CUdeviceptr address);
int fake_arena_fd(void);
void fake_arena_restore(CUdeviceptr address, size_t bytes); /* after something else was mapped over a part */
uint64_t fake_arena_offset(CUdeviceptr address);
/* Both need fake_lock. A new block is on its context's list, if it has a context. */
struct fake_block *fake_block_new(size_t size, size_t alignment, enum fake_block_kind kind,
                                  struct fake_context *context);
void fake_block_delete(struct fake_block *block);
struct fake_block *fake_block_at(CUdeviceptr address); /* the live block that contains it */

/* ---- plain memory (memory.c) -------------------------------------------------------------------------------- */

CUresult fake_memory_allocate(struct fake_context *context, size_t bytes, enum fake_block_kind kind, uint64_t charge,
                              struct fake_block **block);
void fake_memory_release(struct fake_block *block); /* needs fake_lock */
/* All blocks of a context become another one's; needs fake_lock. */
void fake_memory_move(struct fake_context *from, struct fake_context *to);
uint64_t fake_round_up(uint64_t bytes, uint64_t granularity);

/* ---- managed memory (residency.c) ---------------------------------------------------------------------------- */

void fake_residency_made(void); /* before the first managed block or host mapping is handed out */
/* Adds to `duration_ns` what the kernel waits for the bus. An error is the kernel's. */
CUresult fake_residency_use(const CUDA_KERNEL_NODE_PARAMS *launch, uint64_t *duration_ns);
/* `host`: the advice names the host. Taken for all of the block that the range lies in. */
CUresult fake_residency_advise(CUdeviceptr pointer, size_t bytes, CUmem_advise advice, bool host);

/* ---- streams, events, work (stream.c, event.c, work.c) ------------------------------------------------------- */

struct fake_stream {
  struct fake_object object;
  struct fake_context *context;
  unsigned flags;
  int priority;
  uint64_t id;
  uint64_t tail_ns;
  uint64_t callbacks_queued;
  uint64_t callbacks_done;
  struct fake_stream *next; /* in its context */
  CUstreamAttrValue attributes[CU_LAUNCH_ATTRIBUTE_MAX];
  /* Capture: NULL graph when none. */
  struct fake_graph *capture;
  bool capture_origin;
  bool capture_invalid;
  CUstreamCaptureMode capture_mode;
  uint64_t capture_id;
  struct fake_node **tips;
  size_t tip_count;
};

struct fake_event {
  struct fake_object object;
  struct fake_context *context;
  unsigned flags;
  bool recorded;
  uint64_t time_ns;
  struct fake_stream *stream; /* last recorded in, for pending callbacks */
  uint64_t callbacks;
  struct fake_graph *capture; /* recorded inside this capture */
  struct fake_node **tips;
  size_t tip_count;
};

/* `handle` 0, 1 and 2 are the default streams. Makes no stream current. */
CUresult fake_stream_resolve(CUstream handle, struct fake_stream **stream);
CUresult fake_stream_new(struct fake_context *context, unsigned flags, int priority, struct fake_stream **stream);
void fake_stream_drop_all(struct fake_context *context); /* needs fake_lock */
void fake_stream_wait(struct fake_stream *stream);
void fake_context_wait(struct fake_context *context);
void fake_context_wait_blocking(struct fake_context *context);

/* Host functions in streams (callback.c). A stream is done when its functions have run, too. */
bool fake_inside_callback(void); /* this thread is running one */
bool fake_callbacks_done(struct fake_stream *stream);
bool fake_callbacks_done_up_to(struct fake_stream *stream, uint64_t count);
void fake_callbacks_wait(struct fake_stream *stream);
void fake_callbacks_wait_up_to(struct fake_stream *stream, uint64_t count);
void fake_callbacks_wait_all(void);

enum fake_work_kind {
  FAKE_WORK_EMPTY,
  FAKE_WORK_KERNEL,
  FAKE_WORK_COPY,
  FAKE_WORK_SET,
  FAKE_WORK_HOST,
  FAKE_WORK_EVENT_RECORD,
  FAKE_WORK_EVENT_WAIT,
  FAKE_WORK_ALLOCATE,
  FAKE_WORK_FREE,
  FAKE_WORK_CHILD,
};

/* One thing a stream does, or a graph node stands for. Owns nothing but what work.c copies on demand. */
struct fake_work {
  enum fake_work_kind kind;
  union {
    CUDA_KERNEL_NODE_PARAMS kernel;
    CUDA_MEMCPY3D copy;
    CUDA_MEMSET_NODE_PARAMS set;
    CUDA_HOST_NODE_PARAMS host;
    struct fake_event *event;
    struct fake_block *block;
    struct fake_graph *child;
  } as;
};

/* Runs `work` in the stream, or adds it to the graph that the stream is captured into. */
CUresult fake_work_submit(CUstream handle, const struct fake_work *work);
CUresult fake_work_run(struct fake_stream *stream, const struct fake_work *work);
CUresult fake_work_kernel(struct fake_stream *stream, const CUDA_KERNEL_NODE_PARAMS *kernel);
CUresult fake_work_host(struct fake_stream *stream, CUhostFn function, void *data);
uint64_t fake_kernel_duration_ns(struct fake_context *context, const CUDA_KERNEL_NODE_PARAMS *kernel);

CUresult fake_event_record(struct fake_event *event, struct fake_stream *stream);

/* ---- virtual memory management (vmm.c) ------------------------------------------------------------------------ */

uint64_t fake_mapping_host_bytes(const struct fake_block *reservation, uint64_t offset);      /* needs fake_lock */
bool fake_mapping_covers(const struct fake_block *reservation, uint64_t offset, size_t size); /* needs fake_lock */

/* ---- data (copy.c) ------------------------------------------------------------------------------------------- */

/* Host memory behind [address, address + size), and how much of it is really there. */
CUresult fake_data_at(CUdeviceptr address, size_t size, bool writing, void **data, size_t *backed);
CUresult fake_copy_now(const CUDA_MEMCPY3D *copy);
CUresult fake_set_now(const CUDA_MEMSET_NODE_PARAMS *set);

/* ---- arrays (array.c) ---------------------------------------------------------------------------------------- */

struct fake_array {
  struct fake_object object;
  CUDA_ARRAY3D_DESCRIPTOR descriptor;
  struct fake_block *block;
  size_t pitch;
  size_t height;
  size_t depth;
  size_t element_bytes;
  struct fake_mipmap *mipmap;
};

struct fake_mipmap {
  struct fake_object object;
  CUDA_ARRAY3D_DESCRIPTOR descriptor;
  unsigned level_count;
  struct fake_array *levels[32];
};

struct fake_array *fake_array_of(CUarray handle); /* NULL when it is none */
void fake_array_unmap(const void *resource);      /* array_map.c: an array or mipmap ends; needs fake_lock */

/* ---- modules (module.c) -------------------------------------------------------------------------------------- */

struct fake_module;

struct fake_kernel {
  struct fake_object object;
  char name[256];
  struct fake_module *module;
  struct fake_kernel *next;
  unsigned parameter_count;
  unsigned parameter_bytes[64];
  int64_t duration_ns; /* -1: by the grid */
  uint64_t code_bytes; /* taken at the first launch, as when code is loaded lazily */
  bool loaded;
  uint64_t local_bytes; /* of all its threads */
  int max_dynamic_shared_bytes;
  unsigned block[3];
  struct fake_context *context;
};

CUresult fake_module_load(struct fake_context *context, const void *image, struct fake_module **module);
void fake_module_unload(struct fake_module *module);
CUresult fake_module_kernel(struct fake_module *module, const char *name, struct fake_kernel **kernel);
CUresult fake_module_global(struct fake_module *module, const char *name, CUdeviceptr *address, size_t *bytes);
bool fake_kernel_prepare(struct fake_kernel *kernel, struct fake_context *context); /* before it runs in a context */
unsigned fake_module_kernel_count(const struct fake_module *module);
struct fake_kernel *fake_module_first_kernel(struct fake_module *module);
char *fake_image_read(const char *path); /* NUL-terminated; free it */

/* ---- pools (pool.c) ------------------------------------------------------------------------------------------- */

struct fake_pool {
  struct fake_object object;
  int unit; /* -1: host memory */
  CUdevice device;
  bool is_default;
  bool destroyed;
  uint64_t reserved;
  uint64_t reserved_high;
  uint64_t used;
  uint64_t used_high;
  uint64_t threshold;
  int reuse[3];
  uint64_t max_size;
  unsigned live_blocks;
  CUmemAllocationHandleType handle_types;
  struct fake_pool *next;
};

void fake_pools_trim_unit(int unit); /* all that is not in use; needs fake_lock */
void fake_pools_trim_idle(void);     /* what synchronising does: reserved memory above the threshold goes back */
CUresult fake_pool_allocate(struct fake_context *context, struct fake_pool *pool, size_t bytes,
                            struct fake_block **block);
void fake_pool_give_back(struct fake_block *block); /* books only; needs fake_lock */
struct fake_pool *fake_pool_current(CUdevice device);

/* ---- graphs (graph.c, graph_memory.c, capture.c) --------------------------------------------------------------- */

struct fake_node {
  struct fake_object object;
  struct fake_graph *graph;
  struct fake_node *next; /* in the graph, oldest first */
  CUgraphNodeType type;
  struct fake_work work;
  void **parameters; /* a kernel's arguments, owned: the caller's are gone when the graph runs */
  struct fake_node **needs;
  size_t need_count;
  struct fake_node *original; /* in the graph that this one is a copy of */
  bool disabled;
  uint64_t run; /* of the last run that has done it */
};

struct fake_graph {
  struct fake_object object;
  struct fake_node *first;
  struct fake_node *last;
  uint64_t id;
  uint64_t runs;
  bool auto_free; /* instantiated so: memory left from the last launch is freed by the next */
};

struct fake_graph *fake_graph_new(void);
void fake_graph_delete(struct fake_graph *graph);
struct fake_graph *fake_graph_clone(struct fake_graph *graph);
/* Adds a node that needs `needs`; copies what the work points to. */
CUresult fake_graph_add(struct fake_graph *graph, const struct fake_work *work, CUgraphNodeType type,
                        struct fake_node *const *needs, size_t need_count, struct fake_node **node);
CUresult fake_node_need(struct fake_node *node, struct fake_node *other);
CUresult fake_node_set_work(struct fake_node *node, const struct fake_work *work);
CUresult fake_graph_run(struct fake_graph *graph, struct fake_stream *stream);

/* Memory that nodes allocate: addresses are fixed when the node is made, memory is taken when it runs. */
CUresult fake_graph_block_new(int unit, size_t bytes, struct fake_block **block);
CUresult fake_graph_block_commit(struct fake_block *block, bool auto_free);
CUresult fake_graph_block_release(struct fake_block *block);
CUresult fake_graph_upload(const struct fake_graph *graph); /* takes what its nodes will need */
struct fake_block *fake_graph_block_at(CUdeviceptr pointer);

CUresult fake_capture_add(struct fake_stream *stream, const struct fake_work *work);
CUresult fake_capture_allocate(struct fake_stream *stream, size_t bytes, CUdeviceptr *pointer);
CUresult fake_capture_free(struct fake_stream *stream, CUdeviceptr pointer);
/* For calls that only a thread in relaxed mode may make while anybody captures in global mode; ends those captures. */
CUresult fake_capture_allow_unsafe(struct fake_context *context);
bool fake_capture_poison(struct fake_context *context); /* a call that no capture allows; true if one was under way */

#endif
