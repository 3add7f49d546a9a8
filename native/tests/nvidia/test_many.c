/*
 * Several processes in one share of 1000 MiB: together they never get more than it, what fits is not refused, a killed
 * one's memory is there again for the others, and children of fork start with nothing.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share.h"

#define PROCESSES 6

struct board {
  uint32_t arrived[8];
  uint32_t granted;
  uint32_t released;
};

static struct board *board;

static void wait_for(const uint32_t *counter, uint32_t value) {
  while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < value) {
    sched_yield();
  }
}

static void meet(int place, uint32_t count) {
  (void)__atomic_add_fetch(&board->arrived[place], 1, __ATOMIC_ACQ_REL);
  wait_for(&board->arrived[place], count);
}

static pid_t start(void (*run)(void)) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    run();
    _exit(0);
  }
  return pid;
}

static void expect_exit(pid_t pid) {
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQUAL(0, status);
}

/* For memory that only one of them can have, 50 times. */
static void race(void) {
  nvmlDevice_t device;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(0, &device));
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  for (uint32_t round = 1; round <= 50; round++) {
    CUmemGenericAllocationHandle handle;
    meet(0, round * PROCESSES);
    /* Physical memory needs no context: nothing else is counted. */
    CUresult result = cuMemCreate(&handle, 600 * MIB, &props, 0);
    CHECK(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
    if (result == CUDA_SUCCESS) {
      (void)__atomic_add_fetch(&board->granted, 1, __ATOMIC_ACQ_REL);
    }
    meet(1, round * PROCESSES);
    CHECK_EQUAL(round, __atomic_load_n(&board->granted, __ATOMIC_ACQUIRE)); /* exactly one each round */
    meet(2, round * PROCESSES);
    if (result == CUDA_SUCCESS) {
      CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
    }
  }
}

static void of_racing_processes_exactly_one_gets_what_fits_once(void) {
  pid_t pids[PROCESSES];
  for (int i = 0; i < PROCESSES; i++) {
    pids[i] = start(race);
  }
  for (int i = 0; i < PROCESSES; i++) {
    expect_exit(pids[i]);
  }
}

static void hold_until_killed(void) {
  CUdeviceptr pointer;
  (void)share_open();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 600 * MIB));
  (void)__atomic_add_fetch(&board->arrived[3], 1, __ATOMIC_ACQ_REL);
  for (;;) {
    pause();
  }
}

static void a_killed_process_gives_its_memory_back(void) {
  pid_t pid = start(hold_until_killed);
  wait_for(&board->arrived[3], 1);
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemGenericAllocationHandle handle;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemCreate(&handle, 600 * MIB, &props, 0));
  CHECK(kill(pid, SIGKILL) == 0);
  CHECK(waitpid(pid, NULL, 0) == pid);
  CHECK_EQUAL(CUDA_SUCCESS, cuMemCreate(&handle, 600 * MIB, &props, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
}

static void a_stopped_process_blocks_nobody(void) {
  board->arrived[3] = 0;
  pid_t pid = start(hold_until_killed);
  wait_for(&board->arrived[3], 1);
  CHECK(kill(pid, SIGSTOP) == 0);
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemGenericAllocationHandle handle;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemCreate(&handle, 600 * MIB, &props, 0)); /* its memory is still its own */
  CHECK_EQUAL(CUDA_SUCCESS, cuMemCreate(&handle, 100 * MIB, &props, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(handle));
  CHECK(kill(pid, SIGKILL) == 0);
  CHECK(waitpid(pid, NULL, 0) == pid);
}

static CUmemGenericAllocationHandle parents;

static void free_what_the_parent_has(void) {
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  uint64_t before = share_used();
  CHECK(before >= 300 * MIB);
  /* Whatever the driver answers in a child, the parent's charge is not the child's to give back. */
  (void)cuMemRelease(parents);
  CHECK_EQUAL(before, share_used());
}

static void a_child_starts_with_nothing_and_leaves_the_parents_books_alone(void) {
  CUmemAllocationProp props = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  /* Asked before the driver is ready, it refuses; that must not be taken for a device without a share. */
  CHECK_EQUAL(CUDA_ERROR_NOT_INITIALIZED, cuMemCreate(&parents, 300 * MIB, &props, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemCreate(&parents, 300 * MIB, &props, 0));
  uint64_t before = share_used();
  expect_exit(start(free_what_the_parent_has));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemRelease(parents));
  CHECK_EQUAL(before - 300 * MIB, share_used());
}

/* Each test in a process of its own: the driver serves no child of a process that has initialised it. */
#define RUN_ALONE(test)                                                                                                \
  do {                                                                                                                 \
    printf("%s\n", #test);                                                                                             \
    fflush(stdout);                                                                                                    \
    expect_exit(start(test));                                                                                          \
  } while (0)

int main(void) {
  board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(board != MAP_FAILED);
  RUN_ALONE(of_racing_processes_exactly_one_gets_what_fits_once);
  RUN_ALONE(a_killed_process_gives_its_memory_back);
  RUN_ALONE(a_stopped_process_blocks_nobody);
  RUN_ALONE(a_child_starts_with_nothing_and_leaves_the_parents_books_alone);
  return 0;
}
