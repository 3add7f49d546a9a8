/* A made-up outside world for the core: a clock that moves when told, processes that exist when told, a private folder
 * with a region and a limits file. */
#ifndef HAMI_TESTS_WORLD_H
#define HAMI_TESTS_WORLD_H

#include "core/ledger.h"
#include "core/pacing.h"

#define WORLD_GPU_0 "GPU-00000000-0000-0000-0000-000000000000"
#define WORLD_GPU_1 "GPU-11111111-1111-1111-1111-111111111111"
#define MIB (1ULL << 20)

extern uint64_t world_now_ns;
extern uint64_t world_suspended_ns;  /* how long the machine slept */
extern uint64_t world_slept_ns;      /* sum of all sleeps */
extern void (*world_on_sleep)(void); /* called in every sleep; may be NULL */
extern uint32_t world_pid;           /* what effects.pid answers: the process acting now */

extern bool world_files_rest;    /* no file changes: spares the looking */
extern const char *world_limits; /* name of the limits file of processes started from now on */

/* Effects on the made-up clock and processes; files are real. */
extern const struct hami_effects world_effects;

/* Makes the folder, with everything at its start. Removed at exit. */
void world_begin(void);

/* Path of a file in the folder. */
const char *world_path(const char *name);

void world_write(const char *name, const char *text);

/* A process: dead until started, again dead when killed; a second start has another start time. */
void world_start(uint32_t pid);
void world_kill(uint32_t pid);
void world_make_zombie(uint32_t pid);

/* One process's view: limits from world_limits, the region named there. */
struct world_process {
  uint32_t pid;
  struct hami_live_limits limits;
  struct hami_region region;
  struct hami_ledger ledger;
  struct hami_pacing pacing;
};

/* Starts `pid` and opens everything for it. Freed with world_free. */
struct world_process *world_process(uint32_t pid);
void world_free(struct world_process *process);

/* Makes `process` the one that acts. */
void world_act(const struct world_process *process);

/* The ledger's operations, each acting as that process. */
int world_reserve(struct world_process *process, int device, uint64_t bytes);
void world_release(struct world_process *process, int device, uint64_t bytes);
uint64_t world_used(struct world_process *process, int device);

#endif
