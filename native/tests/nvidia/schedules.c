/*
 * Random schedules over NVIDIA's library: every kind of memory, launches, code, and the books against the driver's in
 * the end. With SCHEDULES_SMALL_CARD the card is smaller than the share, which oversubscribes then: part of what they
 * get is host memory.
 */
#include <pthread.h>
#include <unistd.h>

#include "share.h"
#include "tests/interpose/schedules.h"

#define MOST_THREADS 2U
#define OPERATIONS 14U
#define HOLDINGS 4U
#define REFUSAL 719 /* what the driver is made to answer: an earlier launch failed */

struct held {
  unsigned int way; /* 0: nothing is held */
  uint32_t mib;
  CUdeviceptr value; /* or a handle */
  CUdeviceptr second;
};

static CUcontext context;
static CUfunction kernel;
static CUmemoryPool pool;
static bool small_card; /* smaller than the share: it may be full */

static CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  return cuMemCreate(handle, bytes, &props, 0);
}

static CUresult get_linear(struct held *held, size_t bytes) { return cuMemAlloc_v2(&held->value, bytes); }
static CUresult put_linear(const struct held *held) { return cuMemFree_v2(held->value); }

static CUresult get_managed(struct held *held, size_t bytes) {
  return cuMemAllocManaged(&held->value, bytes, CU_MEM_ATTACH_GLOBAL);
}

static CUresult get_pitched(struct held *held, size_t bytes) {
  size_t pitch;
  return cuMemAllocPitch_v2(&held->value, &pitch, 4096, bytes / 4096, 4);
}

static CUresult get_ordered(struct held *held, size_t bytes) { return cuMemAllocAsync(&held->value, bytes, NULL); }
static CUresult get_pooled(struct held *held, size_t bytes) {
  return cuMemAllocFromPoolAsync(&held->value, bytes, pool, NULL);
}
static CUresult put_ordered(const struct held *held) { return cuMemFreeAsync(held->value, NULL); }

static CUresult get_physical(struct held *held, size_t bytes) {
  return create((CUmemGenericAllocationHandle *)&held->value, bytes);
}
static CUresult put_physical(const struct held *held) { return cuMemRelease(held->value); }

/* Repeats what the driver was made to refuse: it refuses one call only. */
#define INSIST(call)                                                                                                   \
  do {                                                                                                                 \
    CUresult insisted = (call);                                                                                        \
    if ((int)insisted == REFUSAL) {                                                                                    \
      insisted = (call);                                                                                               \
    }                                                                                                                  \
    CHECK_EQUAL(CUDA_SUCCESS, insisted);                                                                               \
  } while (0)

static CUresult get_mapped(struct held *held, size_t bytes) {
  CUmemGenericAllocationHandle handle;
  CUresult result = create(&handle, bytes);
  if (result == CUDA_SUCCESS) {
    held->second = bytes;
    CHECK_EQUAL(CUDA_SUCCESS, cuMemAddressReserve(&held->value, bytes, 0, 0, 0));
    INSIST(cuMemMap(held->value, bytes, 0, handle, 0));
    INSIST(cuMemRelease(handle)); /* the mapping keeps it */
  }
  return result;
}
static CUresult put_mapped(const struct held *held) {
  CUresult result = cuMemUnmap(held->value, held->second);
  return result == CUDA_SUCCESS ? cuMemAddressFree(held->value, held->second) : result;
}

