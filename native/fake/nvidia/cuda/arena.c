/*
 * Addresses. All memory that the double hands out lies in one large range of this process, backed by a sparse memory
 * file: untouched pages cost nothing, pointers are directly usable by the host (managed and pinned memory must be), and
 * another process can map a piece of it. Allocating is O(1), and so is finding the block that an address lies in.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver.h"

#ifdef HAMI_EMULATED /* emulators keep a record of each page, mapped or reserved */
#define LARGEST_ARENA (1ull << 33)
#define SMALLEST_ARENA (1ull << 33)
#else
#define LARGEST_ARENA (1ull << 43) /* 8 TiB */
#define SMALLEST_ARENA (1ull << 36)
#endif
#define SLOT_CLASSES 13u /* 512 B, 1 KiB ... 2 MiB */
#define LARGE_CLASS SLOT_CLASSES

/* 2 MiB of addresses: unused (no blocks), cut into equal slots for small blocks, or part of one large block. */
struct chunk {
  struct fake_block *blocks;
  unsigned slot_class;
};

static char *arena;
static uint64_t file_start; /* of the first chunk in the file */
static uint64_t arena_bytes;
static int arena_file = -1;
static struct chunk *chunks;
static uint64_t chunk_count;
static uint64_t next_chunk;
static struct fake_block *free_slots[SLOT_CLASSES];
static struct fake_block *free_large; /* records only; their addresses are given back */
static uint64_t last_block_id;

static void *reserve(size_t bytes, int flags, int fd) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

