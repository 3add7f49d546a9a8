#include "books.h"

#include <stddef.h>

#include "core/core.h"
#include "devices.h"
#include "pools.h"
#include "table.h"

bool hami_books_reserve(struct hami_charge *charge, int device, enum hami_books_class class, uint64_t bytes) {
  *charge = (struct hami_charge){.device = device, .class = class, .bytes = bytes};
  if (device == HAMI_NO_DEVICE || hami_core_reserve(device, class, bytes)) {
    return true;
  }
  /* Pools and graphs give memory back without a call this library sees; what they hold may be out of date. */
  return hami_pools_refresh() && hami_core_reserve(device, class, bytes);
}

bool hami_books_reserve_here(struct hami_charge *charge, enum hami_books_class class, uint64_t bytes) {
  CUcontext context = NULL;
  int device = hami_devices_current(&context);
  bool reserved = hami_books_reserve(charge, device, class, bytes);
  charge->owner = (const void *)context;
  return reserved;
}

void hami_books_force(struct hami_charge *charge, int device, enum hami_books_class class, uint64_t bytes) {
  *charge = (struct hami_charge){.device = device, .class = class, .bytes = bytes};
  if (device != HAMI_NO_DEVICE && bytes != 0) {
    hami_core_force(device, class, bytes);
  }
}

void hami_books_refund(const struct hami_charge *charge) {
  if (charge->device != HAMI_NO_DEVICE && charge->bytes != 0) {
    hami_core_release(charge->device, charge->class, charge->bytes);
  }
}

void hami_books_resize(struct hami_charge *charge, uint64_t bytes) {
  if (charge->device != HAMI_NO_DEVICE && bytes > charge->bytes) {
    hami_core_force(charge->device, charge->class, bytes - charge->bytes);
  } else if (charge->device != HAMI_NO_DEVICE && bytes < charge->bytes) {
    hami_core_release(charge->device, charge->class, charge->bytes - bytes);
  }
  charge->bytes = bytes;
}

void hami_books_merge(struct hami_charge *whole, struct hami_charge *part) {
  whole->bytes += part->bytes;
  part->bytes = 0;
}

bool hami_books_record(enum hami_books_kind kind, uint64_t key, const struct hami_charge *charge) {
  struct hami_charge replaced;
  switch (hami_table_put(kind, key, charge, &replaced)) {
  case HAMI_TABLE_REPLACED:
    if (replaced.class == HAMI_CLASS_POOL) {
      hami_pools_freed(&replaced);
    } else {
      hami_books_refund(&replaced);
    }
    return true;
  case HAMI_TABLE_FULL:
    if (charge->class != HAMI_CLASS_POOL) { /* a pool counts what it holds itself */
      hami_books_refund(charge);
    }
    return false;
  case HAMI_TABLE_ADDED:
  default:
    return true;
  }
}

bool hami_books_take(enum hami_books_kind kind, uint64_t key, struct hami_charge *charge) {
  return hami_table_take(kind, key, charge);
}

void hami_books_change_owner(const void *from, const void *to) { hami_table_change_owner(from, to); }

void hami_books_drop_owner(const void *owner) { hami_table_drop_owner(owner, hami_books_refund); }

bool hami_books_over_limit(int device) { return device != HAMI_NO_DEVICE && hami_core_over_limit(device); }

void hami_books_after_fork_in_child(void) { hami_table_after_fork_in_child(); }