static CUresult get_array(struct held *held, size_t bytes) {
  CUDA_ARRAY_DESCRIPTOR shape = {.Width = 1024, .Height = bytes / 4096, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
  return cuArrayCreate_v2((CUarray *)&held->value, &shape);
}
static CUresult put_array(const struct held *held) { return cuArrayDestroy((CUarray)(uintptr_t)held->value); }

static const struct {
  CUresult (*get)(struct held *held, size_t bytes);
  CUresult (*put)(const struct held *held);
} ways[] = {
    {NULL, NULL},
    {get_linear, put_linear},
    {get_linear, put_ordered},
    {get_managed, put_linear},
    {get_pitched, put_linear},
    {get_ordered, put_ordered},
    {get_ordered, put_linear},
    {get_pooled, put_ordered},
    {get_physical, put_physical},
    {get_mapped, put_mapped},
    {get_array, put_array},
};
#define WAYS (sizeof ways / sizeof *ways)

static void put(struct held *held) {
  (void)schedules_note(-(int64_t)held->mib);
  INSIST(ways[held->way].put(held));
  held->way = 0;
}

static void get(unsigned int *seed, struct held *held) {
  unsigned int way = 1 + (unsigned int)rand_r(seed) % (WAYS - 1);
  uint32_t mib = 2 * (1 + (uint32_t)rand_r(seed) % 180); /* physical memory comes in pieces of 2 MiB */
  CUresult result = ways[way].get(held, mib * MIB);
  if (result == CUDA_SUCCESS) {
    held->way = way;
    held->mib = mib;
    (void)schedules_note(mib);
  } else {
    CHECK(result == CUDA_ERROR_OUT_OF_MEMORY || (int)result == REFUSAL);
  }
}

static void ask(void) {
  size_t available;
  size_t total;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  CHECK_EQUAL(SCHEDULES_SHARE_MIB * MIB, total);
  CHECK(available <= total);
  CHECK_EQUAL(total, share_total());
  CHECK(share_used() <= total);
  CHECK(share_free() <= total);
}

/* Code comes and goes, now and then lazily. What it takes the library never refuses, and it is gone with it; a card
 * that is smaller than the share may have no room for it. */
static void load_and_unload(unsigned int *seed) {
  CUmodule module;
  CUfunction function;
  char ptx[256];
  (void)snprintf(ptx, sizeof ptx,
                 ".version 8.0\n.target sm_80\n// hami-fake: %s-mib=%d\n.visible .entry work() { ret; }\n",
                 rand_r(seed) % 2 == 0 ? "code" : "lazy", 2 * (1 + rand_r(seed) % 8));
  CUresult loaded = cuModuleLoadData(&module, ptx);
  if (loaded == CUDA_ERROR_OUT_OF_MEMORY && small_card) {
    return;
  }
  CHECK_EQUAL(CUDA_SUCCESS, loaded);
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleGetFunction(&function, module, "work"));
  CUresult launched = share_launch(function, NULL);
  if (launched != CUDA_ERROR_OUT_OF_MEMORY || !small_card) {
    CHECK(launched == CUDA_SUCCESS || (int)launched == REFUSAL);
  }
  INSIST(cuModuleUnload(module));
}

static void *run_thread(void *number) {
  unsigned int seed = (unsigned int)(uintptr_t)number;
  struct held held[HOLDINGS] = {{0}};
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
  for (unsigned int i = 0; i < OPERATIONS; i++) {
    struct held *place = &held[(unsigned int)rand_r(&seed) % HOLDINGS];
    switch (rand_r(&seed) % 7) {
    case 0:
      ask();
      break;
    case 2:
      load_and_unload(&seed);
      break;
    case 1:
      INSIST(share_launch(kernel, NULL));
      break;
    default:
      if (place->way != 0) {
        put(place);
      } else {
        get(&seed, place);
      }
    }
  }
  for (unsigned int i = 0; i < HOLDINGS; i++) {
    if (held[i].way != 0) {
      put(&held[i]);
    }
  }
  return NULL;
}

/* What this process is charged, as the process list shows it. */
static uint64_t charged(void) {
  nvmlDevice_t device;
  nvmlProcessInfo_t rows[16];
  unsigned int count = 16;
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(0, &device));
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetComputeRunningProcesses_v3(device, &count, rows));
  for (unsigned int i = 0; i < count; i++) {
    if (rows[i].pid == (unsigned int)getpid()) {
      return rows[i].usedGpuMemory;
    }
  }
  return 0;
}

