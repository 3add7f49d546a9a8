/*
 * What this process holds on each device, kept against the container's ledger: a charge is reserved before the driver
 * is asked and settled by its answer, and every object the driver handed out is found again in constant time.
 *
 * Devices are ledger indices; HAMI_NO_DEVICE means "nothing to count" (no context, host memory, a device without a
 * lease) and makes every operation succeed without effect. Keys are driver addresses or handles, one table per kind,
 * because the driver may use one number for a pointer and for a handle. Callable inside wrappers only.
 */
#ifndef HAMI_INTERPOSE_BOOKS_H
#define HAMI_INTERPOSE_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

#define HAMI_NO_DEVICE (-1)

enum hami_books_kind {
  HAMI_BOOKS_POINTER, /* the address of an allocation */
  HAMI_BOOKS_ARRAY,
  HAMI_BOOKS_MIPMAP,
  HAMI_BOOKS_EXTERNAL, /* imported memory of another API */
  HAMI_BOOKS_CONTEXT,
  HAMI_BOOKS_PHYSICAL, /* a handle of physical memory; kept by physical.c */
  HAMI_BOOKS_MAPPING,  /* start address of a mapping of it; kept by physical.c */
  HAMI_BOOKS_GRAPH,    /* an executable graph that holds memory */
  HAMI_BOOKS_ATTACHED, /* a context; the entry's bytes count its users besides its maker */
};

/* What memory is held as; the ledger keeps one sum for each, for monitors. */
enum hami_books_class {
  HAMI_CLASS_BUFFER,
  HAMI_CLASS_MANAGED,
  HAMI_CLASS_POOL,
  HAMI_CLASS_PHYSICAL,
  HAMI_CLASS_ARRAY,
  HAMI_CLASS_CONTEXT,
  HAMI_CLASS_GRAPH,
  HAMI_CLASS_EXTERNAL,
};

/* One amount on one device; `owner` is the context or pool whose end also ends the memory, NULL where none does.
 * `spilled`: it lies in host memory because the card was full, whatever call it was asked for by. */
struct hami_charge {
  int device;
  enum hami_books_class class;
  uint64_t bytes;
  const void *owner;
  bool spilled;
};

/* Reserves `bytes` on `device`, or returns false and changes nothing. Asks the vendor to reclaim before it refuses. */
bool hami_books_reserve(struct hami_charge *charge, int device, enum hami_books_class class, uint64_t bytes);

/* Counts memory the driver holds already, limit or not; later reservations see it. */
void hami_books_force(struct hami_charge *charge, int device, enum hami_books_class class, uint64_t bytes);

/* Gives an amount back. */
void hami_books_refund(const struct hami_charge *charge);

/* Makes a charge `bytes` large. Growth is forced: the driver holds it by now. */
void hami_books_resize(struct hami_charge *charge, uint64_t bytes);

/* What was reserved turned out to be host memory: counted as managed from now on, and not resized any more. The sum
 * does not change. How much of such memory this process holds for a device. */
void hami_books_spill(struct hami_charge *charge);
uint64_t hami_books_spilled_bytes(int device);

/* Remembers a charge under the driver's key. What was under that key is refunded: the driver has reused the key, so
 * that object is gone. False when there is no memory to remember it; the charge is refunded then. */
bool hami_books_record(enum hami_books_kind kind, uint64_t key, const struct hami_charge *charge);

/* Takes an entry out; false for a key this library never saw. Before the driver frees it, or the address may be in use
 * again by the time the entry goes. */
bool hami_books_take(enum hami_books_kind kind, uint64_t key, struct hami_charge *charge);

/* Adds `part` to `whole`, both of one device and class; `part` is empty after. */
void hami_books_merge(struct hami_charge *whole, struct hami_charge *part);

/*
 * A context takes all it owns with it, and the driver may give its address to a new one at once. So its entries are
 * handed to a token before it is destroyed, and dropped with their charges, or handed back, by the driver's answer.
 */
void hami_books_change_owner(const void *from, const void *to);
void hami_books_drop_owner(const void *owner);

/* True when more is charged on `device` than its limit allows: something grew past what had been reserved for it. */
bool hami_books_over_limit(int device);

/* How an allocation ends: keeps the reservation under the driver's key, or gives it back when the driver `made`
 * nothing. False: it was made and cannot be remembered, so it cannot be given back in the books either. The charge is
 * refunded; the caller frees the memory and reports out of memory. */
bool hami_books_settle_made(const struct hami_charge *charge, bool made, enum hami_books_kind kind, uint64_t key);

/* How a free ends. `known`: the entry was taken before the driver was asked. A refused free puts it back. */
void hami_books_settle_freed(const struct hami_charge *charge, bool known, bool freed, enum hami_books_kind kind,
                             uint64_t key);

/* fork(2): the child holds nothing; the parent's objects are not its own. */
void hami_books_after_fork_in_child(void);

#endif
