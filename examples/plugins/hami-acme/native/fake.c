/* A test double of libacme: the cards of the simulated machine, no computing. */
#include <stdint.h>
#include <stdlib.h>

#include "api.h"
#include "card.h"

#define NO_ROOM 102 /* the card is full: told apart from the end of a share */

const char card_vendor[] = "acme";
const char card_visible_variable[] = "ACME_VISIBLE_DEVICES";

acmeStatus acmeMalloc(void **address, size_t bytes) {
  uint64_t key = 0;
  if (address == NULL) {
    return ACME_INVALID;
  }
  if (!card_take(bytes, &key)) {
    return NO_ROOM;
  }
  *address = (void *)(uintptr_t)key;
  return ACME_SUCCESS;
}

acmeStatus acmeMallocPinned(void **address, size_t bytes) {
  if (address == NULL) {
    return ACME_INVALID;
  }
  *address = malloc(bytes);
  return *address == NULL ? ACME_NO_MEMORY : ACME_SUCCESS;
}

acmeStatus acmeFree(void *address) { return card_give((uintptr_t)address) ? ACME_SUCCESS : ACME_INVALID; }

acmeStatus acmeMemInfo(size_t *free_bytes, size_t *total) {
  if (free_bytes == NULL || total == NULL) {
    return ACME_INVALID;
  }
  *total = card_bytes();
  *free_bytes = card_bytes() - fake_used_bytes();
  return ACME_SUCCESS;
}

acmeStatus acmeGetDevice(int *ordinal) {
  *ordinal = card_current();
  return *ordinal < 0 ? ACME_NO_DEVICE : ACME_SUCCESS;
}

acmeStatus acmeSetDevice(int ordinal) { return card_use(ordinal) ? ACME_SUCCESS : ACME_NO_DEVICE; }
