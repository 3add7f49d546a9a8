/*
 * Memory that the driver takes of its own accord is counted where it shows, in NVML's figures: code, at once and
 * lazily, local memory, heaps. It is never refused; the next allocation is. At rest what the share counts is what the
 * device holds. Run inside a share of 1000 MiB, alone. With "racing", NVML is slow, so that
 * much happens while it answers. With "deaf", NVML's process list fails from its third call on:
 * nothing changes then.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "share.h"

#define PATIENCE_MS 20000U

static CUcontext context;

static CUmodule load(const char *hints) {
  char ptx[256];
  CUmodule module;
  snprintf(ptx, sizeof ptx, ".version 8.0\n.target sm_80\n%s.visible .entry work() { ret; }\n", hints);
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleLoadData(&module, ptx));
  return module;
}

static CUfunction function_of(CUmodule module) {
  CUfunction function;
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleGetFunction(&function, module, "work"));
  return function;
}

/* What nobody announced is found within a while, at a question, so the question is repeated. */
static void expect_agreement(void) {
  for (unsigned int i = 0; i < PATIENCE_MS && share_used() != device_used(); i++) {
    (void)usleep(1000);
  }
  CHECK_EQUAL(device_used(), share_used());
}

static void code_is_counted_when_it_is_loaded_and_given_back_when_it_is_not(void) {
  uint64_t before = share_used();
  CUmodule module = load("// hami-fake: code-mib=30\n");
  CHECK_EQUAL(before + 30 * MIB, share_used());
  CHECK_EQUAL(device_used(), share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleUnload(module));
  CHECK_EQUAL(before, share_used());
}

static void a_library_is_counted_as_a_module_is(void) {
  const char ptx[] = ".version 8.0\n.target sm_80\n// hami-fake: code-mib=12\n.visible .entry work() { ret; }\n";
  uint64_t before = share_used();
  CUlibrary library;
  CHECK_EQUAL(CUDA_SUCCESS, cuLibraryLoadData(&library, ptx, NULL, NULL, 0, NULL, NULL, 0));
  CHECK_EQUAL(before + 12 * MIB, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuLibraryUnload(library));
  CHECK_EQUAL(before, share_used());
}

static void code_that_a_first_launch_loads_is_counted_soon_after(void) {
  uint64_t before = share_used();
  CUmodule module = load("// hami-fake: lazy-mib=20\n");
  CUfunction function = function_of(module);
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, share_launch(function, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(before + 20 * MIB, device_used());
  expect_agreement();
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleUnload(module));
  CHECK_EQUAL(before, share_used());
}

static void local_memory_stays_counted_as_long_as_the_driver_keeps_it(void) {
  uint64_t before = share_used();
  CUmodule module = load("// hami-fake: local-mib=64\n");
  CHECK_EQUAL(CUDA_SUCCESS, share_launch(function_of(module), NULL));
  expect_agreement();
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleUnload(module));
  CHECK_EQUAL(before + 64 * MIB, share_used());
  CHECK_EQUAL(before + 64 * MIB, device_used());
}

static void limits_of_the_context_are_counted_as_they_change(void) {
  size_t stack;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxGetLimit(&stack, CU_LIMIT_STACK_SIZE));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 108 * MIB));
  CHECK_EQUAL(before + 100 * MIB, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetLimit(CU_LIMIT_MALLOC_HEAP_SIZE, 8 * MIB));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 2 * stack));
  CHECK(share_used() > before);
  CHECK_EQUAL(device_used(), share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetLimit(CU_LIMIT_STACK_SIZE, stack));
  CHECK_EQUAL(before, share_used());
}

static void growth_past_the_share_is_not_refused_and_the_next_allocation_is(void) {
  CUdeviceptr pointer;
  CUdeviceptr pooled;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&pooled, 32 * MIB, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(pooled, NULL)); /* until the stream is synchronised the pool keeps it */
  CUmodule module = load("// hami-fake: code-mib=1100\n");
  CHECK_EQUAL(1000 * MIB, share_used());
  CHECK_EQUAL(0, share_free());
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&pointer, MIB));
  CHECK_EQUAL(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocAsync(&pooled, 100 * MIB, NULL));
  CHECK_EQUAL(before + 1132 * MIB, device_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAllocAsync(&pooled, 16 * MIB, NULL)); /* takes nothing more from the device */
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFreeAsync(pooled, NULL));
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleUnload(module));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, MIB));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
  CHECK_EQUAL(before, share_used());
}

static void what_a_context_took_ends_with_it(void) {
  CUcontext other;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxCreate_v2(&other, 0, 0));
  (void)load("// hami-fake: code-mib=40\n");
  CHECK_EQUAL(device_used(), share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxDestroy_v2(other));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
}

