/*
 * Every named stopping point of the library (core/test_point.h), and how often each was passed. The counts lie in
 * memory that all processes of a test share, so that it can be shown that none of the points is never reached.
 */
#ifndef HAMI_TESTS_POINTS_H
#define HAMI_TESTS_POINTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const char *const points[] = {
    "region.draft_made",
    "region.wiped",
    "region.laid_out_empty",
    "region.laid_out_without_magic",
    "region.drafted",
    "region.linked",
    "region.opened",
    "region.locked",
    "region.extended",
    "region.announced",
    "slots.claiming",
    "slots.in_sight",
    "slots.clearing",
    "slots.cleared",
    "slots.filled",
    "ledger.slot_taken",
    "ledger.telling_limits",
    "ledger.before_request",
    "ledger.requested",
    "ledger.weighed",
    "ledger.publishing",
    "ledger.charged",
    "ledger.about_to_reap",
    "reap.found_dead",
    "reap.freed",
    "pacing.learning",
    "pacing.share_followed",
    "pacing.queued",
    "pacing.waiting",
    "pacing.settling",
    "pacing.half_moved",
};
#define POINTS (sizeof points / sizeof *points)

struct visits {
  uint32_t passed[POINTS];
  uint32_t met[POINTS]; /* where a process was killed or stopped */
  uint32_t unknown;     /* passes of points that are not named above */
};

/* POINTS for one that is not named above. */
static inline size_t point_index(const char *name) {
  size_t at = 0;
  while (at < POINTS && strcmp(points[at], name) != 0) {
    at++;
  }
  return at;
}

static inline void note_visit(struct visits *visits, const char *name) {
  size_t at = point_index(name);
  uint32_t *count = at < POINTS ? &visits->passed[at] : &visits->unknown;
  (void)__atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

#endif
