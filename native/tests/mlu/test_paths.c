/* Every way to get memory from Cambricon's driver and runtime. Run inside a share of 1000 MiB. */
#include "fake/card/card.h"
#include "mlu/api.h"
#include "tests/interpose/paths.h"

cnrtRet_t cnrtFakeWorkspace(void **pPtr, size_t bytes);

static int get_plain(uint64_t bytes, struct held *held) { return cnMalloc(&held->number, bytes); }
static int get_zeroed(uint64_t bytes, struct held *held) { return cnZmalloc(&held->number, bytes); }
static int get_on_node(uint64_t bytes, struct held *held) { return cnMallocNode(&held->number, bytes, 0); }
static int put_plain(struct held *held) { return cnFree(held->number); }

static int get_async(uint64_t bytes, struct held *held) { return cnMemAllocAsync(&held->number, bytes, NULL); }
static int put_async(struct held *held) { return cnMemFreeAsync(held->number, NULL); }

static int get_runtime(uint64_t bytes, struct held *held) { return cnrtMalloc(&held->pointer, bytes); }
static int put_runtime(struct held *held) { return cnrtFree(held->pointer); }

/* The runtime calls itself, and the driver by its table: only the table's answer leads here. */
static int get_inside(uint64_t bytes, struct held *held) { return cnrtFakeWorkspace(&held->pointer, bytes); }

static int get_by_table(uint64_t bytes, struct held *held) {
  const void *function = NULL;
  CHECK_EQUAL(CN_SUCCESS, cnGetExportFunction("cnMalloc", &function));
  return ((CNresult (*)(CNaddr *, cn_uint64_t))(uintptr_t)function)(&held->number, bytes);
}

static int get_physical(uint64_t bytes, struct held *held) { return cnMemCreate(&held->number, bytes, NULL, 0); }
static int put_physical(struct held *held) { return cnMemRelease(held->number); }

static int get_mapped(uint64_t bytes, struct held *held) {
  CNmemGenericAllocationHandle handle = 0;
  CNresult result = cnMemCreate(&handle, bytes, NULL, 0);
  if (result == CN_SUCCESS) {
    *held = (struct held){.number = paths_fresh_address(), .bytes = bytes};
    CHECK_EQUAL(CN_SUCCESS, cnMemMap(held->number, bytes, 0, handle, 0));
    CHECK_EQUAL(CN_SUCCESS, cnMemRelease(handle));
  }
  return result;
}
static int put_mapped(struct held *held) { return cnMemUnmap(held->number, held->bytes); }

static const struct path paths[] = {
    {"cnMalloc", get_plain, put_plain},
    {"cnZmalloc", get_zeroed, put_plain},
    {"cnMallocNode", get_on_node, put_plain},
    {"cnMemAllocAsync", get_async, put_async},
    {"cnrtMalloc", get_runtime, put_runtime},
    {"an allocation inside the runtime", get_inside, put_runtime},
    {"cnGetExportFunction", get_by_table, put_plain},
    {"cnMemCreate", get_physical, put_physical},
    {"cnMemCreate, mapped", get_mapped, put_mapped},
};

static void info(uint64_t *free_bytes, uint64_t *total_bytes) {
  uint64_t runtime_free = 0;
  uint64_t runtime_total = 0;
  CHECK_EQUAL(CN_SUCCESS, cnMemGetInfo(free_bytes, total_bytes));
  CHECK_EQUAL(CN_SUCCESS, cnrtMemGetInfo(&runtime_free, &runtime_total));
  CHECK_EQUAL(runtime_free, *free_bytes);
  CHECK_EQUAL(runtime_total, *total_bytes);
}

static void errors_are_the_drivers(void) {
  const void *function = NULL;
  CHECK_EQUAL(100003, cnFree(0x1234));
  CHECK_EQUAL(100003, cnrtFree((void *)0x1234));
  CHECK_EQUAL(100003, cnMalloc(NULL, 8 * CARD_BYTES));
  CHECK_EQUAL(100003, cnMemGetInfo(NULL, NULL));
  CHECK_EQUAL(100003, cnGetExportFunction("cnNoSuchFunction", &function));
  CHECK(function == NULL);
  CHECK_EQUAL(100003, cnInvokeKernel(NULL, 1, 1, 1, 4, 0, NULL, NULL, NULL));
}

int main(int argc, char **argv) {
  const struct vendor_under_test vendor = {.paths = paths,
                                           .count = sizeof paths / sizeof paths[0],
                                           .out_of_memory = CN_MEMORY_ERROR_OUT_OF_MEMORY,
                                           .refused = 100101,
                                           .info = info};
  if (argc > 1) {
    return schedules_of_paths(&vendor, argc, argv);
  }
  paths_check(&vendor);
  races_check(&vendor);
  RUN(errors_are_the_drivers);
  return 0;
}
