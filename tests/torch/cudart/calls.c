/* Memory, streams, events and graphs: nearly all of it one call of the driver's. */
#include "cudart.h"

#define POINTER(pointer) ((CUdeviceptr)(uintptr_t)(pointer))

/* ---- memory --------------------------------------------------------------------------------------------------- */

EXPORT cudaError_t cudaMalloc(void **pointer, size_t bytes) {
  CUresult result = rt_ready();
  *pointer = NULL;
  if (result != CUDA_SUCCESS || bytes == 0) {
    return rt_answer(result);
  }
  return rt_answer(DRIVER(cuMemAlloc_v2)((CUdeviceptr *)pointer, bytes));
}

PASS(cudaFree, (void *pointer), pointer == NULL ? CUDA_SUCCESS : DRIVER(cuMemFree_v2)(POINTER(pointer)))
PASS(cudaMallocManaged, (void **pointer, size_t bytes, unsigned int flags),
     DRIVER(cuMemAllocManaged)((CUdeviceptr *)pointer, bytes, flags))
PASS(cudaMallocHost, (void **pointer, size_t bytes), DRIVER(cuMemHostAlloc)(pointer, bytes, 0))
PASS(cudaHostAlloc, (void **pointer, size_t bytes, unsigned int flags), DRIVER(cuMemHostAlloc)(pointer, bytes, flags))
PASS(cudaFreeHost, (void *pointer), DRIVER(cuMemFreeHost)(pointer))
PASS(cudaHostRegister, (void *pointer, size_t bytes, unsigned int flags),
     DRIVER(cuMemHostRegister_v2)(pointer, bytes, flags))
PASS(cudaHostUnregister, (void *pointer), DRIVER(cuMemHostUnregister)(pointer))
PASS(cudaMemGetInfo, (size_t *available, size_t *total), DRIVER(cuMemGetInfo_v2)(available, total))
PASS(cudaMallocAsync, (void **pointer, size_t bytes, cudaStream_t stream),
     DRIVER(cuMemAllocAsync)((CUdeviceptr *)pointer, bytes, stream))
PASS(cudaFreeAsync, (void *pointer, cudaStream_t stream), DRIVER(cuMemFreeAsync)(POINTER(pointer), stream))
PASS(cudaDeviceGetDefaultMemPool, (cudaMemPool_t * pool, int ordinal), DRIVER(cuDeviceGetDefaultMemPool)(pool, ordinal))
PASS(cudaMemPoolTrimTo, (cudaMemPool_t pool, size_t bytes), DRIVER(cuMemPoolTrimTo)(pool, bytes))
PASS(cudaMemPoolSetAttribute, (cudaMemPool_t pool, enum cudaMemPoolAttr which, void *value),
     DRIVER(cuMemPoolSetAttribute)(pool, (CUmemPool_attribute)which, value))
PASS(cudaMemPoolGetAttribute, (cudaMemPool_t pool, enum cudaMemPoolAttr which, void *value),
     DRIVER(cuMemPoolGetAttribute)(pool, (CUmemPool_attribute)which, value))
PASS(cudaMemPoolSetAccess, (cudaMemPool_t pool, const struct cudaMemAccessDesc *who, size_t count),
     DRIVER(cuMemPoolSetAccess)(pool, (const CUmemAccessDesc *)who, count))
PASS(cudaDeviceGetGraphMemAttribute, (int ordinal, enum cudaGraphMemAttributeType which, void *value),
     DRIVER(cuDeviceGetGraphMemAttribute)(ordinal, (CUgraphMem_attribute)which, value))
PASS(cudaDeviceSetGraphMemAttribute, (int ordinal, enum cudaGraphMemAttributeType which, void *value),
     DRIVER(cuDeviceSetGraphMemAttribute)(ordinal, (CUgraphMem_attribute)which, value))
PASS(cudaIpcGetMemHandle, (cudaIpcMemHandle_t * handle, void *pointer),
     DRIVER(cuIpcGetMemHandle)((CUipcMemHandle *)handle, POINTER(pointer)))
PASS(cudaIpcOpenMemHandle, (void **pointer, cudaIpcMemHandle_t handle, unsigned int flags),
     DRIVER(cuIpcOpenMemHandle_v2)((CUdeviceptr *)pointer, *(CUipcMemHandle *)&handle, flags))
PASS(cudaIpcCloseMemHandle, (void *pointer), DRIVER(cuIpcCloseMemHandle)(POINTER(pointer)))

EXPORT cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *pointer) {
  unsigned int kind = 0;
  unsigned int managed = 0;
  CUresult result = rt_ready();
  *out = (struct cudaPointerAttributes){.type = cudaMemoryTypeUnregistered, .hostPointer = (void *)pointer};
  if (result != CUDA_SUCCESS) {
    return rt_answer(result);
  }
  if (DRIVER(cuPointerGetAttribute)(&kind, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, POINTER(pointer)) == CUDA_SUCCESS) {
    (void)DRIVER(cuPointerGetAttribute)(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, POINTER(pointer));
    (void)DRIVER(cuPointerGetAttribute)(&out->device, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, POINTER(pointer));
    out->type = managed                      ? cudaMemoryTypeManaged
                : kind == CU_MEMORYTYPE_HOST ? cudaMemoryTypeHost
                                             : cudaMemoryTypeDevice;
    out->devicePointer = (void *)pointer;
    out->hostPointer = kind == CU_MEMORYTYPE_HOST || managed ? (void *)pointer : NULL;
  }
  return cudaSuccess;
}

