/* Looking at graphs, and running them. An executable graph is a copy of its own. */
#include "driver.h"

struct fake_exec {
  struct fake_object object;
  struct fake_graph *graph;
  unsigned long long flags;
};

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
#define ENTER_EXEC(name)                                                                                               \
  FAKE_ENTER(name);                                                                                                    \
  struct fake_exec *exec = (struct fake_exec *)handle;                                                                 \
  if (!fake_object_is(exec, FAKE_GRAPH_EXEC)) {                                                                        \
    return CUDA_ERROR_INVALID_VALUE;                                                                                   \
  }

/* Nodes of the graph, all or only those that need nothing; NULL asks for the count. */
static CUresult list_nodes(const struct fake_graph *graph, CUgraphNode *out, size_t *count, bool only_roots) {
  if (count == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  size_t found = 0;
  for (struct fake_node *node = graph->first; node != NULL; node = node->next) {
    if (only_roots && node->need_count > 0) {
      continue;
    }
    if (out != NULL && found < *count) {
      out[found] = (CUgraphNode)node;
    }
    found++;
  }
  *count = out == NULL || found < *count ? found : *count;
  return CUDA_SUCCESS;
}

CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode *out, size_t *count) {
  ENTER_GRAPH(cuGraphGetNodes);
  return list_nodes(graph, out, count, false);
}

CUresult cuGraphGetRootNodes(CUgraph handle, CUgraphNode *out, size_t *count) {
  ENTER_GRAPH(cuGraphGetRootNodes);
  return list_nodes(graph, out, count, true);
}