bool fake_arena_open(void) {
  arena_file = memfd_create("hami-fake-device-memory", MFD_CLOEXEC);
  bool sized = false;
  for (arena_bytes = LARGEST_ARENA; arena_bytes >= SMALLEST_ARENA && arena == NULL; arena_bytes /= 2) {
    sized = arena_file >= 0 && ftruncate(arena_file, (off_t)arena_bytes) == 0;
    arena =
        sized ? reserve(arena_bytes, MAP_SHARED, arena_file) : reserve(arena_bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    chunk_count = arena_bytes / FAKE_CHUNK_BYTES;
  }
  if (arena != NULL) {
    /* Chunks are found by dividing addresses, so the range starts on a multiple; the file starts there too. */
    size_t skew = (size_t)(FAKE_CHUNK_BYTES - (uintptr_t)arena % FAKE_CHUNK_BYTES) % FAKE_CHUNK_BYTES;
    arena += skew;
    file_start = skew;
    chunk_count -= skew > 0;
  }
  if (arena != NULL && !sized && arena_file >= 0) {
    close(arena_file);
    arena_file = -1;
  }
  chunks = arena == NULL ? NULL : reserve(chunk_count * sizeof *chunks, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (chunks == NULL) {
    fprintf(stderr, "hami fake driver: no room for a %llu GiB address range; raise the limit on virtual memory\n",
            SMALLEST_ARENA >> 30);
    return false;
  }
  arena_bytes = chunk_count * FAKE_CHUNK_BYTES;
  /* A crashing client must not write terabytes of zeroes into a core file. */
  madvise(arena, arena_bytes, MADV_DONTDUMP);
  return true;
}

bool fake_arena_holds(CUdeviceptr address) {
  return address >= (CUdeviceptr)arena && address < (CUdeviceptr)arena + arena_bytes;
}

int fake_arena_fd(void) { return arena_file; }

uint64_t fake_arena_offset(CUdeviceptr address) { return address - (CUdeviceptr)arena + file_start; }

void fake_arena_restore(CUdeviceptr address, size_t bytes) {
  bool filed = arena_file >= 0;
  int flags = (filed ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS) | MAP_FIXED | MAP_NORESERVE;
  (void)mmap((void *)(uintptr_t)address, bytes, PROT_READ | PROT_WRITE, flags, arena_file,
             filed ? (off_t)fake_arena_offset(address) : 0);
}

static unsigned class_of(size_t bytes) {
  unsigned slot_class = 0;
  while ((FAKE_SMALL_BYTES << slot_class) < bytes) {
    slot_class++;
  }
  return slot_class;
}

/* First of `count` unused chunks in a row from `start` on, its address a multiple of `step` chunks; or chunk_count. */
static uint64_t find_run(uint64_t start, uint64_t count, uint64_t step) {
  uint64_t base = (CUdeviceptr)arena / FAKE_CHUNK_BYTES;
  uint64_t run = 0;
  for (uint64_t i = start; i < chunk_count; i++) {
    bool usable = chunks[i].blocks == NULL && (run > 0 || (base + i) % step == 0);
    run = usable ? run + 1 : 0;
    if (run == count) {
      return i + 1 - count;
    }
  }
  return chunk_count;
}

/* Searches onward from the last chunks given out, so that stale pointers are seldom valid again by chance. */
static uint64_t find_chunks(uint64_t count, uint64_t alignment) {
  uint64_t step = alignment > FAKE_CHUNK_BYTES ? alignment / FAKE_CHUNK_BYTES : 1;
  uint64_t first = find_run(next_chunk, count, step);
  if (first == chunk_count) {
    first = find_run(0, count, step);
  }
  if (first != chunk_count) {
    next_chunk = first + count;
  }
  return first;
}

static struct fake_block *new_large(size_t bytes, size_t alignment) {
  uint64_t count = (bytes + FAKE_CHUNK_BYTES - 1) / FAKE_CHUNK_BYTES;
  uint64_t first = count > chunk_count ? chunk_count : find_chunks(count, alignment);
  struct fake_block *block = free_large;
  if (first == chunk_count) {
    return NULL;
  }
  if (block != NULL) {
    free_large = block->next;
  } else {
    block = malloc(sizeof *block);
  }
  if (block == NULL) {
    return NULL;
  }
  for (uint64_t i = first; i < first + count; i++) {
    chunks[i] = (struct chunk){.blocks = block, .slot_class = LARGE_CLASS};
  }
  *block = (struct fake_block){.base = (CUdeviceptr)arena + first * FAKE_CHUNK_BYTES, .span = count * FAKE_CHUNK_BYTES};
  return block;
}

static bool cut_chunk(unsigned slot_class) {
  size_t slot_bytes = FAKE_SMALL_BYTES << slot_class;
  size_t slots = FAKE_CHUNK_BYTES / slot_bytes;
  uint64_t position = find_chunks(1, 0);
  struct fake_block *blocks = position == chunk_count ? NULL : calloc(slots, sizeof *blocks);
  if (blocks == NULL) {
    return false;
  }
  chunks[position] = (struct chunk){.blocks = blocks, .slot_class = slot_class};
  for (size_t i = slots; i-- > 0;) {
    blocks[i].base = (CUdeviceptr)arena + position * FAKE_CHUNK_BYTES + i * slot_bytes;
    blocks[i].span = slot_bytes;
    blocks[i].next = free_slots[slot_class];
    free_slots[slot_class] = &blocks[i];
  }
  return true;
}

static struct fake_block *new_small(unsigned slot_class) {
  if (free_slots[slot_class] == NULL && !cut_chunk(slot_class)) {
    return NULL;
  }
  struct fake_block *block = free_slots[slot_class];
  free_slots[slot_class] = block->next;
  *block = (struct fake_block){.base = block->base, .span = block->span};
  return block;
}

struct fake_block *fake_block_new(size_t size, size_t alignment, enum fake_block_kind kind,
                                  struct fake_context *context) {
  if (size == 0 || size > arena_bytes) {
    return NULL;
  }
  bool large = size >= FAKE_CHUNK_BYTES || alignment >= FAKE_CHUNK_BYTES;
  struct fake_block *block = large ? new_large(size, alignment) : new_small(class_of(size));
  if (block == NULL) {
    return NULL;
  }
  block->size = size;
  block->kind = kind;
  block->live = true;
  block->unit = -1;
  block->id = ++last_block_id;
  block->context = context;
  if (context != NULL) {
    block->next = context->blocks;
    if (context->blocks != NULL) {
      context->blocks->previous = block;
    }
    context->blocks = block;
  }
  return block;
}

void fake_memory_move(struct fake_context *from, struct fake_context *to) {
  struct fake_block *last = NULL;
  for (struct fake_block *block = from->blocks; block != NULL; block = block->next) {
    block->context = to;
    last = block;
  }
  if (last != NULL) {
    last->next = to->blocks;
    if (to->blocks != NULL) {
      to->blocks->previous = last;
    }
    to->blocks = from->blocks;
    from->blocks = NULL;
  }
}

static void unlink_from_context(struct fake_block *block) {
  if (block->context == NULL) {
    return;
  }
  if (block->previous != NULL) {
    block->previous->next = block->next;
  } else {
    block->context->blocks = block->next;
  }
  if (block->next != NULL) {
    block->next->previous = block->previous;
  }
}

/* Pages that were written go back to the system; a slot smaller than a page shares it and keeps it. */
static void give_pages_back(const struct fake_block *block) {
  if (!block->touched || block->span < 4096) {
    return;
  }
  if (arena_file >= 0) {
    (void)fallocate(arena_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)fake_arena_offset(block->base),
                    (off_t)block->span);
  } else {
    madvise((void *)(uintptr_t)block->base, block->span, MADV_DONTNEED);
  }
}

void fake_block_delete(struct fake_block *block) {
  unlink_from_context(block);
  give_pages_back(block);
  block->live = false;
  block->context = NULL;
  uint64_t position = (block->base - (CUdeviceptr)arena) / FAKE_CHUNK_BYTES;
  if (chunks[position].slot_class != LARGE_CLASS) {
    unsigned slot_class = chunks[position].slot_class;
    block->next = free_slots[slot_class];
    free_slots[slot_class] = block;
    return;
  }
  memset(&chunks[position], 0, block->span / FAKE_CHUNK_BYTES * sizeof *chunks);
  block->next = free_large;
  free_large = block;
}

struct fake_block *fake_block_at(CUdeviceptr address) {
  if (!fake_arena_holds(address)) {
    return NULL;
  }
  const struct chunk *chunk = &chunks[(address - (CUdeviceptr)arena) / FAKE_CHUNK_BYTES];
  struct fake_block *block = chunk->blocks;
  if (block != NULL && chunk->slot_class != LARGE_CLASS) {
    block += address % FAKE_CHUNK_BYTES / (FAKE_SMALL_BYTES << chunk->slot_class);
  }
  return block != NULL && block->live && address - block->base < block->size ? block : NULL;
}
