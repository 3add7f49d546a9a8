#include "graph_memory.h"

#include <stdlib.h>

#include "devices.h"
#include "pools.h"
#include "real.h"
#include "sizes.h"
#include "table.h"

/* Child graphs deeper than this are counted as empty; the driver's own limit is not documented. */
#define MAX_DEPTH 16

static bool expected;

void hami_graph_memory_expect(void) { __atomic_store_n(&expected, true, __ATOMIC_RELEASE); }

bool hami_graph_memory_expected(void) { return __atomic_load_n(&expected, __ATOMIC_ACQUIRE); }

struct tally {
  CUdevice ordinal; /* of the first memory node: graphs allocate on one device in practice */
  uint64_t bytes;
};

static void count_graph(CUgraph graph, struct tally *tally, int depth);

static void count_node(CUgraphNode node, struct tally *tally, int depth) {
  __typeof__(&cuGraphNodeGetType) get_type = HAMI_REAL(cuGraphNodeGetType);
  __typeof__(&cuGraphMemAllocNodeGetParams) get_params = HAMI_REAL(cuGraphMemAllocNodeGetParams);
  __typeof__(&cuGraphChildGraphNodeGetGraph) get_child = HAMI_REAL(cuGraphChildGraphNodeGetGraph);
  CUgraphNodeType type;
  if (get_type == NULL || get_type(node, &type) != CUDA_SUCCESS) {
    return;
  }
  CUDA_MEM_ALLOC_NODE_PARAMS params;
  CUgraph child;
  if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC && get_params != NULL && get_params(node, &params) == CUDA_SUCCESS) {
    CUdevice ordinal = hami_devices_ordinal_of_location(&params.poolProps.location);
    if (ordinal >= 0) {
      tally->ordinal = tally->bytes == 0 ? ordinal : tally->ordinal;
      tally->bytes = hami_sizes_add(tally->bytes, params.bytesize);
    }
  } else if (type == CU_GRAPH_NODE_TYPE_GRAPH && depth < MAX_DEPTH && get_child != NULL &&
             get_child(node, &child) == CUDA_SUCCESS) {
    count_graph(child, tally, depth + 1);
  }
}

static void count_graph(CUgraph graph, struct tally *tally, int depth) {
  __typeof__(&cuGraphGetNodes) get_nodes = HAMI_REAL(cuGraphGetNodes);
  size_t count = 0;
  if (get_nodes == NULL || get_nodes(graph, NULL, &count) != CUDA_SUCCESS || count == 0) {
    return;
  }
  CUgraphNode *nodes = calloc(count, sizeof(CUgraphNode));
  if (nodes != NULL && get_nodes(graph, nodes, &count) == CUDA_SUCCESS) {
    for (size_t i = 0; i < count; i++) {
      count_node(nodes[i], tally, depth);
    }
  }
  free(nodes);
}

void hami_graph_memory_instantiated(CUgraphExec exec, CUgraph graph) {
  if (!hami_graph_memory_expected()) {
    return;
  }
  struct tally tally = {.ordinal = 0, .bytes = 0};
  count_graph(graph, &tally, 0);
  if (tally.bytes == 0) {
    return;
  }
  /* Nothing is charged yet; the entry keeps the ordinal in `device` and belongs to no ledger. */
  struct hami_charge entry = {.device = tally.ordinal, .class = HAMI_CLASS_GRAPH, .bytes = tally.bytes};
  struct hami_charge replaced;
  (void)hami_table_put(HAMI_BOOKS_GRAPH, (uintptr_t)exec, &entry, &replaced);
}

bool hami_graph_memory_take(CUgraphExec exec, struct hami_charge *entry) {
  return hami_graph_memory_expected() && hami_table_take(HAMI_BOOKS_GRAPH, (uintptr_t)exec, entry);
}

void hami_graph_memory_destroyed(CUgraphExec exec, bool known, const struct hami_charge *entry, bool destroyed) {
  struct hami_charge replaced;
  if (known && !destroyed) {
    (void)hami_table_put(HAMI_BOOKS_GRAPH, (uintptr_t)exec, entry, &replaced);
  }
  hami_graph_memory_refresh();
}

static bool reserve(CUdevice ordinal, uint64_t bytes, struct hami_graph_memory_request *request) {
  request->bytes = bytes;
  CUmemoryPool pool = hami_pools_of_graphs(ordinal);
  if (pool == NULL || !hami_pools_reserve(pool, bytes, &request->charge)) {
    return false;
  }
  request->pool = pool;
  return true;
}

bool hami_graph_memory_reserve(CUgraphExec exec, struct hami_graph_memory_request *request) {
  struct hami_charge entry;
  *request = (struct hami_graph_memory_request){.pool = NULL};
  return !hami_graph_memory_expected() || !hami_table_find(HAMI_BOOKS_GRAPH, (uintptr_t)exec, &entry) ||
         reserve(entry.device, entry.bytes, request);
}

bool hami_graph_memory_reserve_graph(CUgraph graph, struct hami_graph_memory_request *request) {
  struct tally tally = {.ordinal = 0, .bytes = 0};
  *request = (struct hami_graph_memory_request){.pool = NULL};
  if (hami_graph_memory_expected()) {
    count_graph(graph, &tally, 0);
  }
  return tally.bytes == 0 || reserve(tally.ordinal, tally.bytes, request);
}

void hami_graph_memory_settle(struct hami_graph_memory_request *request, CUresult result) {
  if (request->pool != NULL) {
    (void)hami_pools_settle(request->pool, result, 0, request->bytes, &request->charge);
  }
}

void hami_graph_memory_refresh(void) {
  if (hami_graph_memory_expected()) {
    (void)hami_pools_refresh();
  }
}

void hami_graph_memory_after_fork_in_child(void) { __atomic_store_n(&expected, false, __ATOMIC_RELEASE); }
