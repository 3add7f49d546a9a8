/*
 * Wrapper bodies, one for each thing that a vendor's function may do with memory or time. gen/generate.py puts one
 * under every row of a vendor's table; functions that do more than one of these have a body of their own in the
 * vendor's src.
 *
 * A vendor's api.h says HAMI_SUCCESS, HAMI_OUT_OF_MEMORY (what the caller gets where the share is used up) and
 * HAMI_MISSING (what a function answers that the driver lacks); the vendor's sources define hami_device_current.
 */
#ifndef HAMI_INTERPOSE_WRAP_H
#define HAMI_INTERPOSE_WRAP_H

#include "books.h"
#include "hook.h"
#include "launches.h"
#include "ordinals.h"
#include "physical.h"
#include "share.h"
#include "sizes.h"
#include "symbol_lookup.h"

/* Ledger index of the device that calls of this thread go to. */
int hami_device_current(void);

/* Addresses and handles are pointers with some vendors and numbers with others. */
#define HAMI_KEY(value) ((uint64_t)(uintptr_t)(value))

/* Gives back to the driver what cannot be written down. */
#define HAMI_UNDO(name, ...)                                                                                           \
  do {                                                                                                                 \
    __typeof__(&(name)) hami_undo = HAMI_REAL(name);                                                                   \
    if (hami_undo != NULL) {                                                                                           \
      (void)hami_undo(__VA_ARGS__);                                                                                    \
    }                                                                                                                  \
  } while (0)

