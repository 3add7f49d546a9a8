/*
 * Finds the charge of a driver object by its key in constant time, with any number of objects: a hash table in
 * independent shards, each under its own lock, in pages of its own (an application's malloc may itself allocate from
 * the driver). Process-local; callable inside wrappers only.
 */
#ifndef HAMI_INTERPOSE_TABLE_H
#define HAMI_INTERPOSE_TABLE_H

#include "books.h"

enum hami_table_put { HAMI_TABLE_ADDED, HAMI_TABLE_REPLACED, HAMI_TABLE_FULL };

/* Stores `charge`; what was under the key before goes to `replaced`. FULL: the kernel has no page left for us. */
enum hami_table_put hami_table_put(enum hami_books_kind kind, uint64_t key, const struct hami_charge *charge,
                                   struct hami_charge *replaced);

/* Copies an entry out; false when there is none. */
bool hami_table_find(enum hami_books_kind kind, uint64_t key, struct hami_charge *charge);

/* Moves an entry out; false when there is none. */
bool hami_table_take(enum hami_books_kind kind, uint64_t key, struct hami_charge *charge);

/* Changes the owner of every entry that `from` owns. Linear in the number of entries. */
void hami_table_change_owner(const void *from, const void *to);

/* Removes the entries `owner` owns, handing each to `dropped` with the shard's lock held. Linear as well. */
void hami_table_drop_owner(const void *owner, void (*dropped)(const struct hami_charge *charge));

/* Forgets everything without a word: the entries are the parent process's. */
void hami_table_after_fork_in_child(void);

#endif
