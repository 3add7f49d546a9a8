/* Graphs: memory nodes are counted when a graph is made executable and reserved when it is uploaded or launched. */
#include "graph_memory.h"
#include "hook.h"
#include "pools.h"

CUresult cuGraphAddMemAllocNode(CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
                                size_t numDependencies, CUDA_MEM_ALLOC_NODE_PARAMS *nodeParams) {
  HAMI_CUDA_ENTER(cuGraphAddMemAllocNode, phGraphNode, hGraph, dependencies, numDependencies, nodeParams);
  hami_graph_memory_expect();
  CUresult result = real(phGraphNode, hGraph, dependencies, numDependencies, nodeParams);
  HAMI_LEAVE(result);
}

static void expect_if_memory(const CUgraphNodeParams *params) {
  if (params != NULL && params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
    hami_graph_memory_expect();
  }
}

CUresult cuGraphAddNode(CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
                        size_t numDependencies, CUgraphNodeParams *nodeParams) {
  HAMI_CUDA_ENTER(cuGraphAddNode, phGraphNode, hGraph, dependencies, numDependencies, nodeParams);
  expect_if_memory(nodeParams);
  CUresult result = real(phGraphNode, hGraph, dependencies, numDependencies, nodeParams);
  HAMI_LEAVE(result);
}

CUresult cuGraphAddNode_v2(CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
                           const CUgraphEdgeData *dependencyData, size_t numDependencies,
                           CUgraphNodeParams *nodeParams) {
  HAMI_CUDA_ENTER(cuGraphAddNode_v2, phGraphNode, hGraph, dependencies, dependencyData, numDependencies, nodeParams);
  expect_if_memory(nodeParams);
  CUresult result = real(phGraphNode, hGraph, dependencies, dependencyData, numDependencies, nodeParams);
  HAMI_LEAVE(result);
}

CUresult cuGraphAddNode_v3(CUgraphNode *phGraphNode, CUgraph hGraph, const CUgraphNode *dependencies,
                           const CUgraphEdgeData *dependencyData, size_t numDependencies,
                           CUgraphNodeParams *nodeParams) {
  HAMI_CUDA_ENTER(cuGraphAddNode_v3, phGraphNode, hGraph, dependencies, dependencyData, numDependencies, nodeParams);
  expect_if_memory(nodeParams);
  CUresult result = real(phGraphNode, hGraph, dependencies, dependencyData, numDependencies, nodeParams);
  HAMI_LEAVE(result);
}

static CUresult instantiated(CUresult result, const CUgraphExec *exec, CUgraph graph) {
  if (result == CUDA_SUCCESS && exec != NULL) {
    hami_graph_memory_instantiated(*exec, graph);
    hami_graph_memory_refresh();
  }
  return result;
}

CUresult cuGraphInstantiate(CUgraphExec *phGraphExec, CUgraph hGraph, CUgraphNode *phErrorNode, char *logBuffer,
                            size_t bufferSize) {
  HAMI_CUDA_ENTER(cuGraphInstantiate, phGraphExec, hGraph, phErrorNode, logBuffer, bufferSize);
  CUresult result = real(phGraphExec, hGraph, phErrorNode, logBuffer, bufferSize);
  HAMI_LEAVE(instantiated(result, phGraphExec, hGraph));
}

CUresult cuGraphInstantiate_v2(CUgraphExec *phGraphExec, CUgraph hGraph, CUgraphNode *phErrorNode, char *logBuffer,
                               size_t bufferSize) {
  HAMI_CUDA_ENTER(cuGraphInstantiate_v2, phGraphExec, hGraph, phErrorNode, logBuffer, bufferSize);
  CUresult result = real(phGraphExec, hGraph, phErrorNode, logBuffer, bufferSize);
  HAMI_LEAVE(instantiated(result, phGraphExec, hGraph));
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *phGraphExec, CUgraph hGraph, unsigned long long flags) {
  HAMI_CUDA_ENTER(cuGraphInstantiateWithFlags, phGraphExec, hGraph, flags);
  CUresult result = real(phGraphExec, hGraph, flags);
  HAMI_LEAVE(instantiated(result, phGraphExec, hGraph));
}

typedef __typeof__(&cuGraphInstantiateWithParams) instantiate_function;

/* With the upload flag the graph's memory is taken at once. */
static CUresult instantiate(instantiate_function real, CUgraphExec *exec, CUgraph graph,
                            CUDA_GRAPH_INSTANTIATE_PARAMS *params) {
  struct hami_graph_memory_request request = {.pool = NULL};
  bool uploads = params != NULL && (params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) != 0;
  if (uploads && !hami_graph_memory_reserve_graph(graph, &request)) {
    params->hErrNode_out = NULL;
    params->result_out = CUDA_GRAPH_INSTANTIATE_ERROR;
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUresult result = real(exec, graph, params);
  hami_graph_memory_settle(&request, result);
  return instantiated(result, exec, graph);
}

CUresult cuGraphInstantiateWithParams(CUgraphExec *phGraphExec, CUgraph hGraph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams) {
  HAMI_CUDA_ENTER(cuGraphInstantiateWithParams, phGraphExec, hGraph, instantiateParams);
  HAMI_LEAVE(instantiate(real, phGraphExec, hGraph, instantiateParams));
}

CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *phGraphExec, CUgraph hGraph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams) {
  HAMI_CUDA_ENTER(cuGraphInstantiateWithParams_ptsz, phGraphExec, hGraph, instantiateParams);
  HAMI_LEAVE(instantiate(real, phGraphExec, hGraph, instantiateParams));
}

typedef __typeof__(&cuGraphUpload) upload_function;

static CUresult upload(upload_function real, CUgraphExec exec, CUstream stream) {
  struct hami_graph_memory_request request;
  if (!hami_graph_memory_reserve(exec, &request)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUresult result = real(exec, stream);
  hami_graph_memory_settle(&request, result);
  return result;
}

CUresult cuGraphUpload(CUgraphExec hGraph, CUstream hStream) {
  HAMI_CUDA_ENTER(cuGraphUpload, hGraph, hStream);
  HAMI_LEAVE(upload(real, hGraph, hStream));
}

CUresult cuGraphUpload_ptsz(CUgraphExec hGraphExec, CUstream hStream) {
  HAMI_CUDA_ENTER(cuGraphUpload_ptsz, hGraphExec, hStream);
  HAMI_LEAVE(upload(real, hGraphExec, hStream));
}

CUresult cuGraphExecDestroy(CUgraphExec hGraphExec) {
  HAMI_CUDA_ENTER(cuGraphExecDestroy, hGraphExec);
  struct hami_charge entry;
  bool known = hami_graph_memory_take(hGraphExec, &entry);
  CUresult result = real(hGraphExec);
  hami_graph_memory_destroyed(hGraphExec, known, &entry, result == CUDA_SUCCESS);
  HAMI_LEAVE(result);
}

CUresult cuDeviceGraphMemTrim(CUdevice device) {
  HAMI_CUDA_ENTER(cuDeviceGraphMemTrim, device);
  CUresult result = real(device);
  (void)hami_pools_refresh();
  HAMI_LEAVE(result);
}
