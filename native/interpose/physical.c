#include "physical.h"

#include <pthread.h>
#include <stdlib.h>

#include "table.h"

struct hami_physical {
  uint64_t handle;
  struct hami_charge charge;
  int handles;
  int mappings;
  int pins;
};

struct hami_mapping {
  uint64_t address;
  uint64_t bytes;
  struct hami_physical *physical;
  struct hami_mapping *next;  /* in the list of all mappings, or of taken ones */
  struct hami_mapping **link; /* what points here in the list of all */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hami_mapping *all_mappings;

static struct hami_physical *find_locked(uint64_t handle) {
  struct hami_charge entry;
  return hami_table_find(HAMI_BOOKS_PHYSICAL, handle, &entry) ? (struct hami_physical *)(uintptr_t)entry.owner : NULL;
}

/* Table entries carry the pointer in `owner` and no bytes: the charge is the object's own. */
static bool put_locked(enum hami_books_kind kind, uint64_t key, const void *object, uint64_t bytes) {
  struct hami_charge entry = {.device = HAMI_NO_DEVICE, .class = HAMI_CLASS_PHYSICAL, .bytes = bytes, .owner = object};
  struct hami_charge replaced;
  return hami_table_put(kind, key, &entry, &replaced) != HAMI_TABLE_FULL;
}

static bool add_mapping_locked(struct hami_mapping *mapping) {
  if (!put_locked(HAMI_BOOKS_MAPPING, mapping->address, mapping, mapping->bytes)) {
    return false;
  }
  mapping->next = all_mappings;
  mapping->link = &all_mappings;
  if (all_mappings != NULL) {
    all_mappings->link = &mapping->next;
  }
  all_mappings = mapping;
  return true;
}

static void take_mapping_locked(struct hami_mapping *mapping, struct hami_mapping **taken) {
  struct hami_charge entry;
  (void)hami_table_take(HAMI_BOOKS_MAPPING, mapping->address, &entry);
  *mapping->link = mapping->next;
  if (mapping->next != NULL) {
    mapping->next->link = mapping->link;
  }
  mapping->physical->pins++;
  mapping->next = *taken;
  *taken = mapping;
}

static void drop_if_unused_locked(struct hami_physical *physical) {
  if (physical->handles > 0 || physical->mappings > 0 || physical->pins > 0) {
    return;
  }
  /* The driver may have given the same handle to a new allocation by now; that entry is not ours to remove. */
  struct hami_charge entry;
  if (find_locked(physical->handle) == physical) {
    (void)hami_table_take(HAMI_BOOKS_PHYSICAL, physical->handle, &entry);
  }
  hami_books_refund(&physical->charge);
  free(physical);
}

bool hami_physical_created(uint64_t handle, const struct hami_charge *charge) {
  struct hami_physical *physical = calloc(1, sizeof *physical);
  if (physical == NULL) {
    hami_books_refund(charge);
    return false;
  }
  *physical = (struct hami_physical){.handle = handle, .charge = *charge, .handles = 1};
  (void)pthread_mutex_lock(&lock);
  bool stored = put_locked(HAMI_BOOKS_PHYSICAL, handle, physical, 0);
  if (!stored) {
    physical->handles = 0;
    drop_if_unused_locked(physical);
  }
  (void)pthread_mutex_unlock(&lock);
  return stored;
}

struct hami_physical *hami_physical_pin(uint64_t handle) {
  (void)pthread_mutex_lock(&lock);
  struct hami_physical *physical = find_locked(handle);
  if (physical != NULL) {
    physical->pins++;
  }
  (void)pthread_mutex_unlock(&lock);
  return physical;
}

void hami_physical_unpin(struct hami_physical *physical, int handles, int mappings) {
  if (physical == NULL) {
    return;
  }
  (void)pthread_mutex_lock(&lock);
  physical->pins--;
  physical->handles += handles;
  physical->mappings += mappings;
  drop_if_unused_locked(physical);
  (void)pthread_mutex_unlock(&lock);
}

void hami_physical_remap(struct hami_physical *physical, int mappings) {
  (void)pthread_mutex_lock(&lock);
  physical->mappings += mappings;
  drop_if_unused_locked(physical);
  (void)pthread_mutex_unlock(&lock);
}

bool hami_physical_mapped(struct hami_physical *physical, uint64_t address, uint64_t bytes) {
  struct hami_mapping *mapping = calloc(1, sizeof *mapping);
  if (mapping == NULL) {
    return false;
  }
  *mapping = (struct hami_mapping){.address = address, .bytes = bytes, .physical = physical};
  (void)pthread_mutex_lock(&lock);
  bool stored = add_mapping_locked(mapping);
  (void)pthread_mutex_unlock(&lock);
  if (!stored) {
    free(mapping);
  }
  return stored;
}

struct hami_mapping *hami_physical_take_mappings(uint64_t address, uint64_t bytes) {
  struct hami_mapping *taken = NULL;
  uint64_t end = bytes > UINT64_MAX - address ? UINT64_MAX : address + bytes;
  (void)pthread_mutex_lock(&lock);
  /* The driver unmaps whole mappings only, mostly one, or several side by side. */
  struct hami_charge entry;
  while (address < end && hami_table_find(HAMI_BOOKS_MAPPING, address, &entry)) {
    take_mapping_locked((struct hami_mapping *)(uintptr_t)entry.owner, &taken);
    address += entry.bytes;
  }
  /* A mapping this library does not know (of an import) hides what may follow it. */
  for (struct hami_mapping *mapping = address < end ? all_mappings : NULL; mapping != NULL;) {
    struct hami_mapping *next = mapping->next;
    if (mapping->address >= address && mapping->address < end) {
      take_mapping_locked(mapping, &taken);
    }
    mapping = next;
  }
  (void)pthread_mutex_unlock(&lock);
  return taken;
}

void hami_physical_settle_mappings(struct hami_mapping *taken, bool unmapped) {
  while (taken != NULL) {
    struct hami_mapping *mapping = taken;
    taken = mapping->next;
    (void)pthread_mutex_lock(&lock);
    bool kept = !unmapped && add_mapping_locked(mapping);
    (void)pthread_mutex_unlock(&lock);
    hami_physical_unpin(mapping->physical, 0, kept ? 0 : -1);
    if (!kept) {
      free(mapping);
    }
  }
}

void hami_physical_after_fork_in_child(void) {
  lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  all_mappings = NULL;
}
