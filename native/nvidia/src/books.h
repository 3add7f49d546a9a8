/* The books, see interpose/books.h, for callers that mean the device and context current in this thread. */
#ifndef HAMI_NVIDIA_BOOKS_H
#define HAMI_NVIDIA_BOOKS_H

#include "interpose/books.h"
#include "vendor.h"

/* Like hami_books_reserve for the current device; its context owns the charge. */
bool hami_books_reserve_here(struct hami_charge *charge, enum hami_books_class class, uint64_t bytes);

#endif
