#include "session.h"

#include "books.h"
#include "contexts.h"
#include "devices.h"
#include "graph_memory.h"
#include "pace.h"
#include "physical.h"
#include "pools.h"

/* The names under which HAMi passes a container's share. */
static const struct hami_env_names environment = {
    .memory_limit = "CUDA_DEVICE_MEMORY_LIMIT",
    .core_limit = "CUDA_DEVICE_SM_LIMIT",
    .region = "CUDA_DEVICE_MEMORY_SHARED_CACHE",
    .priority = "CUDA_TASK_PRIORITY",
    .policy = "GPU_CORE_UTILIZATION_POLICY",
    .oversubscribe = "CUDA_OVERSUBSCRIBE",
    .visible_devices = "NVIDIA_VISIBLE_DEVICES",
    .log_level = "LIBCUDA_LOG_LEVEL",
};

enum hami_session_state hami_session_state;

bool hami_session_decide(void) {
  bool limited = hami_core_start(&environment);
  __atomic_store_n(&hami_session_state, limited ? HAMI_SESSION_LIMITED : HAMI_SESSION_NONE, __ATOMIC_RELEASE);
  return limited;
}

void hami_session_forget_parent(void) {
  hami_books_after_fork_in_child();
  hami_physical_after_fork_in_child();
  hami_pools_after_fork_in_child();
  hami_graph_memory_after_fork_in_child();
  hami_pace_after_fork_in_child();
  hami_devices_after_fork_in_child();
  hami_contexts_after_fork_in_child();
}
