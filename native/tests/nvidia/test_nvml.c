/* NVML starts and ends as if the library did not use it itself. */
#include "share.h"

static void make_a_context(void) {
  CUcontext context;
  uint64_t before;
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxCreate_v2(&context, 0, 0)); /* whose size the library asks NVML for */
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  before = share_used();
  CHECK(before > 0);
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxDestroy_v2(context));
  CHECK(share_used() < before);
  CHECK_EQUAL(NVML_SUCCESS, nvmlShutdown());
}

static void check_down(void) {
  unsigned int count;
  CHECK_EQUAL(NVML_ERROR_UNINITIALIZED, nvmlDeviceGetCount_v2(&count));
  CHECK_EQUAL(NVML_ERROR_UNINITIALIZED, nvmlShutdown());
}

static void the_program_s_last_shutdown_is_the_end(void) {
  make_a_context();
  check_down();
  CHECK_EQUAL(NVML_SUCCESS, nvmlInitWithFlags(0));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit());
  CHECK_EQUAL(NVML_SUCCESS, nvmlShutdown());
  (void)share_used();
  CHECK_EQUAL(NVML_SUCCESS, nvmlShutdown());
  check_down();
}

static void the_library_starts_it_again_for_itself(void) {
  make_a_context();
  check_down();
  make_a_context();
  check_down();
}

static void a_shutdown_too_many_ends_nothing_of_the_library_s(void) {
  CUcontext context;
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxCreate_v2(&context, 0, 0));
  CHECK_EQUAL(NVML_ERROR_UNINITIALIZED, nvmlShutdown()); /* though the library has started it */
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxDestroy_v2(context));
  make_a_context();
}

int main(void) {
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  RUN(the_program_s_last_shutdown_is_the_end);
  RUN(the_library_starts_it_again_for_itself);
  RUN(a_shutdown_too_many_ends_nothing_of_the_library_s);
  return 0;
}
