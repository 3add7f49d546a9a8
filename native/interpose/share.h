/* How large a device looks from inside the share; one rule for all a vendor's APIs. No state; callable inside wrappers.
 */
#ifndef HAMI_INTERPOSE_SHARE_H
#define HAMI_INTERPOSE_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hami_share {
  uint64_t total_bytes;
  uint64_t used_bytes; /* by all processes of the container */
  uint64_t free_bytes;
};

/* Fills `share` for a card with these values; false when the device has no memory limit and shows itself as it is.
 * Always 0 <= free <= total <= card, except with oversubscription, where the share may exceed the card. */
bool hami_share_view(int device, uint64_t card_total_bytes, uint64_t card_free_bytes, struct hami_share *share);

/* Replaces a card's figures, either of which may be NULL, by the share's; without a limit they stay as they are. */
void hami_share_show(int device, size_t *free_bytes, size_t *total_bytes);

#endif
