/*
 * Random schedules over the whole library: processes with threads that get and give back memory in every way, on a
 * driver that refuses the k-th call, with one process killed or stopped at a named point of the shared books, or the
 * region overwritten under them. Checked in each: together they never hold more than the share, the others finish, the
 * books agree with the driver in the end, and the dead leave nothing behind.
 *
 *   nvidia_schedules SCHEDULES [FIRST_SEED]
 *
 * Run by run.py inside a share of 1000 MiB with the testing library; on a card that is smaller than the share, which
 * may oversubscribe then, part of what they get is host memory. The seed of a failing schedule is printed; give it as
 * FIRST_SEED, with one schedule, to see it again. The first schedules take every point in turn.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schedules.h"

#define WORKERS 3U
#define PATIENCE_S 60U /* for a bound that is milliseconds on an idle machine */

static const char *const points[] = {
    "region.wiped",   "region.laid_out_empty", "region.laid_out_without_magic",
    "region.drafted", "region.opened",         "slots.claiming",
    "slots.filled",   "ledger.before_request", "ledger.requested",
    "ledger.weighed", "ledger.charged",        "reap.found_dead",
    "pacing.queued",  "pacing.half_moved",     "pacing.waiting",
};
#define POINTS (sizeof points / sizeof *points)

/* Names that a program calls, and the code that each is made to fail with once. 719: an earlier launch failed. */
static const char *const refusals[] = {
    "cuMemAlloc_v2", "cuMemAllocManaged", "cuMemAllocPitch_v2", "cuMemAllocAsync",         "cuMemCreate",
    "cuMemMap",      "cuArrayCreate_v2",  "cuMemFree_v2",       "cuMemAllocFromPoolAsync", "cuMemFreeAsync",
    "cuMemUnmap",    "cuMemRelease",      "cuArrayDestroy",     "cuLaunchKernel",          "cuModuleUnload",
    "cuMemAdvise",   "cuEventRecord",
};

/* How a worker comes to be: each a way in which a program loses or keeps what its parent had. */
enum birth { BY_FORK, BY_CLONE, BY_EXEC, BIRTHS };

struct plan {
  unsigned int seed;
  enum birth birth;
  const char *point; /* NULL: lives */
  unsigned int visit;
  int signal;
  const char *refused; /* NULL: the driver refuses nothing */
  unsigned int call;
};

struct board *board;
static char folder[512];
static const struct plan *born; /* of the process just cloned */
static struct plan plans[WORKERS];