/* `bytes` are reserved before the driver is asked, `took` are what it took once it has answered. */
#define HAMI_WRAP_ALLOCATE(out, on, as, kind, bytes, took, undo, name, ...)                                            \
  HAMI_ENTER(HAMI_MISSING, name, __VA_ARGS__)                                                                          \
  if ((out) == NULL) {                                                                                                 \
    HAMI_LEAVE(real(__VA_ARGS__)); /* an argument error is the driver's to report, whatever the size */                \
  }                                                                                                                    \
  struct hami_charge hami_taken;                                                                                       \
  __typeof__(real(__VA_ARGS__)) hami_result = HAMI_OUT_OF_MEMORY;                                                      \
  if (hami_books_reserve(&hami_taken, on, as, bytes)) {                                                                \
    hami_result = real(__VA_ARGS__);                                                                                   \
    bool hami_made = hami_result == HAMI_SUCCESS;                                                                      \
    if (hami_made) {                                                                                                   \
      hami_books_resize(&hami_taken, took);                                                                            \
    }                                                                                                                  \
    if (!hami_books_settle_made(&hami_taken, hami_made, kind, hami_made ? HAMI_KEY(*(out)) : 0)) {                     \
      undo;                                                                                                            \
      hami_result = HAMI_OUT_OF_MEMORY;                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  HAMI_LEAVE(hami_result)

#define HAMI_WRAP_FREE(key, kind, name, ...)                                                                           \
  HAMI_ENTER(HAMI_MISSING, name, __VA_ARGS__)                                                                          \
  struct hami_charge hami_taken;                                                                                       \
  uint64_t hami_key = HAMI_KEY(key);                                                                                   \
  bool hami_known = hami_books_take(kind, hami_key, &hami_taken);                                                      \
  __typeof__(real(__VA_ARGS__)) hami_result = real(__VA_ARGS__);                                                       \
  hami_books_settle_freed(&hami_taken, hami_known, hami_result == HAMI_SUCCESS, kind, hami_key);                       \
  HAMI_LEAVE(hami_result)

/* Physical memory behind a handle: lives as long as the handle or a mapping of it. */
#define HAMI_WRAP_CREATE(out, on, bytes, undo, name, ...)                                                              \
  HAMI_ENTER(HAMI_MISSING, name, __VA_ARGS__)                                                                          \
  if ((out) == NULL) {                                                                                                 \
    HAMI_LEAVE(real(__VA_ARGS__));                                                                                     \
  }                                                                                                                    \
  struct hami_charge hami_taken;                                                                                       \
  __typeof__(real(__VA_ARGS__)) hami_result = HAMI_OUT_OF_MEMORY;                                                      \
  if (hami_books_reserve(&hami_taken, on, HAMI_CLASS_PHYSICAL, bytes)) {                                               \
    hami_result = real(__VA_ARGS__);                                                                                   \
    if (hami_result != HAMI_SUCCESS) {                                                                                 \
      hami_books_refund(&hami_taken);                                                                                  \
    } else if (!hami_physical_created(HAMI_KEY(*(out)), &hami_taken)) {                                                \
      undo;                                                                                                            \
      hami_result = HAMI_OUT_OF_MEMORY;                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  HAMI_LEAVE(hami_result)

#define HAMI_WRAP_RELEASE(handle, name, ...)                                                                           \
  HAMI_ENTER(HAMI_MISSING, name, __VA_ARGS__)                                                                          \
  struct hami_physical *hami_object = hami_physical_pin(HAMI_KEY(handle));                                             \
  __typeof__(real(__VA_ARGS__)) hami_result = real(__VA_ARGS__);                                                       \
  hami_physical_unpin(hami_object, hami_result == HAMI_SUCCESS ? -1 : 0, 0);                                           \
  HAMI_LEAVE(hami_result)

/* One more reference to the handle that `out` receives. */
#define HAMI_WRAP_RETAIN(out, name, ...)                                                                               \
  HAMI_ENTER(HAMI_MISSING, name, __VA_ARGS__)                                                                          \
  __typeof__(real(__VA_ARGS__)) hami_result = real(__VA_ARGS__);                                                       \
  if (hami_result == HAMI_SUCCESS && (out) != NULL) {                                                                  \
    hami_physical_unpin(hami_physical_pin(HAMI_KEY(*(out))), 1, 0);                                                    \
  }                                                                                                                    \
  HAMI_LEAVE(hami_result)

#define HAMI_WRAP_MAP(address, bytes, handle, undo, name, ...)                                                         \
  HAMI_ENTER(HAMI_MISSING, name, __VA_ARGS__)                                                                          \
  struct hami_physical *hami_object = hami_physical_pin(HAMI_KEY(handle));                                             \
  __typeof__(real(__VA_ARGS__)) hami_result = real(__VA_ARGS__);                                                       \
  bool hami_mapped = hami_object != NULL && hami_result == HAMI_SUCCESS;                                               \
  if (hami_mapped && !hami_physical_mapped(hami_object, HAMI_KEY(address), bytes)) {                                   \
    undo;                                                                                                              \
    hami_mapped = false;                                                                                               \
    hami_result = HAMI_OUT_OF_MEMORY;                                                                                  \
  }                                                                                                                    \
  hami_physical_unpin(hami_object, 0, hami_mapped ? 1 : 0);                                                            \
  HAMI_LEAVE(hami_result)

/* `bytes` is 1 where the vendor unmaps the mapping that starts at the address. */
#define HAMI_WRAP_UNMAP(address, bytes, name, ...)                                                                     \
  HAMI_ENTER(HAMI_MISSING, name, __VA_ARGS__)                                                                          \
  struct hami_mapping *hami_mappings = hami_physical_take_mappings(HAMI_KEY(address), bytes);                          \
  __typeof__(real(__VA_ARGS__)) hami_result = real(__VA_ARGS__);                                                       \
  hami_physical_settle_mappings(hami_mappings, hami_result == HAMI_SUCCESS);                                           \
  HAMI_LEAVE(hami_result)

#define HAMI_WRAP_INFO(free_bytes, total_bytes, on, name, ...)                                                         \
  HAMI_ENTER(HAMI_MISSING, name, __VA_ARGS__)                                                                          \
  __typeof__(real(__VA_ARGS__)) hami_result = real(__VA_ARGS__);                                                       \
  if (hami_result == HAMI_SUCCESS) {                                                                                   \
    hami_share_show(on, free_bytes, total_bytes);                                                                      \
  }                                                                                                                    \
  HAMI_LEAVE(hami_result)

/* `what` tells launches of different length apart; `on` may be HAMI_NO_DEVICE: no launch after all. */
#define HAMI_WRAP_LAUNCH(what, stream, on, name, ...)                                                                  \
  HAMI_ENTER(HAMI_MISSING, name, __VA_ARGS__)                                                                          \
  struct hami_launch hami_launch;                                                                                      \
  hami_launches_begin(&hami_launch, on, HAMI_KEY(what), (void *)(stream));                                             \
  __typeof__(real(__VA_ARGS__)) hami_result = real(__VA_ARGS__);                                                       \
  hami_launches_end(&hami_launch, hami_result == HAMI_SUCCESS);                                                        \
  HAMI_LEAVE(hami_result)

/* The driver chooses the function, by version and stream; if it is one that is wrapped, its wrapper is the answer. */
#define HAMI_WRAP_LOOKUP(found, name, ...)                                                                             \
  __typeof__(&(name)) real = HAMI_REAL(name);                                                                          \
  if (__builtin_expect(real == NULL, 0)) {                                                                             \
    return HAMI_MISSING;                                                                                               \
  }                                                                                                                    \
  __typeof__(real(__VA_ARGS__)) hami_result = real(__VA_ARGS__);                                                       \
  if (hami_result == HAMI_SUCCESS && (found) != NULL) {                                                                \
    *(found) = hami_lookup_substitute_address(*(found));                                                               \
  }                                                                                                                    \
  return hami_result

#endif
