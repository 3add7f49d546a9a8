#include "own_memory.h"

#include <unistd.h>

#include "core/process.h"
#include "devices.h"
#include "real.h"
#include "sizes.h"

/* Inode of the first PID namespace (PROC_PID_INIT_INO of the kernel's proc_ns.h): numbers are the host's there. */
#define FIRST_PID_NAMESPACE 0xEFFFFFFCU

static unsigned int host_pid;

/* hami_own_memory_read's, which is called on stacks of any size. */
static struct hami_own_memory_list listed;
static bool listing;

void hami_own_memory_list(int device, struct hami_own_memory_list *list) {
  /* _v2 by name: the struct of the newest one changed between drivers without a change of name. */
  __typeof__(&nvmlDeviceGetComputeRunningProcesses_v2) read = HAMI_REAL(nvmlDeviceGetComputeRunningProcesses_v2);
  nvmlDevice_t handle;
  list->count = HAMI_OWN_MEMORY_MAX_PROCESSES;
  if (read == NULL || !hami_devices_nvml_handle(device, &handle) ||
      !hami_devices_nvml_answered(read(handle, &list->count, list->rows))) {
    list->count = 0;
  }
}

static const nvmlProcessInfo_v2_t *find(const struct hami_own_memory_list *list, unsigned int pid) {
  for (unsigned int i = 0; i < list->count; i++) {
    if (list->rows[i].pid == pid) {
      return &list->rows[i];
    }
  }
  return NULL;
}

static bool has_bytes(const nvmlProcessInfo_v2_t *row) {
  return row != NULL && row->usedGpuMemory != (unsigned long long)NVML_VALUE_NOT_AVAILABLE;
}

static uint64_t row_bytes(const nvmlProcessInfo_v2_t *row) { return has_bytes(row) ? row->usedGpuMemory : 0; }

static bool numbered_as_the_host_does(void) {
  struct hami_identity identity;
  hami_identity_read(&hami_effects_system, &identity);
  return identity.pid_namespace == FIRST_PID_NAMESPACE;
}

/* The only row that was not there before; NULL when two processes started at once. */
static const nvmlProcessInfo_v2_t *find_new(const struct hami_own_memory_list *before,
                                            const struct hami_own_memory_list *after) {
  const nvmlProcessInfo_v2_t *row = NULL;
  for (unsigned int i = 0; i < after->count; i++) {
    if (find(before, after->rows[i].pid) == NULL) {
      if (row != NULL) {
        return NULL;
      }
      row = &after->rows[i];
    }
  }
  return row;
}

/* A row of this process's own number that was there before it held anything is another namespace's process. */
static const nvmlProcessInfo_v2_t *find_self(const struct hami_own_memory_list *before,
                                             const struct hami_own_memory_list *after, bool held) {
  unsigned int known = hami_own_memory_host_pid();
  unsigned int pid = (unsigned int)getpid();
  if (known != 0) {
    return find(after, known);
  }
  const nvmlProcessInfo_v2_t *own = find(after, pid);
  bool credible = own != NULL && (held || find(before, pid) == NULL || numbered_as_the_host_does());
  return credible ? own : find_new(before, after);
}

uint64_t hami_own_memory_growth(const struct hami_own_memory_list *before, const struct hami_own_memory_list *after,
                                bool held) {
  const nvmlProcessInfo_v2_t *self = find_self(before, after, held);
  if (self == NULL) {
    return 0;
  }
  __atomic_store_n(&host_pid, self->pid, __ATOMIC_RELAXED);
  return hami_sizes_subtract(row_bytes(self), row_bytes(find(before, self->pid)));
}

bool hami_own_memory_read(int device, uint64_t *bytes) {
  unsigned int pid = hami_own_memory_host_pid();
  if (pid == 0 && numbered_as_the_host_does()) {
    pid = (unsigned int)getpid();
  }
  if (pid == 0 || __atomic_exchange_n(&listing, true, __ATOMIC_ACQUIRE)) {
    return false;
  }
  hami_own_memory_list(device, &listed);
  const nvmlProcessInfo_v2_t *row = find(&listed, pid);
  bool known = has_bytes(row);
  *bytes = row_bytes(row);
  __atomic_store_n(&listing, false, __ATOMIC_RELEASE);
  return known;
}

unsigned int hami_own_memory_host_pid(void) { return __atomic_load_n(&host_pid, __ATOMIC_RELAXED); }

void hami_own_memory_after_fork_in_child(void) {
  __atomic_store_n(&host_pid, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&listing, false, __ATOMIC_RELEASE);
}
