/*
 * A pid that comes back: a slot that a process of this pid left behind, another one with its start time or a live
 * neighbour's, gives nothing to whoever has the pid now and takes nothing from it. Run inside a share of 1000 MiB.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "core/process.h"
#include "core/slots.h"
#include "share.h"

static struct hami_region region;

static CUresult create(CUmemGenericAllocationHandle *handle, size_t bytes) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  return cuMemCreate(handle, bytes, &props, 0);
}

/* The region as a process would have left it that had a pid before somebody else got it. */
static void leave_charge(uint32_t pid, uint64_t start_time, uint64_t bytes) {
  char path[512];
  struct hami_identity identity;
  uint32_t slot;
  uint64_t word;
  (void)snprintf(path, sizeof path, "%s", getenv("HAMI_LIMITS_FILE"));
  strcpy(strrchr(path, '/'), "/region");
  memset(&region, 0, sizeof region);
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&region, &hami_effects_system, path, 1));
  hami_identity_read(&hami_effects_system, &identity);
  identity.pid = pid;
  identity.start_time = start_time;
  CHECK(hami_slots_claim(&region, &identity, &slot, &word));
  *hami_slot_charged(&region, slot, 0) = bytes;
}

static uint64_t own_start_time(void) {
  struct hami_identity identity;
  hami_identity_read(&hami_effects_system, &identity);
  CHECK(identity.start_time != 0);
  return identity.start_time;
}

static void expect_all_of_the_share(void) {
  CUmemGenericAllocationHandle handle;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  CHECK_EQUAL(CUDA_SUCCESS, create(&handle, 1000 * MIB));
  CHECK_EQUAL(1000 * MIB, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
  CHECK_EQUAL(0, share_used()); /* nothing of what was found counts for or against */
}

static void an_earlier_process_of_this_pid_holds_nothing(void) {
  leave_charge((uint32_t)getpid(), own_start_time() - 1, 900 * MIB);
  expect_all_of_the_share();
}

static void an_earlier_program_of_this_very_process_holds_nothing(void) {
  leave_charge((uint32_t)getpid(), own_start_time(), 900 * MIB); /* as exec leaves it: the same pid, the same start */
  expect_all_of_the_share();
}

static void an_earlier_process_of_a_living_neighbours_pid_holds_nothing(void) {
  leave_charge((uint32_t)getppid(), 1, 900 * MIB);
  expect_all_of_the_share();
}

static void an_earlier_boots_process_of_a_dead_pid_holds_nothing(void) {
  pid_t child = fork();
  if (child == 0) {
    _exit(0);
  }
  CHECK(child > 0 && waitpid(child, NULL, 0) == child);
  leave_charge((uint32_t)child, 1, 900 * MIB);
  expect_all_of_the_share();
}

#define RUN_ALONE(test)                                                                                                \
  do {                                                                                                                 \
    int status;                                                                                                        \
    printf("%s\n", #test);                                                                                             \
    fflush(stdout);                                                                                                    \
    pid_t alone = fork();                                                                                              \
    if (alone == 0) {                                                                                                  \
      test();                                                                                                          \
      _exit(0);                                                                                                        \
    }                                                                                                                  \
    CHECK(waitpid(alone, &status, 0) == alone);                                                                        \
    CHECK_EQUAL(0, status);                                                                                            \
  } while (0)

int main(void) {
  RUN_ALONE(an_earlier_process_of_this_pid_holds_nothing);
  RUN_ALONE(an_earlier_program_of_this_very_process_holds_nothing);
  RUN_ALONE(an_earlier_process_of_a_living_neighbours_pid_holds_nothing);
  RUN_ALONE(an_earlier_boots_process_of_a_dead_pid_holds_nothing);
  return 0;
}
