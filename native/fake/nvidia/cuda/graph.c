#include "driver.h"

CUresult fake_capture_add(struct fake_stream *stream, const struct fake_work *work) {
  (void)stream;
  (void)work;
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult fake_capture_allocate(struct fake_stream *stream, size_t bytes, CUdeviceptr *pointer) {
  (void)stream;
  (void)bytes;
  (void)pointer;
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult fake_capture_free(struct fake_stream *stream, CUdeviceptr pointer) {
  (void)stream;
  (void)pointer;
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult fake_graph_run(struct fake_graph *graph, struct fake_stream *stream) {
  (void)stream;
  (void)graph;
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult fake_graph_block_commit(struct fake_block *block) {
  (void)block;
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult fake_graph_block_release(struct fake_block *block) {
  (void)block;
  return CUDA_ERROR_NOT_SUPPORTED;
}
