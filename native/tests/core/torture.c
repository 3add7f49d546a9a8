/*
 * Real processes and threads on one region, killed or stopped at named points by random schedules. Checked in each:
 * what is granted never exceeds the limit, the others go on, and the dead leave nothing behind. The first schedules
 * take every point in turn; after these each point was passed, and a process killed and another stopped there.
 *
 *   torture SCHEDULES [FIRST_SEED]
 *
 * TORTURE_LOG=3 shows what the core says. The seed of a failing schedule is printed; give it as FIRST_SEED, with one
 * schedule, to see it again.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/log.h"
#include "core/process.h"
#include "core/slots.h"
#include "core/test_point.h"
#include "points.h"
#include "world.h"

#define LIMIT_MIB 64U
#define WORKERS 3U
#define THREADS 2U
#define OPERATIONS 40U
#define HOLDINGS 4U
#define MS 1000000U
#define LONG_NS (60U * MS) /* more than a launch may run ahead of its position */
#define PATIENCE_S 60U     /* for a bound that is milliseconds on an idle machine */

enum fate { LIVES, IS_KILLED, IS_STOPPED, FATES };

/* In memory that is not under test, so that the account does not depend on it. */
struct account {
  uint64_t granted_mib; /* without the victim's: what it held may be taken over at its death */
  uint32_t ready;
  uint32_t fate_met;    /* or the victim went by */
  struct visits visits; /* of all schedules */
};

static struct account *account;

/* A process's own; nothing but the region is shared. */
static struct hami_live_limits limits;
static struct hami_region region;
static struct hami_ledger ledger;
static struct hami_pacing pacing;
static bool victim;
static enum fate fate;
static uint64_t estimate_ns; /* of launches */
static bool in_turn;         /* the victim goes first, so that it comes to its point whoever does what there */
static const char *fatal_point;
static uint32_t visits_left;

static const char *variable(const char *name) {
  return strcmp(name, HAMI_LIMITS_FILE_VARIABLE) == 0 ? world_path("limits") : NULL;
}

static void open_all(void) {
  static const struct hami_env_names no_names;
  CHECK(hami_live_limits_open(&limits, &hami_effects_system, &no_names, variable));
  CHECK(hami_ledger_open(&ledger, &hami_effects_system, &limits, &region));
  CHECK(hami_pacing_open(&pacing, &hami_effects_system, &limits, &region));
  hami_ledger_tick(&ledger, hami_effects_system.coarse_ns());
}

static void meet_fate(const char *point) {
  note_visit(&account->visits, point);
  if (victim && strcmp(point, fatal_point) == 0 && __atomic_fetch_sub(&visits_left, 1, __ATOMIC_RELAXED) == 1) {
    (void)__atomic_add_fetch(&account->visits.met[point_index(point)], 1, __ATOMIC_RELAXED);
    __atomic_store_n(&account->fate_met, 1, __ATOMIC_RELEASE);
    (void)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), fate == IS_KILLED ? SIGKILL : SIGSTOP);
  }
}

/* Noted after a grant and before a release: never more than is really granted, so a sum above the limit is an
 * over-commitment without doubt. */
static void note(int64_t mib) {
  if (!victim) {
    uint64_t sum = __atomic_add_fetch(&account->granted_mib, (uint64_t)mib, __ATOMIC_SEQ_CST);
    CHECK(sum <= LIMIT_MIB);
  }
}

static void work_once(unsigned int *seed, uint32_t held[HOLDINGS]) {
  uint32_t *slot = &held[(uint32_t)rand_r(seed) % HOLDINGS];
  unsigned int class = (unsigned int)(slot - held);
  if (*slot != 0) {
    note(-(int64_t)*slot);
    hami_ledger_release(&ledger, 0, class, *slot * MIB);
    *slot = 0;
    return;
  }
  uint32_t wanted = 1 + (uint32_t)rand_r(seed) % 24;
  if (hami_ledger_reserve(&ledger, 0, class, wanted * MIB)) {
    *slot = wanted;
    note(wanted);
  }
  if (rand_r(seed) % 8 == 0) {
    uint64_t charged = hami_pacing_admit(&pacing, 0, estimate_ns, NULL);
    hami_pacing_settle(&pacing, 0, charged, estimate_ns == LONG_NS ? LONG_NS : 1000 + (uint64_t)rand_r(seed) % MS, 1);
  }
}

