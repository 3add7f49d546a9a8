#include "books.h"

#include <stddef.h>

#include "core/core.h"
#include "table.h"
#include "vendor.h"

static uint64_t spilled_bytes[HAMI_LIMITS_MAX_DEVICES];

bool hami_books_reserve(struct hami_charge *charge, int device, enum hami_books_class class, uint64_t bytes) {
  *charge = (struct hami_charge){.device = device, .class = class, .bytes = bytes};
  if (device == HAMI_NO_DEVICE) {
    return true;
  }
  if (hami_vendor.before_reserve != NULL) {
    hami_vendor.before_reserve();
  }
  if (hami_core_reserve(device, class, bytes)) {
    return true;
  }
  /* Some memory goes back without a call this library sees; what is charged for it may be out of date. */
  while (hami_vendor.reclaim != NULL && hami_vendor.reclaim()) {
    if (hami_core_reserve(device, class, bytes)) {
      return true;
    }
  }
  return false;
}

void hami_books_force(struct hami_charge *charge, int device, enum hami_books_class class, uint64_t bytes) {
  *charge = (struct hami_charge){.device = device, .class = class, .bytes = bytes};
  if (device != HAMI_NO_DEVICE && bytes != 0) {
    hami_core_force(device, class, bytes);
  }
}

/* A pool counts what it holds itself: an entry of its memory only says which pool. */
static bool counted_by_pool(const struct hami_charge *charge) {
  return charge->class == HAMI_CLASS_POOL && hami_vendor.pool_freed != NULL;
}

void hami_books_refund(const struct hami_charge *charge) {
  if (charge->device != HAMI_NO_DEVICE && charge->bytes != 0) {
    if (charge->spilled) { /* first, so that what is on the card never looks like less than it is */
      (void)__atomic_sub_fetch(&spilled_bytes[charge->device], charge->bytes, __ATOMIC_SEQ_CST);
    }
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

void hami_books_spill(struct hami_charge *charge) {
  if (charge->device != HAMI_NO_DEVICE) {
    hami_core_reclass(charge->device, charge->class, HAMI_CLASS_MANAGED, charge->bytes);
    (void)__atomic_add_fetch(&spilled_bytes[charge->device], charge->bytes, __ATOMIC_SEQ_CST);
  }
  charge->class = HAMI_CLASS_MANAGED;
  charge->spilled = true;
}

uint64_t hami_books_spilled_bytes(int device) { return __atomic_load_n(&spilled_bytes[device], __ATOMIC_SEQ_CST); }

void hami_books_merge(struct hami_charge *whole, struct hami_charge *part) {
  whole->bytes += part->bytes;
  part->bytes = 0;
}

/* The memory of an entry is gone. */
static void end(const struct hami_charge *charge) {
  if (counted_by_pool(charge)) {
    hami_vendor.pool_freed(charge);
  } else {
    hami_books_refund(charge);
  }
}

bool hami_books_record(enum hami_books_kind kind, uint64_t key, const struct hami_charge *charge) {
  struct hami_charge replaced;
  switch (hami_table_put(kind, key, charge, &replaced)) {
  case HAMI_TABLE_REPLACED:
    end(&replaced);
    return true;
  case HAMI_TABLE_FULL:
    if (!counted_by_pool(charge)) {
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

bool hami_books_settle_made(const struct hami_charge *charge, bool made, enum hami_books_kind kind, uint64_t key) {
  if (!made) {
    hami_books_refund(charge);
    return true;
  }
  return hami_books_record(kind, key, charge);
}

void hami_books_settle_freed(const struct hami_charge *charge, bool known, bool freed, enum hami_books_kind kind,
                             uint64_t key) {
  if (known && freed) {
    end(charge);
  } else if (known) {
    (void)hami_books_record(kind, key, charge);
  }
}

void hami_books_after_fork_in_child(void) {
  for (int device = 0; device < HAMI_LIMITS_MAX_DEVICES; device++) {
    spilled_bytes[device] = 0;
  }
  hami_table_after_fork_in_child();
}