static CUresult copy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream) {
  CUresult result = rt_ready();
  if (result != CUDA_SUCCESS || bytes == 0) {
    return result;
  }
  switch (kind) {
  case cudaMemcpyHostToDevice:
    return DRIVER(cuMemcpyHtoDAsync_v2)(POINTER(to), from, bytes, stream);
  case cudaMemcpyDeviceToHost:
    return DRIVER(cuMemcpyDtoHAsync_v2)(to, POINTER(from), bytes, stream);
  case cudaMemcpyDeviceToDevice:
    return DRIVER(cuMemcpyDtoDAsync_v2)(POINTER(to), POINTER(from), bytes, stream);
  default:
    return DRIVER(cuMemcpyAsync)(POINTER(to), POINTER(from), bytes, stream);
  }
}

static CUresult waited(CUresult result) { return result == CUDA_SUCCESS ? DRIVER(cuStreamSynchronize)(NULL) : result; }

EXPORT cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                                   cudaStream_t stream) {
  return rt_answer(copy(to, from, bytes, kind, stream));
}

EXPORT cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
  return rt_answer(waited(copy(to, from, bytes, kind, NULL)));
}

EXPORT cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
                                       cudaStream_t stream) {
  (void)to_device;
  (void)from_device;
  return rt_answer(copy(to, from, bytes, cudaMemcpyDefault, stream));
}

PASS(cudaMemcpy2DAsync,
     (void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height,
      enum cudaMemcpyKind kind, cudaStream_t stream),
     DRIVER(cuMemcpy2DAsync_v2)(
         &(CUDA_MEMCPY2D){
             .srcMemoryType = kind == cudaMemcpyHostToDevice ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE,
             .srcHost = from,
             .srcDevice = POINTER(from),
             .srcPitch = from_pitch,
             .dstMemoryType = kind == cudaMemcpyDeviceToHost ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE,
             .dstHost = to,
             .dstDevice = POINTER(to),
             .dstPitch = to_pitch,
             .WidthInBytes = width,
             .Height = height,
         },
         stream))
PASS(cudaMemsetAsync, (void *pointer, int value, size_t bytes, cudaStream_t stream),
     DRIVER(cuMemsetD8Async)(POINTER(pointer), (unsigned char)value, bytes, stream))
PASS(cudaMemset, (void *pointer, int value, size_t bytes),
     waited(DRIVER(cuMemsetD8Async)(POINTER(pointer), (unsigned char)value, bytes, NULL)))

/* ---- streams and events --------------------------------------------------------------------------------------- */

PASS(cudaStreamCreate, (cudaStream_t * stream), DRIVER(cuStreamCreate)(stream, 0))
PASS(cudaStreamCreateWithFlags, (cudaStream_t * stream, unsigned int flags), DRIVER(cuStreamCreate)(stream, flags))
PASS(cudaStreamCreateWithPriority, (cudaStream_t * stream, unsigned int flags, int priority),
     DRIVER(cuStreamCreateWithPriority)(stream, flags, priority))
PASS(cudaStreamDestroy, (cudaStream_t stream), DRIVER(cuStreamDestroy_v2)(stream))
PASS(cudaStreamSynchronize, (cudaStream_t stream), DRIVER(cuStreamSynchronize)(stream))
PASS(cudaStreamQuery, (cudaStream_t stream), DRIVER(cuStreamQuery)(stream))
PASS(cudaStreamWaitEvent, (cudaStream_t stream, cudaEvent_t event, unsigned int flags),
     DRIVER(cuStreamWaitEvent)(stream, event, flags))
PASS(cudaStreamGetPriority, (cudaStream_t stream, int *priority), DRIVER(cuStreamGetPriority)(stream, priority))
PASS(cudaStreamAddCallback, (cudaStream_t stream, cudaStreamCallback_t callback, void *data, unsigned int flags),
     DRIVER(cuStreamAddCallback)(stream, (CUstreamCallback)(uintptr_t)callback, data, flags))
PASS(cudaLaunchHostFunc, (cudaStream_t stream, cudaHostFn_t function, void *data),
     DRIVER(cuLaunchHostFunc)(stream, function, data))
PASS(cudaEventCreate, (cudaEvent_t * event), DRIVER(cuEventCreate)(event, 0))
PASS(cudaEventCreateWithFlags, (cudaEvent_t * event, unsigned int flags), DRIVER(cuEventCreate)(event, flags))
PASS(cudaEventDestroy, (cudaEvent_t event), DRIVER(cuEventDestroy_v2)(event))
PASS(cudaEventRecord, (cudaEvent_t event, cudaStream_t stream), DRIVER(cuEventRecord)(event, stream))
PASS(cudaEventRecordWithFlags, (cudaEvent_t event, cudaStream_t stream, unsigned int flags),
     DRIVER(cuEventRecordWithFlags)(event, stream, flags))