CUresult cuGraphGetId(CUgraph handle, unsigned *id) {
  ENTER_GRAPH(cuGraphGetId);
  if (id == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *id = (unsigned)graph->id;
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType *out) {
  ENTER_NODE(cuGraphNodeGetType);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = node->type;
  return CUDA_SUCCESS;
}

static CUresult list_needs(const struct fake_node *node, CUgraphNode *out, size_t *count) {
  if (count == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; out != NULL && i < node->need_count && i < *count; i++) {
    out[i] = (CUgraphNode)node->needs[i];
  }
  *count = node->need_count;
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetDependencies(CUgraphNode handle, CUgraphNode *out, size_t *count) {
  ENTER_NODE(cuGraphNodeGetDependencies);
  return list_needs(node, out, count);
}

CUresult cuGraphNodeGetDependencies_v2(CUgraphNode handle, CUgraphNode *out, CUgraphEdgeData *edges, size_t *count) {
  ENTER_NODE(cuGraphNodeGetDependencies_v2);
  (void)edges;
  return list_needs(node, out, count);
}

static CUresult add_needs(const CUgraphNode *from, const CUgraphNode *to, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (from == NULL || to == NULL || !fake_object_is(from[i], FAKE_NODE) || !fake_object_is(to[i], FAKE_NODE)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    FAKE_TRY(fake_node_need((struct fake_node *)to[i], (struct fake_node *)from[i]));
  }
  return CUDA_SUCCESS;
}

CUresult cuGraphAddDependencies(CUgraph handle, const CUgraphNode *from, const CUgraphNode *to, size_t count) {
  ENTER_GRAPH(cuGraphAddDependencies);
  (void)graph;
  return add_needs(from, to, count);
}

CUresult cuGraphAddDependencies_v2(CUgraph handle, const CUgraphNode *from, const CUgraphNode *to,
                                   const CUgraphEdgeData *edges, size_t count) {
  ENTER_GRAPH(cuGraphAddDependencies_v2);
  (void)graph;
  (void)edges;
  return add_needs(from, to, count);
}

static CUresult instantiate(CUgraphExec *out, struct fake_graph *graph, unsigned long long flags) {
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  struct fake_exec *exec = fake_object_new(FAKE_GRAPH_EXEC, sizeof *exec);
  struct fake_graph *copy = exec == NULL ? NULL : fake_graph_clone(graph);
  if (copy == NULL) {
    if (exec != NULL) {
      fake_object_delete(exec);
    }
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  copy->auto_free = (flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH) != 0;
  exec->graph = copy;
  exec->flags = flags;
  *out = (CUgraphExec)exec;
  return CUDA_SUCCESS;
}

CUresult cuGraphInstantiate(CUgraphExec *out, CUgraph handle, CUgraphNode *error_node, char *log, size_t log_size) {
  ENTER_GRAPH(cuGraphInstantiate);
  (void)error_node;
  (void)log;
  (void)log_size;
  return instantiate(out, graph, 0);
}

CUresult cuGraphInstantiate_v2(CUgraphExec *out, CUgraph handle, CUgraphNode *error_node, char *log, size_t log_size) {
  ENTER_GRAPH(cuGraphInstantiate_v2);
  (void)error_node;
  (void)log;
  (void)log_size;
  return instantiate(out, graph, 0);
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph handle, unsigned long long flags) {
  ENTER_GRAPH(cuGraphInstantiateWithFlags);
  return instantiate(out, graph, flags);
}

CUresult cuGraphInstantiateWithParams(CUgraphExec *out, CUgraph handle, CUDA_GRAPH_INSTANTIATE_PARAMS *parameters) {
  ENTER_GRAPH(cuGraphInstantiateWithParams);
  if (parameters == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult result = instantiate(out, graph, parameters->flags);
  if (result == CUDA_SUCCESS && (parameters->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) != 0) {
    result = fake_graph_upload(((struct fake_exec *)*out)->graph);
  }
  parameters->hErrNode_out = NULL;
  parameters->result_out = result == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS : CUDA_GRAPH_INSTANTIATE_ERROR;
  return result;
}

CUresult cuGraphExecGetFlags(CUgraphExec handle, cuuint64_t *flags) {
  ENTER_EXEC(cuGraphExecGetFlags);
  if (flags == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *flags = exec->flags;
  return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec handle) {
  ENTER_EXEC(cuGraphExecDestroy);
  fake_graph_delete(exec->graph);
  fake_object_delete(exec);
  return CUDA_SUCCESS;
}

CUresult cuGraphUpload(CUgraphExec handle, CUstream stream_handle) {
  ENTER_EXEC(cuGraphUpload);
  struct fake_stream *stream = NULL;
  FAKE_TRY(fake_stream_resolve(stream_handle, &stream));
  return fake_graph_upload(exec->graph);
}

CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
  ENTER_EXEC(cuGraphLaunch);
  struct fake_stream *stream = NULL;
  FAKE_TRY(fake_stream_resolve(stream_handle, &stream));
  if (stream->capture != NULL) {
    struct fake_work work = {.kind = FAKE_WORK_CHILD};
    work.as.child = fake_graph_clone(exec->graph);
    CUresult result = work.as.child == NULL ? CUDA_ERROR_OUT_OF_MEMORY : fake_capture_add(stream, &work);
    if (result != CUDA_SUCCESS && work.as.child != NULL) {
      fake_graph_delete(work.as.child);
    }
    return result;
  }
  return fake_graph_run(exec->graph, stream);
}

/* The copy of `node` inside the executable graph. */
static struct fake_node *twin_of(const struct fake_exec *exec, CUgraphNode handle) {
  struct fake_node *node = exec->graph->first;
  while (node != NULL && node->original != (struct fake_node *)handle) {
    node = node->next;
  }
  return node;
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec handle, CUgraphNode node_handle,
                                           const CUDA_KERNEL_NODE_PARAMS *kernel) {
  ENTER_EXEC(cuGraphExecKernelNodeSetParams_v2);
  struct fake_node *node = twin_of(exec, node_handle);
  struct fake_work work = {.kind = FAKE_WORK_KERNEL};
  if (kernel == NULL || node == NULL || node->work.kind != FAKE_WORK_KERNEL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  work.as.kernel = *kernel;
  return fake_node_set_work(node, &work);
}

CUresult cuGraphNodeSetEnabled(CUgraphExec handle, CUgraphNode node_handle, unsigned enabled) {
  ENTER_EXEC(cuGraphNodeSetEnabled);
  struct fake_node *node = twin_of(exec, node_handle);
  if (node == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  node->disabled = enabled == 0;
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetEnabled(CUgraphExec handle, CUgraphNode node_handle, unsigned *enabled) {
  ENTER_EXEC(cuGraphNodeGetEnabled);
  const struct fake_node *node = twin_of(exec, node_handle);
  if (node == NULL || enabled == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *enabled = !node->disabled;
  return CUDA_SUCCESS;
}

static bool same_shape(const struct fake_graph *one, const struct fake_graph *other) {
  const struct fake_node *left = one->first;
  const struct fake_node *right = other->first;
  while (left != NULL && right != NULL && left->type == right->type && left->need_count == right->need_count) {
    left = left->next;
    right = right->next;
  }
  return left == NULL && right == NULL;
}

static CUresult update(struct fake_exec *exec, struct fake_graph *graph) {
  if (!same_shape(exec->graph, graph)) {
    return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
  }
  struct fake_graph *copy = fake_graph_clone(graph);
  if (copy == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  copy->auto_free = exec->graph->auto_free;
  fake_graph_delete(exec->graph);
  exec->graph = copy;
  return CUDA_SUCCESS;
}

CUresult cuGraphExecUpdate_v2(CUgraphExec handle, CUgraph graph, CUgraphExecUpdateResultInfo *info) {
  ENTER_EXEC(cuGraphExecUpdate_v2);
  if (info == NULL || !fake_object_is(graph, FAKE_GRAPH)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult result = update(exec, (struct fake_graph *)graph);
  *info = (CUgraphExecUpdateResultInfo){.result = result == CUDA_SUCCESS ? CU_GRAPH_EXEC_UPDATE_SUCCESS
                                                                         : CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED};
  return result;
}

CUresult cuGraphExecUpdate(CUgraphExec handle, CUgraph graph, CUgraphNode *error_node, CUgraphExecUpdateResult *out) {
  ENTER_EXEC(cuGraphExecUpdate);
  if (out == NULL || !fake_object_is(graph, FAKE_GRAPH)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUresult result = update(exec, (struct fake_graph *)graph);
  *out = result == CUDA_SUCCESS ? CU_GRAPH_EXEC_UPDATE_SUCCESS : CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
  if (error_node != NULL) {
    *error_node = NULL;
  }
  return result;
}
