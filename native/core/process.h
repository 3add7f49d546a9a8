/*
 * Processes: who this one is, which others live, and what this one keeps to itself.
 *
 * The private part lies in a page that the kernel wipes in every child made by fork or clone, so that a child starts
 * with nothing, with or without atfork handlers. Where the kernel cannot do that the pid is compared instead.
 */
#ifndef HAMI_CORE_PROCESS_H
#define HAMI_CORE_PROCESS_H

#include "core/effects.h"
#include "core/limits.h"
#include "hami_region_layout.h"

/* A process for as long as the machine runs: pids come back, start times do not. */
struct hami_identity {
  uint32_t pid;
  uint32_t uid;
  uint64_t start_time;    /* 0: unknown */
  uint64_t pid_namespace; /* 0: unknown */
  char command[16];
};

void hami_identity_read(const struct hami_effects *effects, struct hami_identity *identity);

/* True when no process with this pid and start time runs any more. Zombies are dead: they hold no device memory.
 * In doubt (nothing readable) false. */
bool hami_process_dead(const struct hami_effects *effects, uint32_t pid, uint64_t start_time);

struct hami_self {
  uint32_t turn;      /* a turn, see turn.h; guards what follows */
  uint32_t wipes;     /* the kernel wipes this page in children, so `pid` needs no checking */
  uint32_t pid;       /* 0 in a new process */
  uint32_t known;     /* pid of the process that has begun, see hami_self_begun */
  uint64_t ticked_ns; /* read without the turn */
  uint32_t attached;
  uint32_t slot;       /* index over all segments */
  uint64_t owner_word; /* what the slot's owner word must read while the slot is ours */
  uint64_t retry_ns;   /* no attempt to get a slot before */
  struct hami_identity identity;
  uint64_t bytes[HAMI_LIMITS_MAX_DEVICES]; /* sums of the next */
  uint64_t class_bytes[HAMI_LIMITS_MAX_DEVICES][HAMI_REGION_CLASSES];
  uint64_t taken_bytes[HAMI_LIMITS_MAX_DEVICES]; /* all that was ever added to `bytes`; wraps */
};

/* When the first process of this PID namespace started, on the monotonic clock; 0 when /proc does not tell. */
uint64_t hami_namespace_birth_ns(const struct hami_effects *effects);

/* NULL without memory. */
struct hami_self *hami_self_create(const struct hami_effects *effects);
void hami_self_destroy(struct hami_self *self);

/* Takes the process's turn; in a new process everything is empty then. */
void hami_self_enter(struct hami_self *self, const struct hami_effects *effects);
void hami_self_leave(struct hami_self *self);

/* True in each process after the one that created `self`, until hami_self_begun. */
bool hami_self_is_new(const struct hami_self *self, const struct hami_effects *effects);
void hami_self_begun(struct hami_self *self, const struct hami_effects *effects);

#endif
