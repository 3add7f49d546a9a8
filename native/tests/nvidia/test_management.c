/*
 * What hosts are told of NVML in the region. The argument is what the fault in the environment leads to: "answers",
 * "silent" from the start, "lost" while the program runs.
 */
#include <unistd.h>

#include "core/region.h"
#include "core/slots.h"
#include "share.h"

static struct hami_region region;

static void attach(void) {
  char path[512];
  (void)snprintf(path, sizeof path, "%s", getenv("HAMI_LIMITS_FILE"));
  strcpy(strrchr(path, '/'), "/region");
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&region, &hami_effects_system, path, 1));
}

static uint32_t told(void) {
  for (uint32_t slot = 0; slot < hami_slots_count(&region); slot++) {
    uint64_t owner = *hami_slot_owner(&region, slot);
    if (hami_owner_state(owner) == HAMI_REGION_OWNER_ACTIVE && hami_owner_pid(owner) == (uint32_t)getpid()) {
      return hami_slot_record(&region, slot)->management;
    }
  }
  return 0;
}

/* Launches, which is when the library looks, until the region says so. */
static void work_until(uint32_t state) {
  CUfunction kernel = share_kernel(1000);
  for (int tries = 0; told() != state; tries++) {
    CHECK(tries < 10000);
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, NULL));
    (void)usleep(1000);
  }
}

int main(int argc, char **argv) {
  CUcontext context;
  CHECK(argc == 2);
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&context, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
  attach();
  if (strcmp(argv[1], "silent") != 0) {
    work_until(HAMI_REGION_MANAGEMENT_ANSWERS);
  }
  if (strcmp(argv[1], "answers") != 0) {
    work_until(HAMI_REGION_MANAGEMENT_SILENT);
  }
  return 0;
}
