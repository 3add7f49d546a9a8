/*
 * More than the first table has room for. Without an argument: more processes than one segment's slots, in a share of
 * 1000 MiB. With one: so many devices of 1000 MiB each, over a region that was made for one.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/region.h"
#include "share.h"

#define PROCESSES 100U
#define PIECE (10 * MIB)

static uint32_t *arrived;

static CUresult create(CUmemGenericAllocationHandle *handle, int device, size_t bytes) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device}};
  return cuMemCreate(handle, bytes, &props, 0);
}

static void hold_a_piece(void) {
  CUmemGenericAllocationHandle handle;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(CUDA_SUCCESS, create(&handle, 0, PIECE));
  (void)__atomic_add_fetch(arrived, 1, __ATOMIC_ACQ_REL);
  (void)pause();
}

static void a_hundred_processes_share_one_limit(void) {
  pid_t children[PROCESSES];
  CUmemGenericAllocationHandle handle;
  for (uint32_t i = 0; i < PROCESSES; i++) {
    children[i] = fork();
    CHECK(children[i] >= 0);
    if (children[i] == 0) {
      hold_a_piece();
      _exit(1);
    }
  }
  while (__atomic_load_n(arrived, __ATOMIC_ACQUIRE) < PROCESSES) {
    CHECK(waitpid(-1, NULL, WNOHANG) == 0); /* one that was refused would have ended */
    (void)usleep(1000);
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  CHECK_EQUAL(1000 * MIB, share_used());
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&handle, 0, 2 * MIB));
  CHECK(kill(children[PROCESSES - 1], SIGKILL) == 0 && waitpid(children[PROCESSES - 1], NULL, 0) > 0);
  CHECK_EQUAL(CUDA_SUCCESS, create(&handle, 0, PIECE)); /* the last slot's charge is found, and gone */
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&handle, 0, 2 * MIB));
  for (uint32_t i = 0; i + 1 < PROCESSES; i++) {
    CHECK(kill(children[i], SIGKILL) == 0 && waitpid(children[i], NULL, 0) > 0);
  }
  for (int tries = 0; share_used() != PIECE; tries++) { /* the dead are looked for once a second */
    CHECK(tries < 10000);
    (void)usleep(1000);
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
}

/* As by a program that was given one card of the machine and has the region to itself no more. */
static void make_small_region(void) {
  static struct hami_region region;
  char path[512];
  (void)snprintf(path, sizeof path, "%s", getenv("HAMI_LIMITS_FILE"));
  strcpy(strrchr(path, '/'), "/region");
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&region, &hami_effects_system, path, 1));
  hami_region_detach(&region);
}

static void every_device_has_its_limit(int devices) {
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  for (int device = 0; device < devices; device++) {
    CUmemGenericAllocationHandle first;
    CUmemGenericAllocationHandle second;
    size_t total;
    CHECK_EQUAL(CUDA_SUCCESS, cuDeviceTotalMem_v2(&total, device));
    CHECK_EQUAL(1000 * MIB, total);
    CHECK_EQUAL(CUDA_SUCCESS, create(&first, device, 600 * MIB));
    CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, create(&second, device, 600 * MIB));
    CHECK_EQUAL(CUDA_SUCCESS, create(&second, device, 400 * MIB));
    CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(first));
    CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(second));
  }
}

int main(int argc, char **argv) {
  arrived = mmap(NULL, sizeof *arrived, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(arrived != MAP_FAILED);
  if (argc > 1) {
    make_small_region();
    every_device_has_its_limit(atoi(argv[1]));
  } else {
    a_hundred_processes_share_one_limit();
  }
  return 0;
}
