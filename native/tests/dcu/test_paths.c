/* Every way to get memory from HIP, and its lookup by name. Run inside a share of 1000 MiB. */
#include "dcu/api.h"
#include "fake/card/card.h"
#include "tests/interpose/paths.h"

static const hipMemAllocationProp on_device = {.location = {.type = hipMemLocationTypeDevice, .id = 0}};

static int get_plain(uint64_t bytes, struct held *held) { return hipMalloc(&held->pointer, bytes); }
static int put_plain(struct held *held) { return hipFree(held->pointer); }

/* Calls hipMalloc inside the runtime: one charge, not two. */
static int get_flagged(uint64_t bytes, struct held *held) { return hipExtMallocWithFlags(&held->pointer, bytes, 0); }
static int get_managed(uint64_t bytes, struct held *held) { return hipMallocManaged(&held->pointer, bytes, 1); }

static int get_pitched(uint64_t bytes, struct held *held) {
  size_t pitch = 0;
  return hipMallocPitch(&held->pointer, &pitch, 1000, bytes / 1024 + 1);
}

static int get_volume(uint64_t bytes, struct held *held) {
  hipPitchedPtr pitched = {0};
  hipError_t result = hipMalloc3D(&pitched, (hipExtent){.width = 1024, .height = 1024, .depth = bytes / MIB});
  held->pointer = pitched.ptr;
  return result;
}

static int get_array(uint64_t bytes, struct held *held) {
  const hipChannelFormatDesc desc = {.x = 32, .y = 32, .z = 32, .w = 32};
  return hipMallocArray((hipArray_t *)&held->pointer, &desc, 1024, bytes / (16 * 1024), 0);
}
static int put_array(struct held *held) { return hipFreeArray(held->pointer); }

static int get_async(uint64_t bytes, struct held *held) { return hipMallocAsync(&held->pointer, bytes, NULL); }
static int put_async(struct held *held) { return hipFreeAsync(held->pointer, NULL); }

static int get_by_name(uint64_t bytes, struct held *held) {
  void *function = NULL;
  int status = -1;
  CHECK_EQUAL(hipSuccess, hipGetProcAddress("hipMalloc", &function, 50200, 0, &status));
  CHECK_EQUAL(0, status);
  return ((hipError_t (*)(void **, size_t))(uintptr_t)function)(&held->pointer, bytes);
}

static int get_physical(uint64_t bytes, struct held *held) {
  return hipMemCreate((hipMemGenericAllocationHandle_t *)&held->pointer, bytes, &on_device, 0);
}
static int put_physical(struct held *held) { return hipMemRelease(held->pointer); }

static int get_mapped(uint64_t bytes, struct held *held) {
  hipMemGenericAllocationHandle_t handle = NULL;
  hipError_t result = hipMemCreate(&handle, bytes, &on_device, 0);
  if (result == hipSuccess) {
    *held = (struct held){.pointer = (void *)(uintptr_t)paths_fresh_address(), .bytes = bytes};
    CHECK_EQUAL(hipSuccess, hipMemMap(held->pointer, bytes, 0, handle, 0));
    CHECK_EQUAL(hipSuccess, hipMemRelease(handle));
    CHECK_EQUAL(hipSuccess, hipMemRetainAllocationHandle(&handle, held->pointer));
    CHECK_EQUAL(hipSuccess, hipMemRelease(handle));
  }
  return result;
}
static int put_mapped(struct held *held) { return hipMemUnmap(held->pointer, held->bytes); }

static const struct path paths[] = {
    {"hipMalloc", get_plain, put_plain},
    {"hipMalloc, hipFreeAsync", get_plain, put_async},
    {"hipExtMallocWithFlags", get_flagged, put_plain},
    {"hipMallocManaged", get_managed, put_plain},
    {"hipMallocPitch", get_pitched, put_plain},
    {"hipMalloc3D", get_volume, put_plain},
    {"hipMallocArray", get_array, put_array},
    {"hipMallocAsync", get_async, put_async},
    {"hipGetProcAddress", get_by_name, put_plain},
    {"hipMemCreate", get_physical, put_physical},
    {"hipMemCreate, mapped", get_mapped, put_mapped},
};

static void info(uint64_t *free_bytes, uint64_t *total_bytes) {
  uint64_t device_total = 0;
  CHECK_EQUAL(hipSuccess, hipMemGetInfo(free_bytes, total_bytes));
  CHECK_EQUAL(hipSuccess, hipDeviceTotalMem(&device_total, 0));
  CHECK_EQUAL(device_total, *total_bytes);
}

static void host_memory_is_not_the_shares(void) {
  const hipMemAllocationProp on_host = {.location = {.type = 2, .id = 0}};
  hipMemGenericAllocationHandle_t handle = NULL;
  CHECK_EQUAL(hipSuccess, hipMemCreate(&handle, 1200 * MIB, &on_host, 0));
  CHECK_EQUAL(hipSuccess, hipMemRelease(handle));
}

/* Room for either layout; the memory field is where its release has it. */
static size_t shown_by(hipError_t (*get)(void *, int), size_t offset) {
  char properties[2048];
  size_t bytes = 0;
  memset(properties, 0x77, sizeof properties);
  CHECK_EQUAL(hipSuccess, get(properties, 0));
  memcpy(&bytes, properties + offset, sizeof bytes);
  for (size_t i = offset + sizeof bytes; i < sizeof properties; i++) {
    CHECK_EQUAL(0x77, properties[i]);
  }
  return bytes;
}

static void properties_show_the_share_in_either_layout(void) {
  void *function = NULL;
  int status = 1;
  CHECK_EQUAL(SHARE_BYTES, shown_by(hipGetDeviceProperties, 256));
  CHECK_EQUAL(SHARE_BYTES, shown_by(hipGetDevicePropertiesR0000, 256));
  CHECK_EQUAL(SHARE_BYTES, shown_by(hipGetDevicePropertiesR0600, 288));
  CHECK_EQUAL(1, hipGetDeviceProperties(NULL, 0));
  /* The newer function by the older one's name. */
  CHECK_EQUAL(hipSuccess, hipGetProcAddress("hipGetDeviceProperties", &function, 60000, 0, &status));
  CHECK_EQUAL(SHARE_BYTES, shown_by((hipError_t (*)(void *, int))(uintptr_t)function, 288));
}

static void errors_are_the_drivers(void) {
  void *function = (void *)0x1;
  int status = -1;
  CHECK_EQUAL(1, hipFree((void *)0x1234));
  CHECK_EQUAL(1, hipMalloc(NULL, 8 * CARD_BYTES));
  CHECK_EQUAL(1, hipMalloc3D(NULL, (hipExtent){.width = 1, .height = 1, .depth = 1}));
  CHECK_EQUAL(hipSuccess, hipMemGetInfo(NULL, NULL));
  CHECK_EQUAL(1, hipGetProcAddress("hipNoSuchFunction", &function, 50200, 0, &status));
  CHECK_EQUAL(1, status);
  CHECK(function == NULL);
}

int main(int argc, char **argv) {
  const struct vendor_under_test vendor = {.paths = paths,
                                           .count = sizeof paths / sizeof paths[0],
                                           .out_of_memory = hipErrorOutOfMemory,
                                           .refused = 999,
                                           .info = info};
  if (argc > 1) {
    return schedules_of_paths(&vendor, argc, argv);
  }
  paths_check(&vendor);
  races_check(&vendor);
  RUN(host_memory_is_not_the_shares);
  RUN(properties_show_the_share_in_either_layout);
  RUN(errors_are_the_drivers);
  return 0;
}
