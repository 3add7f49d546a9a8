/*
 * What makes one vendor's library: its file names, its environment, its table, and the few things it does differently.
 * Each library defines these objects once; constant data, usable before any constructor.
 */
#ifndef HAMI_INTERPOSE_VENDOR_H
#define HAMI_INTERPOSE_VENDOR_H

#include <stdbool.h>

#include "core/limits.h"

struct hami_charge;
struct hami_timer;

struct hami_vendor {
  const char *const *const *libraries; /* by API: file names, NULL-terminated; the first that opens is the driver's */
  const char *const *prefixes;         /* of every wrapped name, NULL-terminated: other lookups are not looked at */
  const struct hami_env_names *environment;
  const char *order;              /* variable by which a program hides and renumbers devices, NULL: see ordinals.h */
  const struct hami_timer *timer; /* how launches are measured, NULL: they are not paced; see launches.h */
  int function_count;
  int hook_count; /* the wrapped functions come first in the table */
  /* May be NULL: called before each allocation, to bring charges up to date for memory that was taken unseen. */
  void (*before_reserve)(void);
  /* May be NULL: brings charges for memory that went back unseen up to date; true when that may have freed some. */
  bool (*reclaim)(void);
  /* May be NULL: for vendors whose pools count what they hold themselves, an allocation out of one is gone. */
  void (*pool_freed)(const struct hami_charge *charge);
  void (*after_fork_in_child)(void); /* may be NULL */
};

extern const struct hami_vendor hami_vendor;

#endif
