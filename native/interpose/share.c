#include "share.h"

#include "books.h"
#include "core/core.h"
#include "sizes.h"

static uint64_t smaller(uint64_t left, uint64_t right) { return left < right ? left : right; }

bool hami_share_view(int device, uint64_t card_total_bytes, uint64_t card_free_bytes, struct hami_share *share) {
  uint64_t limit = device == HAMI_NO_DEVICE ? HAMI_UNLIMITED : hami_core_limit_bytes(device);
  if (limit == HAMI_UNLIMITED) {
    return false;
  }
  bool virtual_memory = hami_core_oversubscribes();
  uint64_t used = hami_core_used_bytes(device);
  share->total_bytes = virtual_memory ? limit : smaller(limit, card_total_bytes);
  share->used_bytes = smaller(used, share->total_bytes);
  share->free_bytes = hami_sizes_subtract(share->total_bytes, used);
  if (!virtual_memory) {
    share->free_bytes = smaller(share->free_bytes, card_free_bytes);
  }
  return true;
}