static void check_the_books(void) {
  cuuint64_t none = 0;
  CUmemoryPool default_pool;
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(CUDA_SUCCESS, cuDeviceGetDefaultMemPool(&default_pool, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolTrimTo(default_pool, none));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolDestroy(pool));
  CHECK_EQUAL(0, schedules_note(0));
  if (schedules_board->vandalised == 0 && strcmp(getenv("SCHEDULES_LEFTOVERS"), "no") == 0) {
    /* What another thread's pool took while the library compared with NVML may count until it compares again. */
    for (int tries = 0; tries < 2000 && charged() != device_used(); tries++) {
      ask();
      (void)usleep(1000);
    }
    CHECK_EQUAL(device_used(), charged());
  }
}

static void work(unsigned int seed) {
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                          .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  pthread_t threads[MOST_THREADS];
  unsigned int count = (unsigned int)strtoul(getenv("SCHEDULES_THREADS"), NULL, 10);
  CHECK(count <= MOST_THREADS);
  small_card = getenv("SCHEDULES_SMALL_CARD") != NULL;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CUresult opened = cuDevicePrimaryCtxRetain(&context, 0);
  if (opened == CUDA_ERROR_OUT_OF_MEMORY) {
    return; /* the others hold all there is */
  }
  CHECK_EQUAL(CUDA_SUCCESS, opened);
  (void)share_open();
  kernel = share_kernel(1000);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemPoolCreate(&pool, &props));
  for (unsigned int i = 0; i < count; i++) {
    CHECK(pthread_create(&threads[i], NULL, run_thread, (void *)(uintptr_t)(seed * 100 + i)) == 0);
  }
  for (unsigned int i = 0; i < count; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  check_the_books();
}

static const char *const refusals[] = {
    "cuMemAlloc_v2", "cuMemAllocManaged", "cuMemAllocPitch_v2", "cuMemAllocAsync",         "cuMemCreate",
    "cuMemMap",      "cuArrayCreate_v2",  "cuMemFree_v2",       "cuMemAllocFromPoolAsync", "cuMemFreeAsync",
    "cuMemUnmap",    "cuMemRelease",      "cuArrayDestroy",     "cuLaunchKernel",          "cuModuleUnload",
    "cuMemAdvise",   "cuEventRecord",
};

static void refuse(const char *call, unsigned int k) {
  char text[128];
  /* The free that the driver refuses may be the library's own, of memory that came out larger than its share: it stays
   * with the driver then, and nobody can give it back. */
  bool frees = call != NULL &&
               (strstr(call, "Free") != NULL || strstr(call, "Release") != NULL || strstr(call, "Destroy") != NULL);
  (void)setenv("SCHEDULES_LEFTOVERS", frees ? "yes" : "no", 1);
  (void)unsetenv("HAMI_FAKE_FAULTS");
  if (call != NULL) {
    /* In half of them NVML falls silent once it has told what the context takes: what the library would otherwise find
     * missing in its books later is missed by the test then. */
    (void)snprintf(text, sizeof text, "%s@%u=%d%s", call, k, REFUSAL,
                   k % 2 != 0 ? ",nvmlDeviceGetComputeRunningProcesses_v2@3+=999" : "");
    (void)setenv("HAMI_FAKE_FAULTS", text, 1);
  }
}

/* Physical memory, which needs no context: nothing else is counted. */
static void take_everything(void) {
  CUmemGenericAllocationHandle handle;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(CUDA_SUCCESS, create(&handle, SCHEDULES_SHARE_MIB * MIB));
}

int main(int count, char **arguments) {
  const struct schedules_subject subject = {.refusals = refusals,
                                            .refusal_count = sizeof refusals / sizeof *refusals,
                                            .refuse = refuse,
                                            .work = work,
                                            .take_everything = take_everything,
                                            .launches = true};
  return schedules_main(&subject, count, arguments);
}
