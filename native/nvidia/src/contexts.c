#include "contexts.h"

#include <pthread.h>

#include "core/core.h"
#include "deferred.h"
#include "devices.h"
#include "growth.h"
#include "pools.h"
#include "probes.h"
#include "sizes.h"
#include "table.h"

/* Two threads may make the same primary context at once: the charge of each is part of it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void hami_contexts_look(struct hami_contexts_snapshot *before, CUdevice ordinal) {
  before->device = hami_devices_of_ordinal(ordinal);
  if (before->device == HAMI_NO_DEVICE) {
    return;
  }
  before->own_bytes = hami_core_own_bytes(before->device);
  hami_own_memory_list(before->device, &before->list);
}

static void record(const void *context, struct hami_charge *charge) {
  struct hami_charge earlier;
  charge->owner = context;
  (void)pthread_mutex_lock(&lock);
  bool known = hami_books_take(HAMI_BOOKS_CONTEXT, (uintptr_t)context, &earlier);
  if (known && earlier.owner == context) {
    hami_books_merge(charge, &earlier);
  } else if (known) {
    hami_books_refund(&earlier); /* of a context that has just ended, and whose address this one got */
  }
  (void)hami_books_record(HAMI_BOOKS_CONTEXT, (uintptr_t)context, charge);
  (void)pthread_mutex_unlock(&lock);
  if (!known) {
    hami_growth_context_made(charge->device);
  }
}

void hami_contexts_made(const struct hami_contexts_snapshot *before, const void *context) {
  int device = before->device;
  if (device == HAMI_NO_DEVICE) {
    return;
  }
  struct hami_own_memory_list list;
  hami_own_memory_list(device, &list);
  uint64_t grown = hami_own_memory_growth(&before->list, &list, before->own_bytes != 0);
  /* Another thread's allocations meanwhile are in the ledger already. */
  uint64_t bytes = hami_sizes_subtract(grown, hami_sizes_subtract(hami_core_own_bytes(device), before->own_bytes));
  struct hami_charge charge;
  hami_books_force(&charge, device, HAMI_CLASS_CONTEXT, bytes);
  record(context, &charge);
}

void hami_contexts_joined(CUdevice ordinal, const void *context) {
  struct hami_charge charge;
  if (!hami_table_find(HAMI_BOOKS_CONTEXT, (uintptr_t)context, &charge)) {
    hami_books_force(&charge, hami_devices_of_ordinal(ordinal), HAMI_CLASS_CONTEXT, 0);
    record(context, &charge);
  }
}

void hami_contexts_ending(const void *context, const void *token) {
  if (context != NULL) {
    hami_probes_forget_context((CUcontext)(uintptr_t)context);
    hami_deferred_context_ending(context);
    hami_books_change_owner(context, token);
  }
}

void hami_contexts_ended(const void *context, const void *token, bool destroyed) {
  if (context == NULL) {
    return;
  }
  hami_deferred_context_ended(context, destroyed);
  if (!destroyed) {
    hami_books_change_owner(token, context);
    return;
  }
  struct hami_charge charge;
  hami_devices_forget_contexts();
  (void)pthread_mutex_lock(&lock);
  bool known = hami_table_find(HAMI_BOOKS_CONTEXT, (uintptr_t)context, &charge) && charge.owner == token &&
               hami_books_take(HAMI_BOOKS_CONTEXT, (uintptr_t)context, &charge);
  (void)pthread_mutex_unlock(&lock);
  hami_books_drop_owner(token);
  (void)hami_pools_refresh();
  if (known) {
    hami_books_refund(&charge);
    hami_growth_context_ended(charge.device);
  }
}

void hami_contexts_after_fork_in_child(void) { lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; }
