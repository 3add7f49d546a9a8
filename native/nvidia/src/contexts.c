#include "contexts.h"

#include <unistd.h>

#include "books.h"
#include "core/core.h"
#include "devices.h"
#include "pools.h"
#include "probes.h"
#include "real.h"
#include "sizes.h"

static unsigned int host_pid;

static unsigned int list_processes(int device, nvmlProcessInfo_v2_t *rows, unsigned int size) {
  /* _v2 by name: the struct of the newest one changed between drivers without a change of name. */
  __typeof__(&nvmlDeviceGetComputeRunningProcesses_v2) list = HAMI_REAL(nvmlDeviceGetComputeRunningProcesses_v2);
  nvmlDevice_t handle;
  unsigned int count = size;
  if (list == NULL || !hami_devices_nvml_handle(device, &handle) || list(handle, &count, rows) != NVML_SUCCESS) {
    return 0;
  }
  return count;
}

static const nvmlProcessInfo_v2_t *find(const nvmlProcessInfo_v2_t *rows, unsigned int count, unsigned int pid) {
  for (unsigned int i = 0; i < count; i++) {
    if (rows[i].pid == pid) {
      return &rows[i];
    }
  }
  return NULL;
}

static uint64_t row_bytes(const nvmlProcessInfo_v2_t *row) {
  return row == NULL || row->usedGpuMemory == (unsigned long long)NVML_VALUE_NOT_AVAILABLE ? 0 : row->usedGpuMemory;
}

void hami_contexts_look(struct hami_contexts_snapshot *before, CUdevice ordinal) {
  before->device = hami_devices_of_ordinal(ordinal);
  if (before->device == HAMI_NO_DEVICE) {
    return;
  }
  before->own_bytes = hami_core_own_bytes(before->device);
  before->count = list_processes(before->device, before->rows, HAMI_CONTEXTS_MAX_PROCESSES);
}

/* This process in the list: by its number, by the one it turned out to have before, or as the only one that is new. */
static const nvmlProcessInfo_v2_t *find_self(const struct hami_contexts_snapshot *before,
                                             const nvmlProcessInfo_v2_t *rows, unsigned int count) {
  unsigned int known = __atomic_load_n(&host_pid, __ATOMIC_RELAXED);
  const nvmlProcessInfo_v2_t *row = find(rows, count, known != 0 ? known : (unsigned int)getpid());
  if (row != NULL || known != 0) {
    return row;
  }
  for (unsigned int i = 0; i < count; i++) {
    if (find(before->rows, before->count, rows[i].pid) == NULL) {
      if (row != NULL) {
        return NULL; /* two started at once: which of them is this? */
      }
      row = &rows[i];
    }
  }
  return row;
}

void hami_contexts_made(const struct hami_contexts_snapshot *before, CUcontext context) {
  int device = before->device;
  if (device == HAMI_NO_DEVICE) {
    return;
  }
  nvmlProcessInfo_v2_t rows[HAMI_CONTEXTS_MAX_PROCESSES];
  unsigned int count = list_processes(device, rows, HAMI_CONTEXTS_MAX_PROCESSES);
  const nvmlProcessInfo_v2_t *self = find_self(before, rows, count);
  uint64_t bytes = 0;
  if (self != NULL) {
    __atomic_store_n(&host_pid, self->pid, __ATOMIC_RELAXED);
    uint64_t grown = hami_sizes_subtract(row_bytes(self), row_bytes(find(before->rows, before->count, self->pid)));
    /* Another thread's allocations meanwhile are in the ledger already. */
    bytes = hami_sizes_subtract(grown, hami_sizes_subtract(hami_core_own_bytes(device), before->own_bytes));
  }
  struct hami_charge charge;
  hami_books_force(&charge, device, HAMI_CLASS_CONTEXT, bytes);
  charge.owner = context;
  (void)hami_books_record(HAMI_BOOKS_CONTEXT, (uintptr_t)context, &charge);
}

void hami_contexts_ending(CUcontext context, const void *token) {
  if (context != NULL) {
    hami_probes_forget_context(context);
    hami_books_change_owner(context, token);
  }
}

void hami_contexts_ended(CUcontext context, const void *token, bool destroyed) {
  if (context == NULL) {
    return;
  }
  if (!destroyed) {
    hami_books_change_owner(token, context);
    return;
  }
  hami_devices_forget_contexts();
  hami_books_drop_owner(token);
  (void)hami_pools_refresh();
}

unsigned int hami_contexts_host_pid(void) { return __atomic_load_n(&host_pid, __ATOMIC_RELAXED); }

void hami_contexts_after_fork_in_child(void) { __atomic_store_n(&host_pid, 0, __ATOMIC_RELAXED); }
