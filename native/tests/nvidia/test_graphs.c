/*
 * Graphs under a core limit of 10 percent: recording a launch costs nothing and leaves the capture whole; launching the
 * graph costs what its kernels take. And work whose length has nothing to do with its size never breaks the accounts.
 */
#include "share.h"

#define KERNELS 10
#define KERNEL_NS 2000000ULL

static CUgraphExec capture(CUstream stream) {
  CUgraph graph;
  CUgraphExec exec;
  CUfunction kernel = share_kernel(KERNEL_NS);
  uint64_t before_ns = hami_fake_busy_ns(0, 0);
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  for (int i = 0; i < KERNELS; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, stream));
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamEndCapture(stream, &graph));
  size_t nodes = 0;
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphGetNodes(graph, NULL, &nodes));
  CHECK_EQUAL(KERNELS, nodes); /* nothing of ours was recorded */
  CHECK_EQUAL(before_ns, hami_fake_busy_ns(0, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphInstantiateWithFlags(&exec, graph, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphDestroy(graph));
  return exec;
}

static void a_graph_costs_what_its_kernels_take(void) {
  CUstream stream;
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CUgraphExec exec = capture(stream);
  uint64_t begin_ns = hami_fake_now_ns();
  /* 20 ms of work each, of which a second allows 5. */
  for (int i = 0; i < 15; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, cuGraphLaunch(exec, stream));
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(stream));
  CHECK(hami_fake_now_ns() - begin_ns > 1500000000ULL);
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphExecDestroy(exec));
}

static void another_threads_capture_is_not_disturbed(void) {
  CUstream capturing;
  CUstream other;
  CUgraph graph;
  CUfunction kernel = share_kernel(1000);
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamCreate(&capturing, CU_STREAM_NON_BLOCKING));
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamBeginCapture_v2(capturing, CU_STREAM_CAPTURE_MODE_RELAXED));
  CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, capturing));
  for (int i = 0; i < 50; i++) { /* measured ones among them */
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, other));
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuStreamEndCapture(capturing, &graph));
  size_t nodes = 0;
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphGetNodes(graph, NULL, &nodes));
  CHECK_EQUAL(1, nodes);
  CHECK_EQUAL(CUDA_SUCCESS, cuGraphDestroy(graph));
}

static void wrong_launches_get_the_drivers_answer(void) {
  CUfunction kernel = share_kernel(1000);
  CHECK_EQUAL(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(kernel, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL));
  CHECK(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL) != CUDA_SUCCESS);
  CHECK(cuLaunchKernelEx(NULL, kernel, NULL, NULL) != CUDA_SUCCESS);
  CHECK(cuGraphLaunch(NULL, NULL) != CUDA_SUCCESS);
  /* A grid whose product does not fit in 32 bits. */
  CHECK_EQUAL(CUDA_SUCCESS, cuLaunchKernel(kernel, 2147483647U, 65535, 1, 1, 1, 1, 0, NULL, NULL, NULL));
  CUcontext context;
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxPopCurrent_v2(&context));
  CHECK(share_launch(kernel, NULL) != CUDA_SUCCESS); /* without a context */
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxPushCurrent_v2(context));
}

static void a_context_may_die_with_launches_unsettled(void) {
  CUcontext context;
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxCreate_v2(&context, 0, 0));
  CUfunction kernel = share_kernel(100000);
  for (int i = 0; i < 5; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, NULL));
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxDestroy_v2(context));
  kernel = share_kernel(1000);
  for (int i = 0; i < 50; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, NULL));
  }
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSynchronize());
}

int main(void) {
  (void)share_open();
  RUN(wrong_launches_get_the_drivers_answer);
  RUN(another_threads_capture_is_not_disturbed);
  RUN(a_context_may_die_with_launches_unsettled);
  RUN(a_graph_costs_what_its_kernels_take);
  return 0;
}
