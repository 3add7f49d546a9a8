#include "card.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cards.h"
#include "common/engine.h"

#define PIECES 4096
#define FIRST_KEY 0x700000000000ULL
#define KEY_STEP 0x1000000000ULL

struct piece {
  uint64_t key;
  uint64_t bytes;
  int references; /* handles and mappings; 0: the place is free */
  int device;
};

struct mapping {
  uint64_t address;
  uint64_t bytes; /* 0: the place is free */
  struct piece *piece;
};

struct stream {
  uint64_t end_ns;
};

struct event {
  uint64_t at_ns;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct piece pieces[PIECES];
static struct mapping mappings[PIECES];
static uint64_t busy_ns;
static uint64_t next_key = FIRST_KEY;
static int refusals;
static struct stream default_stream;

/* What the parent holds is not the child's. */
static void forget(void) {
  (void)pthread_mutex_init(&lock, NULL);
  memset(pieces, 0, sizeof pieces);
  memset(mappings, 0, sizeof mappings);
}

__attribute__((constructor)) static void forget_in_children(void) { (void)pthread_atfork(NULL, NULL, forget); }

static uint64_t now_ns(void) { return cards_state() == NULL ? 0 : fake_clock_now(cards_state()); }

static struct piece *find_locked(uint64_t key) {
  for (int i = 0; i < PIECES; i++) {
    if (pieces[i].references > 0 && pieces[i].key == key) {
      return &pieces[i];
    }
  }
  return NULL;
}

static void drop_locked(struct piece *piece) {
  if (--piece->references == 0) {
    fake_state_uncharge(cards_state(), piece->device, piece->bytes);
  }
}

void fake_refuse_next(int count) {
  (void)pthread_mutex_lock(&lock);
  refusals = count;
  (void)pthread_mutex_unlock(&lock);
}

uint64_t fake_busy_ns(void) { return __atomic_load_n(&busy_ns, __ATOMIC_SEQ_CST); }

static struct piece *free_place_locked(void) {
  for (int i = 0; i < PIECES; i++) {
    if (pieces[i].references == 0) {
      return &pieces[i];
    }
  }
  return NULL;
}

bool card_take(uint64_t bytes, uint64_t *key) {
  bool taken = false;
  int device = cards_device();
  (void)pthread_mutex_lock(&lock);
  struct piece *piece = free_place_locked();
  if (refusals > 0) {
    refusals--;
  } else if (device >= 0 && piece != NULL && fake_state_charge(cards_state(), device, bytes)) {
    next_key += KEY_STEP;
    *piece = (struct piece){.key = next_key, .bytes = bytes, .references = 1, .device = device};
    *key = next_key;
    taken = true;
  }
  (void)pthread_mutex_unlock(&lock);
  return taken;
}

bool card_give(uint64_t key) {
  (void)pthread_mutex_lock(&lock);
  struct piece *piece = find_locked(key);
  if (piece != NULL) {
    drop_locked(piece);
  }
  (void)pthread_mutex_unlock(&lock);
  return piece != NULL;
}

static struct mapping *mapping_locked(uint64_t address) {
  for (int i = 0; i < PIECES; i++) {
    if (mappings[i].bytes > 0 && mappings[i].address == address) {
      return &mappings[i];
    }
  }
  return NULL;
}

bool card_map(uint64_t address, uint64_t bytes, uint64_t key) {
  bool mapped = false;
  (void)pthread_mutex_lock(&lock);
  struct piece *piece = find_locked(key);
  bool usable = piece != NULL && bytes > 0 && mapping_locked(address) == NULL;
  for (int i = 0; usable && i < PIECES && !mapped; i++) {
    if (mappings[i].bytes == 0) {
      mappings[i] = (struct mapping){.address = address, .bytes = bytes, .piece = piece};
      piece->references++;
      mapped = true;
    }
  }
  (void)pthread_mutex_unlock(&lock);
  return mapped;
}

bool card_unmap(uint64_t address) {
  (void)pthread_mutex_lock(&lock);
  struct mapping *mapping = mapping_locked(address);
  if (mapping != NULL) {
    mapping->bytes = 0;
    drop_locked(mapping->piece);
  }
  (void)pthread_mutex_unlock(&lock);
  return mapping != NULL;
}

bool card_retain(uint64_t address, uint64_t *key) {
  (void)pthread_mutex_lock(&lock);
  struct mapping *mapping = mapping_locked(address);
  if (mapping != NULL) {
    mapping->piece->references++;
    *key = mapping->piece->key;
  }
  (void)pthread_mutex_unlock(&lock);
  return mapping != NULL;
}

static struct stream *stream_of(void *stream) { return stream == NULL ? &default_stream : stream; }

void card_launch(void *stream, const void *kernel) {
  const uint64_t *duration_ns = kernel;
  int device = cards_device();
  if (device < 0) {
    return;
  }
  uint64_t end_ns = fake_engine_submit(cards_state(), device, *duration_ns);
  (void)pthread_mutex_lock(&lock);
  stream_of(stream)->end_ns = end_ns;
  (void)pthread_mutex_unlock(&lock);
  (void)__atomic_add_fetch(&busy_ns, *duration_ns, __ATOMIC_SEQ_CST);
}

void *card_stream_create(void) { return calloc(1, sizeof(struct stream)); }
void card_stream_destroy(void *stream) { free(stream); }
void *card_event_create(void) { return calloc(1, sizeof(struct event)); }
void card_event_destroy(void *event) { free(event); }

void card_event_record(void *event, void *stream) {
  struct event *target = event;
  (void)pthread_mutex_lock(&lock);
  uint64_t now = now_ns();
  uint64_t end_ns = stream_of(stream)->end_ns;
  target->at_ns = end_ns > now ? end_ns : now;
  (void)pthread_mutex_unlock(&lock);
}

bool card_event_reached(const void *event) { return ((const struct event *)event)->at_ns <= now_ns(); }

uint64_t card_event_between_ns(const void *begin, const void *end) {
  uint64_t from_ns = ((const struct event *)begin)->at_ns;
  uint64_t to_ns = ((const struct event *)end)->at_ns;
  return to_ns > from_ns ? to_ns - from_ns : 0;
}

void card_synchronise(void *stream) {
  (void)pthread_mutex_lock(&lock);
  uint64_t end_ns = stream_of(stream)->end_ns;
  (void)pthread_mutex_unlock(&lock);
  if (cards_state() != NULL) {
    fake_clock_wait(cards_state(), end_ns);
  }
}
