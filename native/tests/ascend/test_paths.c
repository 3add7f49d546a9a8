/* Every way to get memory from libruntime, and what it says about the card. Run inside a share of 1000 MiB. */
#include "ascend/api.h"
#include "fake/card/card.h"
#include "tests/interpose/paths.h"

static int get_plain(uint64_t bytes, struct held *held) { return rtMalloc(&held->pointer, bytes, 0, 0); }
static int put_plain(struct held *held) { return rtFree(held->pointer); }
static int put_synchronously(struct held *held) { return rtFreeWithDevSync(held->pointer); }

static int get_cached(uint64_t bytes, struct held *held) { return rtMallocCached(&held->pointer, bytes, 0, 0); }

static int get_media(uint64_t bytes, struct held *held) { return rtDvppMalloc(&held->pointer, bytes, 0); }
static int put_media(struct held *held) { return rtDvppFree(held->pointer); }

static int get_managed(uint64_t bytes, struct held *held) { return rtMemAllocManaged(&held->pointer, bytes, 0, 0); }
static int put_managed(struct held *held) { return rtMemFreeManaged(held->pointer); }

static int get_inner(uint64_t bytes, struct held *held) { return rtMemAlloc(&held->pointer, bytes, 0, 0, NULL); }

/* Calls rtMemAlloc inside the runtime: one charge, not two. */
static int get_outer(uint64_t bytes, struct held *held) { return rtsMalloc(&held->pointer, bytes, 0, 0, NULL); }
static int put_outer(struct held *held) { return rtsFree(held->pointer); }

static int get_pool(uint64_t bytes, struct held *held) {
  return rtMemPoolMallocAsync(&held->pointer, bytes, NULL, NULL);
}
static int put_pool(struct held *held) { return rtMemPoolFreeAsync(held->pointer, NULL); }

static int get_physical(uint64_t bytes, struct held *held) {
  return rtMallocPhysical((rtDrvMemHandle *)&held->pointer, bytes, NULL, 0);
}
static int put_physical(struct held *held) { return rtFreePhysical(held->pointer); }

static int get_physical_newer(uint64_t bytes, struct held *held) {
  return rtsMemMallocPhysical((rtDrvMemHandle *)&held->pointer, bytes, 0, NULL);
}
static int put_physical_newer(struct held *held) { return rtsMemFreePhysical((rtDrvMemHandle *)&held->pointer); }

/* The handle goes before the mapping, which keeps the memory. */
static int get_mapped(uint64_t bytes, struct held *held) {
  rtDrvMemHandle handle = NULL;
  rtError_t result = rtMallocPhysical(&handle, bytes, NULL, 0);
  if (result == RT_ERROR_NONE) {
    *held = (struct held){.pointer = (void *)(uintptr_t)paths_fresh_address(), .bytes = bytes};
    CHECK_EQUAL(RT_ERROR_NONE, rtMapMem(held->pointer, bytes, 0, handle, 0));
    CHECK_EQUAL(RT_ERROR_NONE, rtFreePhysical(handle));
  }
  return result;
}
static int put_mapped(struct held *held) { return rtUnmapMem(held->pointer); }

static const struct path paths[] = {
    {"rtMalloc, rtFree", get_plain, put_plain},
    {"rtMalloc, rtFreeWithDevSync", get_plain, put_synchronously},
    {"rtMallocCached", get_cached, put_plain},
    {"rtDvppMalloc", get_media, put_media},
    {"rtMemAllocManaged", get_managed, put_managed},
    {"rtMemAlloc", get_inner, put_plain},
    {"rtsMalloc", get_outer, put_outer},
    {"rtMemPoolMallocAsync", get_pool, put_pool},
    {"rtMallocPhysical", get_physical, put_physical},
    {"rtsMemMallocPhysical", get_physical_newer, put_physical_newer},
    {"rtMallocPhysical, mapped", get_mapped, put_mapped},
};

static void info(uint64_t *free_bytes, uint64_t *total_bytes) {
  CHECK_EQUAL(RT_ERROR_NONE, rtMemGetInfo(free_bytes, total_bytes));
}

static void ddr_is_not_the_shares(void) {
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  CHECK_EQUAL(RT_ERROR_NONE, rtMemGetInfoEx(RT_MEMORYINFO_HBM, &free_bytes, &total_bytes));
  CHECK_EQUAL(SHARE_BYTES, total_bytes);
  CHECK_EQUAL(RT_ERROR_NONE, rtMemGetInfoEx(RT_MEMORYINFO_DDR, &free_bytes, &total_bytes));
  CHECK_EQUAL(CARD_BYTES, total_bytes);
  CHECK_EQUAL(RT_ERROR_NONE, rtMemGetInfoEx(RT_MEMORYINFO_DDR_NORMAL, &free_bytes, &total_bytes));
  CHECK_EQUAL(CARD_BYTES, total_bytes);
}

static void sizes_by_type_are_the_shares_and_other_answers_stay(void) {
  rtMemPhyInfo_t info = {0};
  CHECK_EQUAL(RT_ERROR_NONE, rtMemGetInfoByType(0, RT_MEM_INFO_TYPE_HBM_SIZE, &info));
  CHECK_EQUAL(SHARE_BYTES, info.total);
  CHECK_EQUAL(SHARE_BYTES, info.free);
  CHECK_EQUAL(SHARE_BYTES, info.hugeTotal);
  CHECK_EQUAL(MIB, info.hugeFree);
  CHECK_EQUAL(RT_ERROR_NONE, rtMemGetInfoByType(0, 1, &info)); /* DDR */
  CHECK_EQUAL(CARD_BYTES, info.total);
  uint32_t other[2] = {0, 88};
  CHECK_EQUAL(RT_ERROR_NONE, rtMemGetInfoByType(0, 6, (rtMemPhyInfo_t *)(void *)other));
  CHECK_EQUAL(77, other[0]);
  CHECK_EQUAL(88, other[1]);
  CHECK_EQUAL(107000, rtMemGetInfoByType(0, RT_MEM_INFO_TYPE_HBM_SIZE, NULL));
}

static void errors_are_the_drivers(void) {
  CHECK_EQUAL(107000, rtFree((void *)0x1234));
  CHECK_EQUAL(107000, rtMalloc(NULL, 8 * CARD_BYTES, 0, 0));
  CHECK_EQUAL(107000, rtMemGetInfo(NULL, NULL));
  CHECK_EQUAL(107000, rtsMemFreePhysical(NULL));
  CHECK_EQUAL(107000, rtKernelLaunch(NULL, 1, NULL, 0, NULL, NULL));
}

int main(int argc, char **argv) {
  const struct vendor_under_test vendor = {.paths = paths,
                                           .count = sizeof paths / sizeof paths[0],
                                           .out_of_memory = ACL_ERROR_RT_MEMORY_ALLOCATION,
                                           .refused = 207018,
                                           .info = info};
  if (argc > 1) {
    return schedules_of_paths(&vendor, argc, argv);
  }
  paths_check(&vendor);
  races_check(&vendor);
  RUN(ddr_is_not_the_shares);
  RUN(sizes_by_type_are_the_shares_and_other_answers_stay);
  RUN(errors_are_the_drivers);
  return 0;
}