PASS(cudaEventSynchronize, (cudaEvent_t event), DRIVER(cuEventSynchronize)(event))
PASS(cudaEventQuery, (cudaEvent_t event), DRIVER(cuEventQuery)(event))
PASS(cudaEventElapsedTime, (float *milliseconds, cudaEvent_t first, cudaEvent_t second),
     DRIVER(cuEventElapsedTime)(milliseconds, first, second))
/* The driver's double has no events for several processes. PyTorch records such an event before it asks for the handle,
 * so it may as well be over by then, and a fresh event, which counts as over, is as good in the other process. */
EXPORT cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t *handle, cudaEvent_t event) {
  *handle = (cudaIpcEventHandle_t){{0}};
  return cudaEventSynchronize(event);
}

EXPORT cudaError_t cudaIpcOpenEventHandle(cudaEvent_t *event, cudaIpcEventHandle_t handle) {
  (void)handle;
  return cudaEventCreate(event);
}

/* ---- captures and graphs -------------------------------------------------------------------------------------- */

PASS(cudaThreadExchangeStreamCaptureMode, (enum cudaStreamCaptureMode * mode),
     DRIVER(cuThreadExchangeStreamCaptureMode)((CUstreamCaptureMode *)mode))
PASS(cudaStreamBeginCapture, (cudaStream_t stream, enum cudaStreamCaptureMode mode),
     DRIVER(cuStreamBeginCapture_v2)(stream, (CUstreamCaptureMode)mode))
PASS(cudaStreamEndCapture, (cudaStream_t stream, cudaGraph_t *graph), DRIVER(cuStreamEndCapture)(stream, graph))
PASS(cudaStreamIsCapturing, (cudaStream_t stream, enum cudaStreamCaptureStatus *status),
     DRIVER(cuStreamIsCapturing)(stream, (CUstreamCaptureStatus *)status))
PASS(cudaStreamGetCaptureInfo,
     (cudaStream_t stream, enum cudaStreamCaptureStatus *status, unsigned long long *id, cudaGraph_t *graph,
      const cudaGraphNode_t **nodes, const cudaGraphEdgeData **edges, size_t *count),
     DRIVER(cuStreamGetCaptureInfo_v3)(stream, (CUstreamCaptureStatus *)status, (cuuint64_t *)id, graph, nodes,
                                       (const CUgraphEdgeData **)edges, count))
PASS(cudaGraphInstantiate, (cudaGraphExec_t * executable, cudaGraph_t graph, unsigned long long flags),
     DRIVER(cuGraphInstantiateWithFlags)(executable, graph, flags))
PASS(cudaGraphInstantiateWithFlags, (cudaGraphExec_t * executable, cudaGraph_t graph, unsigned long long flags),
     DRIVER(cuGraphInstantiateWithFlags)(executable, graph, flags))
PASS(cudaGraphLaunch, (cudaGraphExec_t executable, cudaStream_t stream), DRIVER(cuGraphLaunch)(executable, stream))
PASS(cudaGraphExecDestroy, (cudaGraphExec_t executable), DRIVER(cuGraphExecDestroy)(executable))
PASS(cudaGraphDestroy, (cudaGraph_t graph), DRIVER(cuGraphDestroy)(graph))
PASS(cudaGraphGetNodes, (cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count),
     DRIVER(cuGraphGetNodes)(graph, nodes, count))
PASS(cudaUserObjectRelease, (cudaUserObject_t object, unsigned int count), DRIVER(cuUserObjectRelease)(object, count))
PASS(cudaUserObjectCreate,
     (cudaUserObject_t * object, void *data, cudaHostFn_t destroy, unsigned int count, unsigned int flags),
     DRIVER(cuUserObjectCreate)(object, data, destroy, count, flags))
PASS(cudaGraphRetainUserObject, (cudaGraph_t graph, cudaUserObject_t object, unsigned int count, unsigned int flags),
     DRIVER(cuGraphRetainUserObject)(graph, object, count, flags))

REFUSED(cudaStreamBeginCaptureToGraph, (cudaStream_t stream, cudaGraph_t graph, const cudaGraphNode_t *nodes,
                                        const cudaGraphEdgeData *edges, size_t count, enum cudaStreamCaptureMode mode))
REFUSED(cudaStreamUpdateCaptureDependencies,
        (cudaStream_t stream, cudaGraphNode_t *nodes, const cudaGraphEdgeData *edges, size_t count, unsigned int flags))
REFUSED(cudaGraphNodeGetDependencies,
        (cudaGraphNode_t node, cudaGraphNode_t *nodes, cudaGraphEdgeData *edges, size_t *count))
REFUSED(cudaGraphAddNode, (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *nodes,
                           const cudaGraphEdgeData *edges, size_t count, struct cudaGraphNodeParams *params))
REFUSED(cudaGraphConditionalHandleCreate,
        (cudaGraphConditionalHandle * handle, cudaGraph_t graph, unsigned int value, unsigned int flags))