static void *work(void *number) {
  unsigned int seed = (unsigned int)(uintptr_t)number;
  uint32_t held[HOLDINGS] = {0};
  for (unsigned int i = 0; i < OPERATIONS; i++) {
    work_once(&seed, held);
  }
  for (unsigned int class = 0; class < HOLDINGS; class++) {
    note(-(int64_t)held[class]);
    hami_ledger_release(&ledger, 0, class, held[class] * MIB);
  }
  return NULL;
}

static void run_worker(unsigned int seed) {
  pthread_t threads[THREADS];
  (void)__atomic_add_fetch(&account->ready, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&account->ready, __ATOMIC_SEQ_CST) < WORKERS) {
    (void)sched_yield();
  }
  while (in_turn && !victim && __atomic_load_n(&account->fate_met, __ATOMIC_ACQUIRE) == 0) {
    (void)usleep(100);
  }
  open_all();
  for (uint32_t i = 0; i < THREADS; i++) {
    CHECK(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(seed * 100 + i)) == 0);
  }
  for (uint32_t i = 0; i < THREADS; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  if (victim) {
    __atomic_store_n(&account->fate_met, 1, __ATOMIC_RELEASE);
  }
}

static pid_t start(void (*body)(unsigned int), unsigned int seed) {
  (void)fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    (void)alarm(PATIENCE_S); /* whoever hangs is ended by it, and the parent sees that */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    body(seed);
    _exit(0);
  }
  return child;
}

/* Fills the first segment with slots of this living process, so that the next process must grow the table. */
static void fill_segment(unsigned int unused) {
  struct hami_identity identity = {.pid = (uint32_t)getppid(), .command = "filler"};
  uint64_t word;
  uint32_t slot;
  (void)unused;
  CHECK_EQUAL(HAMI_REGION_OK, hami_region_attach(&region, &hami_effects_system, world_path("region"), 1));
  for (uint32_t i = 0; i < HAMI_REGION_SLOTS_PER_SEGMENT; i++) {
    CHECK(hami_slots_claim(&region, &identity, &slot, &word));
  }
}

/* A process dies and leaves a charge behind: the others have somebody to clear away. */
static void die_holding(unsigned int unused) {
  (void)unused;
  open_all();
  CHECK(hami_ledger_reserve(&ledger, 0, 0, LIMIT_MIB / 2 * MIB));
}

