#include "share.h"

#include "books.h"
#include "core/core.h"
#include "core/log.h"
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

void hami_share_show(int device, size_t *free_bytes, size_t *total_bytes) {
  struct hami_share share;
  uint64_t card_total = total_bytes == NULL ? UINT64_MAX : *total_bytes;
  uint64_t card_free = free_bytes == NULL ? UINT64_MAX : *free_bytes;
  if (!hami_share_view(device, card_total, card_free, &share)) {
    return;
  }
  HAMI_MSG("orig free=%llu total=%llu limit=%llu usage=%llu", (unsigned long long)card_free,
           (unsigned long long)card_total, (unsigned long long)share.total_bytes, (unsigned long long)share.used_bytes);
  if (total_bytes != NULL) {
    *total_bytes = (size_t)share.total_bytes;
  }
  if (free_bytes != NULL) {
    *free_bytes = (size_t)share.free_bytes;
  }
}
