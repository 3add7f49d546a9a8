/* Every way to get memory from MUSA's driver and runtime. Run inside a share of 1000 MiB. */
#include "fake/card/card.h"
#include "mthreads/api.h"
#include "tests/interpose/paths.h"

static const MUmemAllocationProp on_device = {.location = {.type = MU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};

static int get_plain(uint64_t bytes, struct held *held) { return muMemAlloc_v2(&held->number, bytes); }
static int put_plain(struct held *held) { return muMemFree_v2(held->number); }
static int get_managed(uint64_t bytes, struct held *held) { return muMemAllocManaged(&held->number, bytes, 1); }

static int get_pitched(uint64_t bytes, struct held *held) {
  size_t pitch = 0;
  return muMemAllocPitch_v2(&held->number, &pitch, 1000, bytes / 1024 + 1, 4);
}

static int get_async(uint64_t bytes, struct held *held) { return muMemAllocAsync(&held->number, bytes, NULL); }
static int put_async(struct held *held) { return muMemFreeAsync(held->number, NULL); }

/* The driver is reached by its private table: the runtime's own layer is what counts it. */
static int get_runtime(uint64_t bytes, struct held *held) { return musaMalloc(&held->pointer, bytes); }
static int put_runtime(struct held *held) { return musaFree(held->pointer); }

static int get_by_name(uint64_t bytes, struct held *held) {
  void *function = NULL;
  int status = 1;
  CHECK_EQUAL(MUSA_SUCCESS, muGetProcAddress("muGetProcAddress", &function, 40000, 0, &status));
  __typeof__(&muGetProcAddress_v2) newer = (__typeof__(&muGetProcAddress_v2))(uintptr_t)function;
  CHECK_EQUAL(MUSA_SUCCESS, newer("muMemAlloc", &function, 40000, 0, &status));
  CHECK_EQUAL(0, status);
  return ((MUresult (*)(MUdeviceptr *, size_t))(uintptr_t)function)(&held->number, bytes);
}

static int get_physical(uint64_t bytes, struct held *held) { return muMemCreate(&held->number, bytes, &on_device, 0); }
static int put_physical(struct held *held) { return muMemRelease(held->number); }

static int get_mapped(uint64_t bytes, struct held *held) {
  MUmemGenericAllocationHandle handle = 0;
  MUresult result = muMemCreate(&handle, bytes, &on_device, 0);
  if (result == MUSA_SUCCESS) {
    *held = (struct held){.number = paths_fresh_address(), .bytes = bytes};
    CHECK_EQUAL(MUSA_SUCCESS, muMemMap(held->number, bytes, 0, handle, 0));
    CHECK_EQUAL(MUSA_SUCCESS, muMemRelease(handle));
    CHECK_EQUAL(MUSA_SUCCESS, muMemRetainAllocationHandle(&handle, (void *)(uintptr_t)held->number));
    CHECK_EQUAL(MUSA_SUCCESS, muMemRelease(handle));
  }
  return result;
}
static int put_mapped(struct held *held) { return muMemUnmap(held->number, held->bytes); }

static const struct path paths[] = {
    {"muMemAlloc", get_plain, put_plain},        {"muMemAllocManaged", get_managed, put_plain},
    {"muMemAllocPitch", get_pitched, put_plain}, {"muMemAllocAsync", get_async, put_async},
    {"musaMalloc", get_runtime, put_runtime},    {"muGetProcAddress", get_by_name, put_plain},
    {"muMemCreate", get_physical, put_physical}, {"muMemCreate, mapped", get_mapped, put_mapped},
};

static void info(uint64_t *free_bytes, uint64_t *total_bytes) {
  uint64_t runtime_free = 0;
  uint64_t runtime_total = 0;
  CHECK_EQUAL(MUSA_SUCCESS, muMemGetInfo_v2(free_bytes, total_bytes));
  CHECK_EQUAL(MUSA_SUCCESS, musaMemGetInfo(&runtime_free, &runtime_total));
  CHECK_EQUAL(runtime_free, *free_bytes);
  CHECK_EQUAL(runtime_total, *total_bytes);
}

static void errors_are_the_drivers(void) {
  CHECK_EQUAL(1, muMemFree_v2(0x1234));
  CHECK_EQUAL(1, musaFree((void *)0x1234));
  CHECK_EQUAL(1, muMemAlloc_v2(NULL, 8 * CARD_BYTES));
  CHECK_EQUAL(1, muMemGetInfo_v2(NULL, NULL));
  CHECK_EQUAL(1, muMemCreate(&(MUmemGenericAllocationHandle){0}, MIB, NULL, 0));
}

int main(int argc, char **argv) {
  const struct vendor_under_test vendor = {.paths = paths,
                                           .count = sizeof paths / sizeof paths[0],
                                           .out_of_memory = MUSA_ERROR_OUT_OF_MEMORY,
                                           .refused = 999,
                                           .info = info};
  if (argc > 1) {
    return schedules_of_paths(&vendor, argc, argv);
  }
  paths_check(&vendor);
  races_check(&vendor);
  RUN(errors_are_the_drivers);
  return 0;
}
