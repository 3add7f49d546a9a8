/*
 * Memory nodes of graphs. A device keeps one pool for all of them, which grows when a graph with such nodes is
 * uploaded or launched. What a graph may need is counted when it is instantiated and reserved when it runs. Until the
 * first memory node exists none of this costs a call. Callable inside wrappers only.
 */
#ifndef HAMI_NVIDIA_GRAPH_MEMORY_H
#define HAMI_NVIDIA_GRAPH_MEMORY_H

#include "books.h"

/* A graph with a memory node exists. */
void hami_graph_memory_expect(void);
bool hami_graph_memory_expected(void);

/* A graph became executable: counts what its nodes allocate, child graphs included. */
void hami_graph_memory_instantiated(CUgraphExec exec, CUgraph graph);
/* Before the driver destroys it, whose address may come back at once: takes what is known of it, false if nothing is.
 */
bool hami_graph_memory_take(CUgraphExec exec, struct hami_charge *entry);
void hami_graph_memory_destroyed(CUgraphExec exec, bool known, const struct hami_charge *entry, bool destroyed);

/* Around a call that may make the graph's memory real. */
struct hami_graph_memory_request {
  CUmemoryPool pool; /* NULL: the graph allocates nothing */
  uint64_t bytes;
  struct hami_charge charge;
};

/* False: no room; the caller reports out of memory. For a graph that is executable, or about to become so. */
bool hami_graph_memory_reserve(CUgraphExec exec, struct hami_graph_memory_request *request);
bool hami_graph_memory_reserve_graph(CUgraph graph, struct hami_graph_memory_request *request);
void hami_graph_memory_settle(struct hami_graph_memory_request *request, CUresult result);

/* Memory of a graph may have been given back. */
void hami_graph_memory_refresh(void);

void hami_graph_memory_after_fork_in_child(void);

#endif