/* An empty region, as where there are no hard links: it is filled under the file's lock. */
static void leave_empty_region(void) {
  int fd = open(world_path("region"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  CHECK(fd >= 0 && close(fd) == 0);
}

/* The whole limit is free again: nobody's charge outlived its owner. */
static void take_everything(unsigned int unused) {
  (void)unused;
  open_all();
  CHECK(hami_region_ready(&region));
  CHECK(hami_ledger_reserve(&ledger, 0, 0, LIMIT_MIB * MIB));
}

static void expect_success(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(0, status);
}

static void await_victim(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, WUNTRACED) == child);
  if (WIFSTOPPED(status)) {
    CHECK(kill(child, SIGCONT) == 0);
    CHECK(waitpid(child, &status, 0) == child);
  }
  CHECK(status == 0 || (fate == IS_KILLED && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
}

static bool begins(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

static void draw_fate(unsigned int schedule, unsigned int *seed) {
  in_turn = schedule <= 2 * POINTS;
  fate = in_turn ? (schedule > POINTS ? IS_KILLED : IS_STOPPED) : (enum fate)(rand_r(seed) % FATES);
  fatal_point = points[(in_turn ? schedule - 1 : (unsigned int)rand_r(seed)) % POINTS];
  visits_left = in_turn ? 1 : 1 + (uint32_t)rand_r(seed) % 6;
  if (begins(fatal_point, "region.") || begins(fatal_point, "slots.")) {
    visits_left = 1; /* passed once in a process's life */
  }
  /* Launches that wait for real, and requests beside one that is stopped for good: few schedules can afford them. */
  bool patient = in_turn || schedule % 16 == 0;
  bool learns = strcmp(fatal_point, "pacing.learning") == 0;
  bool waits = strcmp(fatal_point, "pacing.waiting") == 0;
  bool requests = begins(fatal_point, "ledger.");
  fate = fate == IS_STOPPED && requests && !patient ? IS_KILLED : fate;
  estimate_ns = patient && learns ? 0 : patient && waits ? LONG_NS : MS;
}

/* What the workers find. */
static void prepare(unsigned int *seed) {
  bool locked = strcmp(fatal_point, "region.locked") == 0;
  (void)unlink(world_path("region"));
  if (locked && fate == IS_STOPPED) {
    fate = IS_KILLED; /* one that is stopped while alone with the file leaves the others without a common account */
  }
  if (locked || (rand_r(seed) % 6 == 0 && !(begins(fatal_point, "region.") && fate == IS_STOPPED))) {
    leave_empty_region();
  }
  if (strcmp(fatal_point, "region.extended") == 0 || strcmp(fatal_point, "region.announced") == 0) {
    expect_success(start(fill_segment, 0));
  } else if (!locked && (begins(fatal_point, "reap.") || rand_r(seed) % 6 == 0)) {
    expect_success(start(die_holding, 0));
  }
}

static void run_schedule(unsigned int schedule) {
  unsigned int seed = schedule;
  pid_t children[WORKERS];
  account->granted_mib = 0;
  account->ready = 0;
  account->fate_met = 0;
  draw_fate(schedule, &seed);
  prepare(&seed);
  for (uint32_t i = 0; i < WORKERS; i++) {
    victim = i == 0 && fate != LIVES;
    children[i] = start(run_worker, schedule * 10 + i);
  }
  for (uint32_t i = 1; i < WORKERS; i++) {
    expect_success(children[i]); /* with the victim dead or stopped */
  }
  await_victim(children[0]);
  CHECK_EQUAL(0, account->granted_mib);
  expect_success(start(take_everything, 0));
}

/* Of a run from the first seed on. */
static void expect_every_point(void) {
  CHECK_EQUAL(0, account->visits.unknown); /* points.h has all names */
  for (size_t at = 0; at < POINTS; at++) {
    if (account->visits.passed[at] == 0 || account->visits.met[at] == 0) {
      fprintf(stderr, "%s: passed %u times, %u processes ended or stopped there; want some\n", points[at],
              account->visits.passed[at], account->visits.met[at]);
      exit(1);
    }
  }
}

static unsigned int current;

static void say_schedule(void) {
  if (current != 0) {
    fprintf(stderr, "in schedule %u: point %s, fate %d\n", current, fatal_point, (int)fate);
  }
}

int main(int count, char **arguments) {
  unsigned int schedules = count > 1 ? (unsigned int)atoi(arguments[1]) : 100;
  unsigned int first = count > 2 ? (unsigned int)atoi(arguments[2]) : 1;
  char text[1024];
  account = mmap(NULL, sizeof *account, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(account != MAP_FAILED);
  hami_test_point = meet_fate;
  hami_log_configure(getenv("TORTURE_LOG"));
  world_begin();
  (void)snprintf(text, sizeof text,
                 "hami-limits 1\nregion %s\ncore-policy force\ndevice " WORLD_GPU_0 " memory_mib=%u core_percent=90\n",
                 world_path("region"), LIMIT_MIB);
  world_write("limits", text);
  (void)atexit(say_schedule);
  for (current = first; current < first + schedules; current++) {
    run_schedule(current);
  }
  current = 0;
  if (first == 1 && schedules >= 2 * POINTS) {
    expect_every_point();
  }
  printf("%u schedules from seed %u\n", schedules, first);
  return 0;
}
