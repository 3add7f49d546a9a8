#include "table.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

#define SHARD_BITS 4
#define SHARD_COUNT (1U << SHARD_BITS)

/* One page's worth; doubled whenever three quarters are in use. */
#define FIRST_CAPACITY 128U

struct entry {
  uint64_t key;
  uint64_t bytes;
  const void *owner;
  int32_t device;
  uint8_t class;
  uint8_t kind_plus_one; /* 0: empty */
  bool spilled;
};

_Static_assert(sizeof(struct entry) == 32, "two entries a cache line");

struct shard {
  _Alignas(64) pthread_mutex_t lock;
  struct entry *entries; /* NULL until the first entry */
  size_t mask;
  size_t count;
};

static struct shard shards[SHARD_COUNT];

/* The finaliser of splitmix64: driver addresses differ in a few middle bits only. */
static uint64_t hash_of(enum hami_books_kind kind, uint64_t key) {
  uint64_t hash = key ^ ((uint64_t)kind << 60);
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
  return hash ^ (hash >> 31);
}

static struct shard *shard_of(uint64_t hash) { return &shards[hash >> (64 - SHARD_BITS)]; }

/* Slot of the key, or the empty slot where it would go. The table is never full, so the walk ends. */
static size_t slot_of(const struct entry *entries, size_t mask, enum hami_books_kind kind, uint64_t key,
                      uint64_t hash) {
  size_t slot = hash & mask;
  while (entries[slot].kind_plus_one != 0 &&
         (entries[slot].key != key || entries[slot].kind_plus_one != (uint8_t)(kind + 1))) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

static uint64_t entry_hash(const struct entry *entry) {
  return hash_of((enum hami_books_kind)(entry->kind_plus_one - 1), entry->key);
}

static bool grow_locked(struct shard *shard) {
  size_t old_capacity = shard->entries == NULL ? 0 : shard->mask + 1;
  size_t capacity = old_capacity == 0 ? FIRST_CAPACITY : old_capacity * 2;
  int saved_errno = errno;
  struct entry *grown =
      mmap(NULL, capacity * sizeof *grown, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (grown == MAP_FAILED) {
    errno = saved_errno;
    return shard->count < shard->mask; /* slower, still correct, until the last free slot */
  }
  /* Entries lie all over a large table; without large pages each costs a walk of the page tables besides. */
  (void)madvise(grown, capacity * sizeof *grown, MADV_HUGEPAGE);
  for (size_t i = 0; i < old_capacity; i++) {
    const struct entry *entry = &shard->entries[i];
    if (entry->kind_plus_one != 0) {
      enum hami_books_kind kind = (enum hami_books_kind)(entry->kind_plus_one - 1);
      grown[slot_of(grown, capacity - 1, kind, entry->key, entry_hash(entry))] = *entry;
    }
  }
  if (shard->entries != NULL) {
    (void)munmap(shard->entries, old_capacity * sizeof *grown);
  }
  shard->entries = grown;
  shard->mask = capacity - 1;
  errno = saved_errno;
  return true;
}

static struct hami_charge charge_of(const struct entry *entry) {
  return (struct hami_charge){.device = entry->device,
                              .class = (enum hami_books_class)entry->class,
                              .bytes = entry->bytes,
                              .owner = entry->owner,
                              .spilled = entry->spilled};
}

enum hami_table_put hami_table_put(enum hami_books_kind kind, uint64_t key, const struct hami_charge *charge,
                                   struct hami_charge *replaced) {
  uint64_t hash = hash_of(kind, key);
  struct shard *shard = shard_of(hash);
  enum hami_table_put done = HAMI_TABLE_ADDED;
  (void)pthread_mutex_lock(&shard->lock);
  bool crowded = shard->entries == NULL || (shard->count + 1) * 4 > (shard->mask + 1) * 3;
  if (crowded && !grow_locked(shard)) {
    (void)pthread_mutex_unlock(&shard->lock);
    return HAMI_TABLE_FULL;
  }
  struct entry *entry = &shard->entries[slot_of(shard->entries, shard->mask, kind, key, hash)];
  if (entry->kind_plus_one != 0) {
    *replaced = charge_of(entry);
    done = HAMI_TABLE_REPLACED;
  } else {
    shard->count++;
  }
  *entry = (struct entry){.key = key,
                          .bytes = charge->bytes,
                          .owner = charge->owner,
                          .device = charge->device,
                          .class = (uint8_t)charge->class,
                          .kind_plus_one = (uint8_t)(kind + 1),
                          .spilled = charge->spilled};
  (void)pthread_mutex_unlock(&shard->lock);
  return done;
}

bool hami_table_find(enum hami_books_kind kind, uint64_t key, struct hami_charge *charge) {
  uint64_t hash = hash_of(kind, key);
  struct shard *shard = shard_of(hash);
  bool found = false;
  (void)pthread_mutex_lock(&shard->lock);
  if (shard->entries != NULL) {
    const struct entry *entry = &shard->entries[slot_of(shard->entries, shard->mask, kind, key, hash)];
    found = entry->kind_plus_one != 0;
    if (found) {
      *charge = charge_of(entry);
    }
  }
  (void)pthread_mutex_unlock(&shard->lock);
  return found;
}

/* Moves later entries of the run into the hole, so that no walk ends early and no tombstone is left behind. */
static void remove_locked(struct shard *shard, size_t hole) {
  size_t slot = (hole + 1) & shard->mask;
  while (shard->entries[slot].kind_plus_one != 0) {
    size_t home = entry_hash(&shard->entries[slot]) & shard->mask;
    if (((slot - home) & shard->mask) >= ((slot - hole) & shard->mask)) {
      shard->entries[hole] = shard->entries[slot];
      hole = slot;
    }
    slot = (slot + 1) & shard->mask;
  }
  shard->entries[hole].kind_plus_one = 0;
  shard->count--;
}

bool hami_table_take(enum hami_books_kind kind, uint64_t key, struct hami_charge *charge) {
  uint64_t hash = hash_of(kind, key);
  struct shard *shard = shard_of(hash);
  bool found = false;
  (void)pthread_mutex_lock(&shard->lock);
  if (shard->entries != NULL) {
    size_t slot = slot_of(shard->entries, shard->mask, kind, key, hash);
    found = shard->entries[slot].kind_plus_one != 0;
    if (found) {
      *charge = charge_of(&shard->entries[slot]);
      remove_locked(shard, slot);
    }
  }
  (void)pthread_mutex_unlock(&shard->lock);
  return found;
}

void hami_table_change_owner(const void *from, const void *to) {
  for (size_t i = 0; i < SHARD_COUNT; i++) {
    struct shard *shard = &shards[i];
    (void)pthread_mutex_lock(&shard->lock);
    for (size_t slot = 0; shard->entries != NULL && slot <= shard->mask; slot++) {
      if (shard->entries[slot].kind_plus_one != 0 && shard->entries[slot].owner == from) {
        shard->entries[slot].owner = to;
      }
    }
    (void)pthread_mutex_unlock(&shard->lock);
  }
}

void hami_table_drop_owner(const void *owner, void (*dropped)(const struct hami_charge *charge)) {
  for (size_t i = 0; i < SHARD_COUNT; i++) {
    struct shard *shard = &shards[i];
    (void)pthread_mutex_lock(&shard->lock);
    for (size_t slot = 0; shard->entries != NULL && slot <= shard->mask;) {
      if (shard->entries[slot].kind_plus_one != 0 && shard->entries[slot].owner == owner) {
        struct hami_charge charge = charge_of(&shard->entries[slot]);
        remove_locked(shard, slot); /* may move another entry into this slot: look at it again */
        dropped(&charge);
      } else {
        slot++;
      }
    }
    (void)pthread_mutex_unlock(&shard->lock);
  }
}

void hami_table_after_fork_in_child(void) {
  for (size_t i = 0; i < SHARD_COUNT; i++) {
    /* A thread of the parent may have been inside this shard: its pages are left alone, half written as they may be. */
    shards[i] = (struct shard){.lock = PTHREAD_MUTEX_INITIALIZER};
  }
}
