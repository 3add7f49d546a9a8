#include "imports.h"

#include "books.h"
#include "core/core.h"
#include "devices.h"
#include "growth.h"
#include "own_memory.h"
#include "sizes.h"

/* No import is smaller: physical memory comes in pieces of 2 MiB, and what IPC handles show is made of them. */
#define SMALLEST_BYTES (2ULL << 20)

static bool learnt;

void hami_imports_begin(struct hami_import *import) {
  import->device = HAMI_NO_DEVICE;
  int device = __atomic_load_n(&learnt, __ATOMIC_RELAXED) ? HAMI_NO_DEVICE : hami_devices_current(NULL);
  if (device != HAMI_NO_DEVICE && hami_own_memory_read(device, &import->held_bytes)) {
    import->taken_bytes = hami_core_taken_bytes(device);
    import->device = device;
  }
}

void hami_imports_end(const struct hami_import *import, int ordinal) {
  uint64_t held;
  hami_growth_expect(HAMI_GROWTH_MORE);
  if (import->device == HAMI_NO_DEVICE || ordinal < 0 || hami_devices_of_ordinal(ordinal) != import->device ||
      !hami_own_memory_read(import->device, &held)) {
    return;
  }
  /* What other threads allocated meanwhile is charged. */
  uint64_t others = hami_core_taken_bytes(import->device) - import->taken_bytes;
  if (hami_sizes_subtract(hami_sizes_subtract(held, import->held_bytes), others) >= SMALLEST_BYTES) {
    hami_growth_blur();
  }
  __atomic_store_n(&learnt, true, __ATOMIC_RELAXED);
}

void hami_imports_dropped(void) { hami_growth_expect(HAMI_GROWTH_LESS); }

void hami_imports_after_fork_in_child(void) { __atomic_store_n(&learnt, false, __ATOMIC_RELAXED); }
