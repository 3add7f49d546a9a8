/*
 * Which limit applies to which device. Usage: nvidia_test_devices [nvml_first] TOTAL_MIB...: the total memory that each
 * CUDA device must show, in CUDA's order; "card" for one outside the share. Every device is also filled to its limit.
 */
#include "share.h"

static void check_device(CUdevice ordinal, const char *expected) {
  CUcontext context;
  CUdeviceptr pointer;
  size_t total;
  CHECK_EQUAL(CUDA_SUCCESS, cuDeviceTotalMem_v2(&total, ordinal));
  if (strcmp(expected, "card") == 0) {
    CHECK(total > 10000 * MIB);
    return;
  }
  CHECK_EQUAL(strtoull(expected, NULL, 10) * MIB, total);
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxCreate_v2(&context, 0, ordinal));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&pointer, total + MIB));
  size_t available;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  CHECK(available > 0);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, available));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  CHECK_EQUAL(0, available);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxDestroy_v2(context));
}

/* NVML and CUDA number the devices each their own way and agree on what each is. */
static void check_same_by_uuid(CUdevice ordinal) {
  CUuuid bytes;
  nvmlDevice_t device;
  nvmlMemory_t memory;
  size_t total;
  char uuid[64];
  const unsigned char *b = (const unsigned char *)bytes.bytes;
  CHECK_EQUAL(CUDA_SUCCESS, cuDeviceGetUuid_v2(&bytes, ordinal));
  const char *const prefixes[] = {"GPU", "MIG"};
  for (size_t i = 0; i < 2; i++) {
    snprintf(uuid, sizeof uuid, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", prefixes[i],
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    if (nvmlDeviceGetHandleByUUID(uuid, &device) == NVML_SUCCESS) {
      CHECK_EQUAL(CUDA_SUCCESS, cuDeviceTotalMem_v2(&total, ordinal));
      CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetMemoryInfo(device, &memory));
      if (total < 10000 * MIB) { /* in the share: a card's own total and CUDA's differ by what the driver keeps */
        CHECK_EQUAL(total, memory.total);
      }
      return;
    }
  }
  CHECK(!"NVML knows the device");
}

int main(int argc, char **argv) {
  int count;
  int first = 1;
  if (argc > 1 && strcmp(argv[1], "nvml_first") == 0) {
    first = 2;
    CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
    (void)share_total();
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(CUDA_SUCCESS, cuDeviceGetCount(&count));
  CHECK_EQUAL(argc - first, count);
  for (CUdevice ordinal = 0; ordinal < count; ordinal++) {
    check_device(ordinal, argv[first + ordinal]);
  }
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  for (CUdevice ordinal = 0; ordinal < count; ordinal++) {
    check_same_by_uuid(ordinal);
  }
  return 0;
}
