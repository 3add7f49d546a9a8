/* The recorder's functions for streams, events, work, graphs and questions; and which functions are recorded at all. */
#include "record_calls.h"

static void write_stream(CUresult code, const CUstream *stream) {
  if (code == CUDA_SUCCESS) {
    record_line(code, "stream %u", NEW(STREAM, *stream, 0));
  }
}

RECORDED(cuStreamCreate, (CUstream * phStream, unsigned int Flags), (phStream, Flags)) {
  (void)Flags;
  write_stream(code, phStream);
}

RECORDED(cuStreamCreateWithPriority, (CUstream * phStream, unsigned int flags, int priority),
         (phStream, flags, priority)) {
  (void)flags;
  (void)priority;
  write_stream(code, phStream);
}

RECORDED(cuStreamDestroy_v2, (CUstream hStream), (hStream)) {
  if (NUMBER(STREAM, hStream) != RECORD_UNKNOWN) {
    record_line(code, "unstream %u", NUMBER(STREAM, hStream));
    GONE(STREAM, hStream);
  }
}

RECORDED(cuStreamSynchronize, (CUstream hStream), (hStream)) { record_line(code, "sync %u", NUMBER(STREAM, hStream)); }

RECORDED(cuEventCreate, (CUevent * phEvent, unsigned int Flags), (phEvent, Flags)) {
  (void)Flags;
  if (code == CUDA_SUCCESS) {
    record_line(code, "event %u", NEW(EVENT, *phEvent, 0));
  }
}

RECORDED(cuEventDestroy_v2, (CUevent hEvent), (hEvent)) {
  if (NUMBER(EVENT, hEvent) != RECORD_UNKNOWN) {
    record_line(code, "unevent %u", NUMBER(EVENT, hEvent));
    GONE(EVENT, hEvent);
  }
}

RECORDED(cuEventRecord, (CUevent hEvent, CUstream hStream), (hEvent, hStream)) {
  record_line(code, "record %u %u", NUMBER(EVENT, hEvent), NUMBER(STREAM, hStream));
}

RECORDED(cuEventRecordWithFlags, (CUevent hEvent, CUstream hStream, unsigned int flags), (hEvent, hStream, flags)) {
  (void)flags;
  record_line(code, "record %u %u", NUMBER(EVENT, hEvent), NUMBER(STREAM, hStream));
}

RECORDED(cuStreamWaitEvent, (CUstream hStream, CUevent hEvent, unsigned int Flags), (hStream, hEvent, Flags)) {
  (void)Flags;
  record_line(code, "wait %u %u", NUMBER(STREAM, hStream), NUMBER(EVENT, hEvent));
}

RECORDED(cuEventSynchronize, (CUevent hEvent), (hEvent)) { record_line(code, "syncevent %u", NUMBER(EVENT, hEvent)); }

static CUresult count_launch(CUresult code, CUstream stream) {
  record_begin();
  record_launch(code, NUMBER(STREAM, stream));
  record_end();
  return code;
}

CUresult cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                        unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
                        unsigned int sharedMemBytes, CUstream hStream, void **kernelParams, void **extra) {
  __typeof__(&cuLaunchKernel) real = (__typeof__(&cuLaunchKernel))(uintptr_t)record_real("cuLaunchKernel");
  return count_launch(real(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream,
                           kernelParams, extra),
                      hStream);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams, void **extra) {
  __typeof__(&cuLaunchKernelEx) real = (__typeof__(&cuLaunchKernelEx))(uintptr_t)record_real("cuLaunchKernelEx");
  return count_launch(real(config, f, kernelParams, extra), config == NULL ? NULL : config->hStream);
}

RECORDED(cuMemsetD8Async, (CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream),
         (dstDevice, uc, N, hStream)) {
  struct record_place place;
  (void)uc;
  if (record_place(dstDevice, &place)) {
    record_line(code, "clear %s %zu %u", place.text, N, NUMBER(STREAM, hStream));
  }
}

