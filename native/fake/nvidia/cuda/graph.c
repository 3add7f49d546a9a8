/* Graphs as data: nodes, what they need, copying them, running them one after the other. */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

static uint64_t last_graph_id;

struct fake_graph *fake_graph_new(void) {
  struct fake_graph *graph = fake_object_new(FAKE_GRAPH, sizeof *graph);
  if (graph != NULL) {
    graph->id = __atomic_add_fetch(&last_graph_id, 1, __ATOMIC_RELAXED);
  }
  return graph;
}

static void delete_node(struct fake_node *node) {
  if (node->work.kind == FAKE_WORK_CHILD) {
    fake_graph_delete(node->work.as.child);
  }
  free(node->parameters);
  free(node->needs);
  fake_object_delete(node);
}

void fake_graph_delete(struct fake_graph *graph) {
  while (graph->first != NULL) {
    struct fake_node *node = graph->first;
    graph->first = node->next;
    delete_node(node);
  }
  fake_object_delete(graph);
}

CUresult fake_node_need(struct fake_node *node, struct fake_node *other) {
  for (size_t i = 0; i < node->need_count; i++) {
    if (node->needs[i] == other) {
      return CUDA_SUCCESS;
    }
  }
  struct fake_node **needs = realloc(node->needs, (node->need_count + 1) * sizeof *needs);
  if (needs == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  node->needs = needs;
  node->needs[node->need_count++] = other;
  return CUDA_SUCCESS;
}

/* One block: the pointers, then the arguments they point to. Sizes are known where the module was PTX. */
static void **copy_parameters(const CUDA_KERNEL_NODE_PARAMS *kernel) {
  const struct fake_kernel *function = (const struct fake_kernel *)(const void *)kernel->func;
  size_t bytes = 0;
  unsigned count = kernel->kernelParams == NULL ? 0 : function->parameter_count;
  for (unsigned i = 0; i < count; i++) {
    bytes += fake_round_up(function->parameter_bytes[i], 8);
  }
  void **parameters = calloc(1, (count + 1) * sizeof *parameters + bytes);
  char *at = (char *)(parameters + count + 1);
  for (unsigned i = 0; parameters != NULL && i < count; i++) {
    parameters[i] = memcpy(at, kernel->kernelParams[i], function->parameter_bytes[i]);
    at += fake_round_up(function->parameter_bytes[i], 8);
  }
  return parameters;
}

CUresult fake_node_set_work(struct fake_node *node, const struct fake_work *work) {
  struct fake_work copy = *work;
  if (copy.kind == FAKE_WORK_KERNEL) {
    if (copy.as.kernel.func == NULL) {
      copy.as.kernel.func = (CUfunction)copy.as.kernel.kern;
    }
    if (!fake_object_is(copy.as.kernel.func, FAKE_FUNCTION)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    void **parameters = copy_parameters(&copy.as.kernel);
    if (parameters == NULL) {
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    free(node->parameters);
    node->parameters = parameters;
    copy.as.kernel.kernelParams = copy.as.kernel.kernelParams == NULL ? NULL : parameters;
    /* A packed buffer is the caller's and is not copied: its kernel takes the time of its grid. */
    copy.as.kernel.extra = NULL;
  }
  node->work = copy;
  return CUDA_SUCCESS;
}

CUresult fake_graph_add(struct fake_graph *graph, const struct fake_work *work, CUgraphNodeType type,
                        struct fake_node *const *needs, size_t need_count, struct fake_node **out) {
  struct fake_node *node = fake_object_new(FAKE_NODE, sizeof *node);
  if (node == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUresult result = fake_node_set_work(node, work);
  for (size_t i = 0; result == CUDA_SUCCESS && i < need_count; i++) {
    bool known = fake_object_is(needs[i], FAKE_NODE) && needs[i]->graph == graph;
    result = known ? fake_node_need(node, needs[i]) : CUDA_ERROR_INVALID_VALUE;
  }
  if (result != CUDA_SUCCESS) {
    node->work.kind = FAKE_WORK_EMPTY; /* a child graph stays the caller's */
    delete_node(node);
    return result;
  }
  node->graph = graph;
  node->type = type;
  if (graph->last != NULL) {
    graph->last->next = node;
  } else {
    graph->first = node;
  }
  graph->last = node;
  *out = node;
  return CUDA_SUCCESS;
}

static struct fake_node *copy_of(const struct fake_graph *copy, const struct fake_node *original) {
  struct fake_node *node = copy->first;
  while (node != NULL && node->original != original) {
    node = node->next;
  }
  return node;
}

/* Copies the nodes first and what they need after, since a node may need a younger one. */
static CUresult clone_into(struct fake_graph *copy, struct fake_graph *graph) {
  for (struct fake_node *node = graph->first; node != NULL; node = node->next) {
    struct fake_work work = node->work;
    struct fake_node *added = NULL;
    if (work.kind == FAKE_WORK_CHILD) {
      work.as.child = fake_graph_clone(node->work.as.child);
      if (work.as.child == NULL) {
        return CUDA_ERROR_OUT_OF_MEMORY;
      }
    }
    FAKE_TRY(fake_graph_add(copy, &work, node->type, NULL, 0, &added));
    added->original = node;
    added->disabled = node->disabled;
  }
  for (struct fake_node *node = graph->first; node != NULL; node = node->next) {
    struct fake_node *added = copy_of(copy, node);
    for (size_t i = 0; i < node->need_count; i++) {
      FAKE_TRY(fake_node_need(added, copy_of(copy, node->needs[i])));
    }
  }
  return CUDA_SUCCESS;
}

struct fake_graph *fake_graph_clone(struct fake_graph *graph) {
  struct fake_graph *copy = fake_graph_new();
  if (copy != NULL && clone_into(copy, graph) != CUDA_SUCCESS) {
    fake_graph_delete(copy);
    return NULL;
  }
  return copy;
}

static CUresult run_node(struct fake_node *node, struct fake_stream *stream, uint64_t run) {
  if (node->run == run) {
    return CUDA_SUCCESS;
  }
  node->run = run; /* before what it needs: a cycle ends here instead of recursing for ever */
  for (size_t i = 0; i < node->need_count; i++) {
    FAKE_TRY(run_node(node->needs[i], stream, run));
  }
  if (node->disabled) {
    return CUDA_SUCCESS;
  }
  return node->work.kind == FAKE_WORK_ALLOCATE ? fake_graph_block_commit(node->work.as.block, node->graph->auto_free)
                                               : fake_work_run(stream, &node->work);
}

CUresult fake_graph_run(struct fake_graph *graph, struct fake_stream *stream) {
  uint64_t run = ++graph->runs;
  for (struct fake_node *node = graph->first; node != NULL; node = node->next) {
    FAKE_TRY(run_node(node, stream, run));
  }
  return CUDA_SUCCESS;
}
