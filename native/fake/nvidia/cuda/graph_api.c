/* Building graphs. */
#include <string.h>

#include "driver.h"

CUresult cuGraphCreate(CUgraph *out, unsigned flags) {
  FAKE_ENTER(cuGraphCreate);
  struct fake_graph *graph = NULL;
  if (out == NULL || flags != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  graph = fake_graph_new();
  *out = (CUgraph)graph;
  return graph == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

#define ENTER_GRAPH(name)                                                                                              \
  FAKE_ENTER(name);                                                                                                    \
  struct fake_graph *graph = (struct fake_graph *)handle;                                                              \
  if (!fake_object_is(graph, FAKE_GRAPH)) {                                                                            \
    return CUDA_ERROR_INVALID_VALUE;                                                                                   \
  }
#define ENTER_NODE(name)                                                                                               \
  FAKE_ENTER(name);                                                                                                    \
  struct fake_node *node = (struct fake_node *)handle;                                                                 \
  if (!fake_object_is(node, FAKE_NODE)) {                                                                              \
    return CUDA_ERROR_INVALID_VALUE;                                                                                   \
  }

CUresult cuGraphDestroy(CUgraph handle) {
  ENTER_GRAPH(cuGraphDestroy);
  fake_graph_delete(graph);
  return CUDA_SUCCESS;
}

CUresult cuGraphClone(CUgraph *out, CUgraph handle) {
  ENTER_GRAPH(cuGraphClone);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUgraph)fake_graph_clone(graph);
  return *out == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

static CUresult add(CUgraphNode *out, struct fake_graph *graph, const CUgraphNode *needs, size_t count,
                    const struct fake_work *work, CUgraphNodeType type) {
  struct fake_node *node = NULL;
  if (out == NULL || (needs == NULL && count > 0)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(fake_graph_add(graph, work, type, (struct fake_node *const *)needs, count, &node));
  *out = (CUgraphNode)node;
  return CUDA_SUCCESS;
}

static struct fake_work kernel_work(CUfunction function, const unsigned *grid, const unsigned *block, unsigned shared,
                                    void **parameters, void **extra) {
  struct fake_work work = {.kind = FAKE_WORK_KERNEL};
  work.as.kernel = (CUDA_KERNEL_NODE_PARAMS){.func = function,
                                             .gridDimX = grid[0],
                                             .gridDimY = grid[1],
                                             .gridDimZ = grid[2],
                                             .blockDimX = block[0],
                                             .blockDimY = block[1],
                                             .blockDimZ = block[2],
                                             .sharedMemBytes = shared,
                                             .kernelParams = parameters,
                                             .extra = extra};
  return work;
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                                 const CUDA_KERNEL_NODE_PARAMS *kernel) {
  ENTER_GRAPH(cuGraphAddKernelNode_v2);
  struct fake_work work = {.kind = FAKE_WORK_KERNEL};
  if (kernel == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work.as.kernel = *kernel;
  return add(out, graph, needs, count, &work, CU_GRAPH_NODE_TYPE_KERNEL);
}

CUresult cuGraphAddKernelNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                              const CUDA_KERNEL_NODE_PARAMS_v1 *kernel) {
  ENTER_GRAPH(cuGraphAddKernelNode);
  if (kernel == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const struct fake_work work =
      kernel_work(kernel->func, (const unsigned[]){kernel->gridDimX, kernel->gridDimY, kernel->gridDimZ},
                  (const unsigned[]){kernel->blockDimX, kernel->blockDimY, kernel->blockDimZ}, kernel->sharedMemBytes,
                  kernel->kernelParams, kernel->extra);
  return add(out, graph, needs, count, &work, CU_GRAPH_NODE_TYPE_KERNEL);
}

CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode handle, CUDA_KERNEL_NODE_PARAMS *out) {
  ENTER_NODE(cuGraphKernelNodeGetParams_v2);
  if (out == NULL || node->work.kind != FAKE_WORK_KERNEL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = node->work.as.kernel;
  return CUDA_SUCCESS;
}

CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode handle, const CUDA_KERNEL_NODE_PARAMS *kernel) {
  ENTER_NODE(cuGraphKernelNodeSetParams_v2);
  struct fake_work work = {.kind = FAKE_WORK_KERNEL};
  if (kernel == NULL || node->work.kind != FAKE_WORK_KERNEL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work.as.kernel = *kernel;
  return fake_node_set_work(node, &work);
}

CUresult cuGraphAddMemcpyNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                              const CUDA_MEMCPY3D *copy, CUcontext context) {
  ENTER_GRAPH(cuGraphAddMemcpyNode);
  struct fake_work work = {.kind = FAKE_WORK_COPY};
  (void)context;
  if (copy == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work.as.copy = *copy;
  return add(out, graph, needs, count, &work, CU_GRAPH_NODE_TYPE_MEMCPY);
}

CUresult cuGraphAddMemsetNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                              const CUDA_MEMSET_NODE_PARAMS *set, CUcontext context) {
  ENTER_GRAPH(cuGraphAddMemsetNode);
  struct fake_work work = {.kind = FAKE_WORK_SET};
  (void)context;
  if (set == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work.as.set = *set;
  return add(out, graph, needs, count, &work, CU_GRAPH_NODE_TYPE_MEMSET);
}

CUresult cuGraphAddHostNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                            const CUDA_HOST_NODE_PARAMS *host) {
  ENTER_GRAPH(cuGraphAddHostNode);
  struct fake_work work = {.kind = FAKE_WORK_HOST};
  if (host == NULL || host->fn == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work.as.host = *host;
  return add(out, graph, needs, count, &work, CU_GRAPH_NODE_TYPE_HOST);
}

CUresult cuGraphAddEmptyNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count) {
  ENTER_GRAPH(cuGraphAddEmptyNode);
  const struct fake_work work = {.kind = FAKE_WORK_EMPTY};
  return add(out, graph, needs, count, &work, CU_GRAPH_NODE_TYPE_EMPTY);
}

static CUresult add_event(CUgraphNode *out, struct fake_graph *graph, const CUgraphNode *needs, size_t count,
                          CUevent event, enum fake_work_kind kind, CUgraphNodeType type) {
  struct fake_work work = {.kind = kind};
  work.as.event = (struct fake_event *)event;
  if (!fake_object_is(event, FAKE_EVENT)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return add(out, graph, needs, count, &work, type);
}

CUresult cuGraphAddEventRecordNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                                   CUevent event) {
  ENTER_GRAPH(cuGraphAddEventRecordNode);
  return add_event(out, graph, needs, count, event, FAKE_WORK_EVENT_RECORD, CU_GRAPH_NODE_TYPE_EVENT_RECORD);
}

CUresult cuGraphAddEventWaitNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                                 CUevent event) {
  ENTER_GRAPH(cuGraphAddEventWaitNode);
  return add_event(out, graph, needs, count, event, FAKE_WORK_EVENT_WAIT, CU_GRAPH_NODE_TYPE_WAIT_EVENT);
}

static CUresult add_child(CUgraphNode *out, struct fake_graph *graph, const CUgraphNode *needs, size_t count,
                          CUgraph child) {
  struct fake_work work = {.kind = FAKE_WORK_CHILD};
  if (!fake_object_is(child, FAKE_GRAPH)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work.as.child = fake_graph_clone((struct fake_graph *)child);
  if (work.as.child == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUresult result = add(out, graph, needs, count, &work, CU_GRAPH_NODE_TYPE_GRAPH);
  if (result != CUDA_SUCCESS) {
    fake_graph_delete(work.as.child);
  }
  return result;
}

CUresult cuGraphAddChildGraphNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                                  CUgraph child) {
  ENTER_GRAPH(cuGraphAddChildGraphNode);
  return add_child(out, graph, needs, count, child);
}

CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode handle, CUgraph *out) {
  ENTER_NODE(cuGraphChildGraphNodeGetGraph);
  if (out == NULL || node->work.kind != FAKE_WORK_CHILD) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUgraph)node->work.as.child;
  return CUDA_SUCCESS;
}

static CUresult add_allocate(CUgraphNode *out, struct fake_graph *graph, const CUgraphNode *needs, size_t count,
                             const CUmemPoolProps *properties, size_t bytes, CUdeviceptr *pointer) {
  struct fake_work work = {.kind = FAKE_WORK_ALLOCATE};
  if (properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE || !fake_device_valid(properties->location.id)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(fake_graph_block_new(fake_driver.units[properties->location.id], bytes, &work.as.block));
  FAKE_TRY(add(out, graph, needs, count, &work, CU_GRAPH_NODE_TYPE_MEM_ALLOC));
  *pointer = work.as.block->base;
  return CUDA_SUCCESS;
}

CUresult cuGraphAddMemAllocNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                                CUDA_MEM_ALLOC_NODE_PARAMS *allocation) {
  ENTER_GRAPH(cuGraphAddMemAllocNode);
  if (allocation == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return add_allocate(out, graph, needs, count, &allocation->poolProps, allocation->bytesize, &allocation->dptr);
}

CUresult cuGraphMemAllocNodeGetParams(CUgraphNode handle, CUDA_MEM_ALLOC_NODE_PARAMS *out) {
  ENTER_NODE(cuGraphMemAllocNodeGetParams);
  if (out == NULL || node->work.kind != FAKE_WORK_ALLOCATE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUDA_MEM_ALLOC_NODE_PARAMS){.bytesize = node->work.as.block->size, .dptr = node->work.as.block->base};
  out->poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  out->poolProps.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  for (int i = 0; i < fake_driver.device_count; i++) {
    out->poolProps.location.id = fake_driver.units[i] == node->work.as.block->unit ? i : out->poolProps.location.id;
  }
  return CUDA_SUCCESS;
}

static CUresult add_free(CUgraphNode *out, struct fake_graph *graph, const CUgraphNode *needs, size_t count,
                         CUdeviceptr pointer) {
  struct fake_work work = {.kind = FAKE_WORK_FREE};
  work.as.block = fake_graph_block_at(pointer);
  if (work.as.block == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return add(out, graph, needs, count, &work, CU_GRAPH_NODE_TYPE_MEM_FREE);
}

CUresult cuGraphAddMemFreeNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                               CUdeviceptr pointer) {
  ENTER_GRAPH(cuGraphAddMemFreeNode);
  return add_free(out, graph, needs, count, pointer);
}

CUresult cuGraphMemFreeNodeGetParams(CUgraphNode handle, CUdeviceptr *out) {
  ENTER_NODE(cuGraphMemFreeNodeGetParams);
  if (out == NULL || node->work.kind != FAKE_WORK_FREE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = node->work.as.block->base;
  return CUDA_SUCCESS;
}

/* The one call that adds any node. Types without meaning here are not supported. */
static CUresult add_any(CUgraphNode *out, struct fake_graph *graph, const CUgraphNode *needs, size_t count,
                        CUgraphNodeParams *any) {
  struct fake_work work = {.kind = FAKE_WORK_EMPTY};
  switch ((int)any->type) {
  case CU_GRAPH_NODE_TYPE_KERNEL:
    work = kernel_work(any->kernel.func != NULL ? any->kernel.func : (CUfunction)any->kernel.kern,
                       (const unsigned[]){any->kernel.gridDimX, any->kernel.gridDimY, any->kernel.gridDimZ},
                       (const unsigned[]){any->kernel.blockDimX, any->kernel.blockDimY, any->kernel.blockDimZ},
                       any->kernel.sharedMemBytes, any->kernel.kernelParams, any->kernel.extra);
    break;
  case CU_GRAPH_NODE_TYPE_MEMCPY:
    work.kind = FAKE_WORK_COPY;
    work.as.copy = any->memcpy.copyParams;
    break;
  case CU_GRAPH_NODE_TYPE_MEMSET:
    work.kind = FAKE_WORK_SET;
    work.as.set = (CUDA_MEMSET_NODE_PARAMS){.dst = any->memset.dst,
                                            .pitch = any->memset.pitch,
                                            .value = any->memset.value,
                                            .elementSize = any->memset.elementSize,
                                            .width = any->memset.width,
                                            .height = any->memset.height};
    break;
  case CU_GRAPH_NODE_TYPE_HOST:
    work.kind = FAKE_WORK_HOST;
    work.as.host = (CUDA_HOST_NODE_PARAMS){.fn = any->host.fn, .userData = any->host.userData};
    break;
  case CU_GRAPH_NODE_TYPE_EMPTY:
    break;
  case CU_GRAPH_NODE_TYPE_GRAPH:
    return add_child(out, graph, needs, count, any->graph.graph);
  case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
    return add_event(out, graph, needs, count, any->eventRecord.event, FAKE_WORK_EVENT_RECORD, any->type);
  case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
    return add_event(out, graph, needs, count, any->eventWait.event, FAKE_WORK_EVENT_WAIT, any->type);
  case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
    return add_allocate(out, graph, needs, count, &any->alloc.poolProps, any->alloc.bytesize, &any->alloc.dptr);
  case CU_GRAPH_NODE_TYPE_MEM_FREE:
    return add_free(out, graph, needs, count, any->free.dptr);
  default:
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  return add(out, graph, needs, count, &work, any->type);
}

CUresult cuGraphAddNode(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, size_t count,
                        CUgraphNodeParams *any) {
  ENTER_GRAPH(cuGraphAddNode);
  return any == NULL ? CUDA_ERROR_INVALID_VALUE : add_any(out, graph, needs, count, any);
}

CUresult cuGraphAddNode_v2(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, const CUgraphEdgeData *edges,
                           size_t count, CUgraphNodeParams *any) {
  ENTER_GRAPH(cuGraphAddNode_v2);
  (void)edges;
  return any == NULL ? CUDA_ERROR_INVALID_VALUE : add_any(out, graph, needs, count, any);
}

CUresult cuGraphAddNode_v3(CUgraphNode *out, CUgraph handle, const CUgraphNode *needs, const CUgraphEdgeData *edges,
                           size_t count, CUgraphNodeParams *any) {
  ENTER_GRAPH(cuGraphAddNode_v3);
  (void)edges;
  return any == NULL ? CUDA_ERROR_INVALID_VALUE : add_any(out, graph, needs, count, any);
}