RECORDED(cuMemcpyDtoDAsync_v2, (CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream),
         (dstDevice, srcDevice, ByteCount, hStream)) {
  struct record_place to;
  struct record_place from;
  if (record_place(dstDevice, &to) && record_place(srcDevice, &from)) {
    record_line(code, "copy %s %s %zu %u", to.text, from.text, ByteCount, NUMBER(STREAM, hStream));
  }
}

static void write_move(CUresult code, const char *word, CUdeviceptr pointer, size_t bytes) {
  struct record_place place;
  if (record_place(pointer, &place)) {
    record_line(code, "%s %s %zu", word, place.text, bytes);
  }
}

RECORDED(cuMemcpyHtoD_v2, (CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount),
         (dstDevice, srcHost, ByteCount)) {
  (void)srcHost;
  write_move(code, "put", dstDevice, ByteCount);
}

RECORDED(cuMemcpyDtoH_v2, (void *dstHost, CUdeviceptr srcDevice, size_t ByteCount), (dstHost, srcDevice, ByteCount)) {
  (void)dstHost;
  write_move(code, "get", srcDevice, ByteCount);
}

static void write_move_on(CUresult code, const char *word, CUdeviceptr pointer, size_t bytes, CUstream stream) {
  struct record_place place;
  if (record_place(pointer, &place)) {
    record_line(code, "%s %s %zu %u", word, place.text, bytes, NUMBER(STREAM, stream));
  }
}

RECORDED(cuMemcpyHtoDAsync_v2, (CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount, CUstream hStream),
         (dstDevice, srcHost, ByteCount, hStream)) {
  (void)srcHost;
  write_move_on(code, "putasync", dstDevice, ByteCount, hStream);
}

RECORDED(cuMemcpyDtoHAsync_v2, (void *dstHost, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream),
         (dstHost, srcDevice, ByteCount, hStream)) {
  (void)dstHost;
  write_move_on(code, "getasync", srcDevice, ByteCount, hStream);
}

RECORDED(cuStreamBeginCapture_v2, (CUstream hStream, CUstreamCaptureMode mode), (hStream, mode)) {
  (void)mode;
  record_line(code, "capture %u", NUMBER(STREAM, hStream));
}

RECORDED(cuStreamEndCapture, (CUstream hStream, CUgraph *phGraph), (hStream, phGraph)) {
  unsigned int number = code == CUDA_SUCCESS ? NEW(GRAPH, *phGraph, 0) : RECORD_NOTHING;
  record_line(code, "captured %u %u", number, NUMBER(STREAM, hStream));
}

RECORDED(cuGraphInstantiateWithFlags, (CUgraphExec * phGraphExec, CUgraph hGraph, unsigned long long flags),
         (phGraphExec, hGraph, flags)) {
  (void)flags;
  if (NUMBER(GRAPH, hGraph) != RECORD_UNKNOWN) {
    unsigned int number = code == CUDA_SUCCESS ? NEW(EXECUTABLE, *phGraphExec, 0) : RECORD_NOTHING;
    record_line(code, "build %u %u", number, NUMBER(GRAPH, hGraph));
  }
}

RECORDED(cuGraphDestroy, (CUgraph hGraph), (hGraph)) {
  if (NUMBER(GRAPH, hGraph) != RECORD_UNKNOWN) {
    record_line(code, "forget %u", NUMBER(GRAPH, hGraph));
    GONE(GRAPH, hGraph);
  }
}

RECORDED(cuGraphLaunch, (CUgraphExec hGraphExec, CUstream hStream), (hGraphExec, hStream)) {
  if (NUMBER(EXECUTABLE, hGraphExec) != RECORD_UNKNOWN) {
    record_line(code, "graph %u %u", NUMBER(EXECUTABLE, hGraphExec), NUMBER(STREAM, hStream));
  }
}

RECORDED(cuGraphExecDestroy, (CUgraphExec hGraphExec), (hGraphExec)) {
  if (NUMBER(EXECUTABLE, hGraphExec) != RECORD_UNKNOWN) {
    record_line(code, "ungraph %u", NUMBER(EXECUTABLE, hGraphExec));
    GONE(EXECUTABLE, hGraphExec);
  }
}

