#include "books.h"

#include "deferred.h"
#include "devices.h"

bool hami_books_reserve_here(struct hami_charge *charge, enum hami_books_class class, uint64_t bytes) {
  (void)hami_deferred_poll(); /* callers allocate in a way that may wait for the card */
  CUcontext context = NULL;
  int device = hami_devices_current(&context);
  bool reserved = hami_books_reserve(charge, device, class, bytes);
  charge->owner = (const void *)context;
  return reserved;
}