static void a_context_that_another_user_is_attached_to_does_not_end(void) {
  CUcontext other;
  CUcontext attached;
  CUdeviceptr pointer;
  uint64_t before = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxCreate_v2(&other, 0, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, 100 * MIB));
  uint64_t with = share_used();
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxAttach(&attached, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxDetach(attached));
  CHECK_EQUAL(with, share_used());
  CHECK(with >= before + 100 * MIB);
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxDetach(other));
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
}

struct worker {
  unsigned int seed;
  bool code;
};

#define ALLOCATORS 3U
#define ALLOCATION (200 * MIB)
#define MOST_CODE (4 * MIB)

static uint64_t at_rest;
static bool done;

/* What was announced is compared at once. Nothing may count twice, however the others' calls fall. */
static void ask(void) {
  size_t available;
  size_t total;
  CHECK_EQUAL(CUDA_SUCCESS, cuMemGetInfo_v2(&available, &total));
  CHECK(total - available <= at_rest + ALLOCATORS * ALLOCATION + MOST_CODE);
}

static void *allocate_and_load(void *argument) {
  struct worker *worker = argument;
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
  for (unsigned int i = 0; worker->code ? i < 150 : !__atomic_load_n(&done, __ATOMIC_ACQUIRE); i++) {
    if (worker->code) {
      CUmodule module =
          load(rand_r(&worker->seed) % 2 == 0 ? "// hami-fake: code-mib=2\n" : "// hami-fake: lazy-mib=4\n");
      ask();
      CHECK_EQUAL(CUDA_SUCCESS, share_launch(function_of(module), NULL));
      CHECK_EQUAL(CUDA_SUCCESS, cuModuleUnload(module));
      ask();
    } else {
      CUdeviceptr pointer;
      CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, ALLOCATION)); /* all of them fit, with the code */
      (void)sched_yield();
      CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointer));
    }
  }
  if (worker->code) {
    __atomic_store_n(&done, true, __ATOMIC_RELEASE);
  }
  return NULL;
}

static void racing_allocations_are_never_taken_for_growth(void) {
  pthread_t threads[ALLOCATORS + 1];
  struct worker workers[ALLOCATORS + 1];
  uint64_t before = share_used();
  at_rest = before;
  for (unsigned int i = 0; i <= ALLOCATORS; i++) {
    workers[i] = (struct worker){.seed = i + 1, .code = i == ALLOCATORS};
    CHECK(pthread_create(&threads[i], NULL, allocate_and_load, &workers[i]) == 0);
  }
  for (unsigned int i = 0; i <= ALLOCATORS; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  CHECK_EQUAL(before, device_used());
  expect_agreement();
}

static void the_last_context_takes_all_with_it(void) {
  (void)load("// hami-fake: code-mib=10\n");
  CHECK_EQUAL(device_used(), share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxReset_v2(0));
  CHECK_EQUAL(0, device_used());
  CHECK_EQUAL(0, share_used());
}

static void without_nvml_nothing_changes(void) {
  uint64_t before = share_used();
  CUmodule module = load("// hami-fake: code-mib=30\n");
  CHECK_EQUAL(before, share_used());
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleUnload(module));
  CHECK_EQUAL(before, share_used());
  a_context_that_another_user_is_attached_to_does_not_end();
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxReset_v2(0));
  CHECK_EQUAL(0, share_used());
}

/* With blocks of 2 MiB behind small allocations: what the driver takes more than it hands out is the process's. */
static void what_a_block_has_left_is_counted(void) {
  CUdeviceptr pointers[16];
  uint64_t before = share_used();
  for (unsigned int i = 0; i < 16; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointers[i], MIB));
  }
  CHECK_EQUAL(before + 32 * MIB, device_used());
  expect_agreement();
  for (unsigned int i = 0; i < 16; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, cuMemFree_v2(pointers[i]));
  }
  expect_agreement();
  CHECK_EQUAL(before, share_used());
}

int main(int count, char **arguments) {
  context = share_open();
  if (count > 1 && strcmp(arguments[1], "deaf") == 0) {
    without_nvml_nothing_changes();
    return 0;
  }
  if (count > 1 && strcmp(arguments[1], "racing") == 0) {
    racing_allocations_are_never_taken_for_growth();
    return 0;
  }
  if (count > 1 && strcmp(arguments[1], "blocks") == 0) {
    what_a_block_has_left_is_counted();
    return 0;
  }
  code_is_counted_when_it_is_loaded_and_given_back_when_it_is_not();
  a_library_is_counted_as_a_module_is();
  code_that_a_first_launch_loads_is_counted_soon_after();
  local_memory_stays_counted_as_long_as_the_driver_keeps_it();
  limits_of_the_context_are_counted_as_they_change();
  growth_past_the_share_is_not_refused_and_the_next_allocation_is();
  what_a_context_took_ends_with_it();
  a_context_that_another_user_is_attached_to_does_not_end();
  the_last_context_takes_all_with_it();
  return 0;
}