RECORDED(cuMemGetInfo_v2, (size_t *free, size_t *total), (free, total)) {
  (void)free;
  (void)total;
  record_line(code, "info");
}

RECORDED(cuMemGetAddressRange_v2, (CUdeviceptr * pbase, size_t *psize, CUdeviceptr dptr), (pbase, psize, dptr)) {
  struct record_place place;
  (void)pbase;
  (void)psize;
  if (record_place(dptr, &place)) {
    record_line(code, "range %s", place.text);
  }
}

RECORDED(cuPointerGetAttribute, (void *data, CUpointer_attribute attribute, CUdeviceptr ptr), (data, attribute, ptr)) {
  struct record_place place;
  (void)data;
  if (attribute == CU_POINTER_ATTRIBUTE_MEMORY_TYPE && record_place(ptr, &place)) {
    record_line(code, "kind %s", place.text);
  }
}

CUresult cuCtxSynchronize(void) {
  __typeof__(&cuCtxSynchronize) real = (__typeof__(&cuCtxSynchronize))(uintptr_t)record_real("cuCtxSynchronize");
  CUresult code = real();
  record_begin();
  record_line(code, "settle");
  record_end();
  return code;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int cudaVersion, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *symbolStatus) {
  __typeof__(&cuGetProcAddress_v2) real =
      (__typeof__(&cuGetProcAddress_v2))(uintptr_t)record_real("cuGetProcAddress_v2");
  CUresult code = real(symbol, pfn, cudaVersion, flags, symbolStatus);
  if (code == CUDA_SUCCESS) {
    *pfn = record_by_address(*pfn);
  }
  return code;
}

#define ROW(name) {#name, (void *)(uintptr_t)(name)}
const struct record_function record_functions[] = {
    ROW(cuMemAlloc_v2),
    ROW(cuMemAllocManaged),
    ROW(cuMemAllocPitch_v2),
    ROW(cuMemFree_v2),
    ROW(cuMemAllocAsync),
    ROW(cuMemAllocFromPoolAsync),
    ROW(cuMemFreeAsync),
    ROW(cuMemPoolCreate),
    ROW(cuMemPoolDestroy),
    ROW(cuMemPoolSetAttribute),
    ROW(cuMemPoolTrimTo),
    ROW(cuMemCreate),
    ROW(cuMemRelease),
    ROW(cuMemExportToShareableHandle),
    ROW(cuMemAddressReserve),
    ROW(cuMemAddressFree),
    ROW(cuMemMap),
    ROW(cuMemSetAccess),
    ROW(cuMemUnmap),
    ROW(cuIpcGetMemHandle),
    ROW(cuMemHostAlloc),
    ROW(cuMemFreeHost),
    ROW(cuStreamCreate),
    ROW(cuStreamCreateWithPriority),
    ROW(cuStreamDestroy_v2),
    ROW(cuStreamSynchronize),
    ROW(cuEventCreate),
    ROW(cuEventDestroy_v2),
    ROW(cuEventRecordWithFlags),
    ROW(cuEventRecord),
    ROW(cuStreamWaitEvent),
    ROW(cuEventSynchronize),
    ROW(cuLaunchKernel),
    ROW(cuLaunchKernelEx),
    ROW(cuMemsetD8Async),
    ROW(cuMemcpyDtoDAsync_v2),
    ROW(cuMemcpyHtoD_v2),
    ROW(cuMemcpyDtoH_v2),
    ROW(cuStreamBeginCapture_v2),
    ROW(cuMemcpyHtoDAsync_v2),
    ROW(cuMemcpyDtoHAsync_v2),
    ROW(cuStreamEndCapture),
    ROW(cuGraphInstantiateWithFlags),
    ROW(cuGraphDestroy),
    ROW(cuGraphLaunch),
    ROW(cuGraphExecDestroy),
    ROW(cuMemGetInfo_v2),
    ROW(cuMemGetAddressRange_v2),
    ROW(cuPointerGetAttribute),
    ROW(cuCtxSynchronize),
    ROW(cuGetProcAddress_v2),
};
const size_t record_function_count = sizeof record_functions / sizeof record_functions[0];
