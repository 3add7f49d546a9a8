/*
 * Random schedules over a whole library: processes with threads that get and give back memory in every way, on a driver
 * that refuses the k-th call, with one process killed or stopped at a named point of the shared books, or the region
 * overwritten under them. Checked in each: together they never hold more than the share, the others finish, and the
 * dead leave nothing behind.
 *
 *   PROGRAM SCHEDULES [FIRST_SEED]
 *
 * Run inside a share of 1000 MiB with the testing library. The seed of a failing schedule is printed; give it as
 * FIRST_SEED, with one schedule, to see it again. The first schedules take every point in turn, and each point must
 * have been passed when they are through.
 */
#ifndef HAMI_TESTS_SCHEDULES_H
#define HAMI_TESTS_SCHEDULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULES_SHARE_MIB 1000U

/* In memory that is not under test, so that the account does not depend on it. */
struct schedules_board {
  uint64_t granted_mib; /* without the victim's: what it held may be taken over at its death */
  uint32_t vandalised;  /* the region is not to be believed: each process is held by its own books */
};

extern struct schedules_board *schedules_board;

struct schedules_subject {
  const char *const *refusals; /* calls that the driver can be made to refuse */
  size_t refusal_count;
  /* Lets the environment make the driver refuse the k-th such call; NULL: none. */
  void (*refuse)(const char *call, unsigned int k);
  /* One process's life: threads that get and give back memory; checks what it is told. */
  void (*work)(unsigned int seed);
  void (*take_everything)(void); /* the whole share must be free */
  bool launches;                 /* the work paces */
};

int schedules_main(const struct schedules_subject *tested, int count, char **arguments);

/* Noted after a grant and before a release: never more than is really granted, so a sum above the share is an
 * over-commitment without doubt. Returns what this process holds. */
uint64_t schedules_note(int64_t mib);

#endif