static const char *in_folder(const char *name) {
  static char path[640];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void open_board(void) {
  const char *limits = getenv("HAMI_LIMITS_FILE");
  CHECK(limits != NULL && strlen(limits) < sizeof folder);
  strcpy(folder, limits);
  *strrchr(folder, '/') = '\0';
  int fd = open(in_folder("board"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CHECK(fd >= 0 && ftruncate(fd, sizeof *board) == 0);
  board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(board != MAP_FAILED && close(fd) == 0);
}

static void be_worker(unsigned int seed) {
  (void)alarm(PATIENCE_S); /* whoever hangs is ended by it, and the parent sees that */
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  schedules_work(seed);
}

static void prepare(const struct plan *plan) {
  char text[128];
  (void)unsetenv("HAMI_TEST_FATE");
  (void)unsetenv("HAMI_FAKE_FAULTS");
  /* One thread only in a process that is stopped: a second might be inside the double, whose lock all processes need.
   */
  (void)setenv("SCHEDULES_THREADS", plan->signal == SIGSTOP ? "1" : "2", 1);
  (void)setenv("SCHEDULES_VICTIM", plan->point != NULL ? "yes" : "no", 1);
  /* The free that the driver refuses may be the library's own, of memory that came out larger than its share: it stays
   * with the driver then, and nobody can give it back. */
  bool frees =
      plan->refused != NULL && (strstr(plan->refused, "Free") != NULL || strstr(plan->refused, "Release") != NULL ||
                                strstr(plan->refused, "Destroy") != NULL);
  (void)setenv("SCHEDULES_LEFTOVERS", frees ? "yes" : "no", 1);
  (void)snprintf(text, sizeof text, "%u", plan->seed);
  (void)setenv("HAMI_TEST_JITTER", text, 1);
  if (plan->point != NULL) {
    (void)snprintf(text, sizeof text, "%s %u %d", plan->point, plan->visit, plan->signal);
    (void)setenv("HAMI_TEST_FATE", text, 1);
  }
  if (plan->refused != NULL) {
    (void)snprintf(text, sizeof text, "%s@%u=%d", plan->refused, plan->call, SCHEDULES_REFUSAL);
    (void)setenv("HAMI_FAKE_FAULTS", text, 1);
  }
}

static int live(void *unused) {
  char seed[16];
  (void)unused;
  prepare(born);
  if (born->birth == BY_EXEC) {
    (void)snprintf(seed, sizeof seed, "%u", born->seed);
    (void)execl("/proc/self/exe", "nvidia_schedules", "worker", seed, (char *)NULL);
    _exit(1);
  }
  be_worker(born->seed);
  _exit(0); /* exit handlers are the parent's */
}

static pid_t start(const struct plan *plan) {
  static char stack[1 << 20] __attribute__((aligned(16)));
  born = plan;
  (void)fflush(NULL);
  /* Without the C library's fork no handler runs, as in programs that make their threads and processes themselves. */
  pid_t child = plan->birth == BY_CLONE ? clone(live, stack + sizeof stack, SIGCHLD, NULL) : fork();
  CHECK(child >= 0);
  if (child == 0) {
    (void)live(NULL);
  }
  return child;
}

static void expect_success(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(0, status);
}

/* Waits for a victim; true when it met its fate. */
static bool await_victim(pid_t child, const struct plan *plan) {
  int status;
  bool met = false;
  CHECK(waitpid(child, &status, WUNTRACED) == child);
  if (WIFSTOPPED(status)) {
    met = true;
    CHECK(kill(child, SIGCONT) == 0);
    CHECK(waitpid(child, &status, 0) == child);
  }
  bool killed = plan->signal == SIGKILL && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  CHECK(status == 0 || killed);
  return met || killed;
}

/* A process that may write the region writes nonsense into it. It cuts nothing off: that is another test. */
static void vandalise(unsigned int *seed) {
  unsigned char junk[64];
  struct stat found;
  int fd = open(in_folder("region"), O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return;
  }
  CHECK(fstat(fd, &found) == 0);
  for (int i = 0; i < 40; i++) {
    off_t at = found.st_size == 0 ? 0 : (off_t)rand_r(seed) % (rand_r(seed) % 2 == 0 ? 512 : found.st_size);
    for (size_t byte = 0; byte < sizeof junk; byte++) {
      junk[byte] = (unsigned char)(rand_r(seed) % 3 == 0 ? 0xff : rand_r(seed));
    }
    CHECK(pwrite(fd, junk, sizeof junk, at) == (ssize_t)sizeof junk);
    (void)usleep(200);
  }
  CHECK(close(fd) == 0);
}

static void draw_plans(unsigned int schedule, unsigned int *seed) {
  for (unsigned int i = 0; i < WORKERS; i++) {
    plans[i] = (struct plan){.seed = schedule * 16 + i, .birth = (enum birth)(rand_r(seed) % BIRTHS)};
    if (rand_r(seed) % 2 == 0) {
      plans[i].refused = refusals[(size_t)rand_r(seed) % (sizeof refusals / sizeof *refusals)];
      plans[i].call = 1 + (unsigned int)rand_r(seed) % 8;
    }
  }
  bool in_turn = schedule <= 2 * POINTS;
  if (in_turn || rand_r(seed) % 3 != 0) {
    plans[0].point = points[(in_turn ? schedule - 1 : (unsigned int)rand_r(seed)) % POINTS];
    plans[0].signal = (in_turn ? schedule > POINTS : rand_r(seed) % 2 == 0) ? SIGKILL : SIGSTOP;
    plans[0].visit = in_turn ? 1 : 1 + (unsigned int)rand_r(seed) % 6;
  }
}

/* The whole share can be had by a newcomer: nobody's charge outlived its owner. */
static void expect_an_empty_share(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    prepare(&(struct plan){.seed = 0});
    CUmemGenericAllocationHandle handle;
    CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
    CHECK_EQUAL(CUDA_SUCCESS, schedules_create(&handle, SCHEDULES_SHARE_MIB * MIB));
    _exit(0);
  }
  expect_success(child);
}

static bool run_schedule(unsigned int schedule) {
  unsigned int seed = schedule;
  pid_t children[WORKERS];
  memset(board, 0, sizeof *board);
  draw_plans(schedule, &seed);
  board->vandalised = schedule > 2 * POINTS && rand_r(&seed) % 8 == 0;
  if (board->vandalised == 0 || rand_r(&seed) % 2 == 0) {
    (void)unlink(in_folder("region"));
  }
  for (unsigned int i = 0; i < WORKERS; i++) {
    children[i] = start(&plans[i]);
  }
  if (board->vandalised != 0) {
    vandalise(&seed);
  }
  for (unsigned int i = 1; i < WORKERS; i++) {
    expect_success(children[i]); /* with the victim dead or stopped */
  }
  bool met = await_victim(children[0], &plans[0]);
  if (board->vandalised == 0) {
    CHECK_EQUAL(0, board->granted_mib);
    expect_an_empty_share();
  }
  return met;
}

static unsigned int current;

static void say_schedule(void) {
  if (current == 0) {
    return;
  }
  fprintf(stderr, "in schedule %u%s\n", current, board->vandalised != 0 ? ", the region overwritten" : "");
  for (unsigned int i = 0; i < WORKERS; i++) {
    const struct plan *plan = &plans[i];
    fprintf(stderr, "  process %u, way of birth %d, %s@%u gets %d, %s@%u is refused\n", i, (int)plan->birth,
            plan->point == NULL ? "no point" : plan->point, plan->visit, plan->signal,
            plan->refused == NULL ? "nothing" : plan->refused, plan->call);
  }
}

int main(int count, char **arguments) {
  open_board();
  if (count > 2 && strcmp(arguments[1], "worker") == 0) {
    be_worker((unsigned int)strtoul(arguments[2], NULL, 10));
    return 0;
  }
  unsigned int schedules = count > 1 ? (unsigned int)strtoul(arguments[1], NULL, 10) : 100;
  unsigned int first = count > 2 ? (unsigned int)strtoul(arguments[2], NULL, 10) : 1;
  unsigned int met = 0;
  (void)atexit(say_schedule);
  for (current = first; current < first + schedules; current++) {
    met += run_schedule(current) ? 1 : 0;
  }
  current = 0;
  printf("%u schedules from seed %u, in %u a process was killed or stopped inside\n", schedules, first, met);
  CHECK(schedules < 2 * POINTS || met > 0);
  return 0;
}
