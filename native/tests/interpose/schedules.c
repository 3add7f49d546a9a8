#include "tests/interpose/schedules.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/core/check.h"
#include "tests/core/points.h"

#define WORKERS 3U
#define PATIENCE_S 60U /* for a bound that is milliseconds on an idle machine */

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

struct schedules_board *schedules_board;
static const struct schedules_subject *subject;
static struct visits *visits;
static char folder[512];
static const struct plan *born; /* of the process just cloned */
static struct plan plans[WORKERS];

static const char *in_folder(const char *name) {
  static char path[640];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

uint64_t schedules_note(int64_t mib) {
  static uint64_t own_mib; /* for when the region is not to be believed */
  uint64_t own = __atomic_add_fetch(&own_mib, (uint64_t)mib, __ATOMIC_SEQ_CST);
  CHECK(own <= SCHEDULES_SHARE_MIB);
  if (strcmp(getenv("SCHEDULES_VICTIM"), "yes") != 0 && schedules_board->vandalised == 0) {
    uint64_t sum = __atomic_add_fetch(&schedules_board->granted_mib, (uint64_t)mib, __ATOMIC_SEQ_CST);
    CHECK(sum <= SCHEDULES_SHARE_MIB);
  }
  return own;
}

static void *map_shared(const char *name, size_t bytes) {
  int fd = open(in_folder(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
  void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(mapped != MAP_FAILED && close(fd) == 0);
  return mapped;
}

static void open_board(void) {
  const char *limits = getenv("HAMI_LIMITS_FILE");
  CHECK(limits != NULL && strlen(limits) < sizeof folder);
  strcpy(folder, limits);
  *strrchr(folder, '/') = '\0';
  schedules_board = map_shared("board", sizeof *schedules_board);
  visits = map_shared("visits", sizeof *visits);
  (void)setenv("HAMI_TEST_VISITS", in_folder("visits"), 1);
}

static void be_worker(unsigned int seed) {
  (void)alarm(PATIENCE_S); /* whoever hangs is ended by it, and the parent sees that */
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  subject->work(seed);
}

static void prepare(const struct plan *plan) {
  char text[128];
  (void)unsetenv("HAMI_TEST_FATE");
  /* One thread only in a process that is stopped: a second might be inside the double, whose lock all processes need.
   */
  (void)setenv("SCHEDULES_THREADS", plan->signal == SIGSTOP ? "1" : "2", 1);
  (void)setenv("SCHEDULES_VICTIM", plan->point != NULL ? "yes" : "no", 1);
  subject->refuse(plan->refused, plan->call);
  (void)snprintf(text, sizeof text, "%u", plan->seed);
  (void)setenv("HAMI_TEST_JITTER", text, 1);
  if (plan->point != NULL) {
    (void)snprintf(text, sizeof text, "%s %u %d", plan->point, plan->visit, plan->signal);
    (void)setenv("HAMI_TEST_FATE", text, 1);
  }
}

static int live(void *unused) {
  char seed[16];
  (void)unused;
  prepare(born);
  if (born->birth == BY_EXEC) {
    (void)snprintf(seed, sizeof seed, "%u", born->seed);
    (void)execl("/proc/self/exe", "schedules", "worker", seed, (char *)NULL);
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

static bool begins(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

/* The first schedules take every point in turn, once with a process that is stopped and once with one that is killed.
 */
static bool is_in_turn(unsigned int schedule) { return schedule <= 2 * POINTS; }

static void draw_plans(unsigned int schedule, unsigned int *seed) {
  for (unsigned int i = 0; i < WORKERS; i++) {
    plans[i] = (struct plan){.seed = schedule * 16 + i, .birth = (enum birth)(rand_r(seed) % BIRTHS)};
    if (rand_r(seed) % 2 == 0) {
      plans[i].refused = subject->refusals[(size_t)rand_r(seed) % subject->refusal_count];
      plans[i].call = 1 + (unsigned int)rand_r(seed) % 8;
    }
  }
  bool in_turn = is_in_turn(schedule);
  if (in_turn || rand_r(seed) % 3 != 0) {
    plans[0].point = points[(in_turn ? schedule - 1 : (unsigned int)rand_r(seed)) % POINTS];
    plans[0].signal = (in_turn ? schedule > POINTS : rand_r(seed) % 2 == 0) ? SIGKILL : SIGSTOP;
    plans[0].visit = in_turn ? 1 : 1 + (unsigned int)rand_r(seed) % 6;
    if (strcmp(plans[0].point, "region.locked") == 0) {
      plans[0].signal = SIGKILL; /* one that is stopped while alone with the file leaves no common account */
    }
    /* Every request beside one that is stopped for good takes its time to be refused: few schedules can afford that. */
    if (begins(plans[0].point, "ledger.") && !in_turn && schedule % 16 != 0) {
      plans[0].signal = SIGKILL;
    }
  }
}

static void die_holding(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    prepare(&(struct plan){.seed = 0});
    subject->take_everything();
    (void)raise(SIGKILL);
  }
  CHECK(waitpid(child, NULL, 0) == child);
}

/* What the workers find: nothing, an empty file that is filled under its lock, or a dead process's charges. */
static void set_up(unsigned int *seed) {
  const char *point = plans[0].point == NULL ? "" : plans[0].point;
  bool stopped_in_file = begins(point, "region.") && plans[0].signal == SIGSTOP;
  if (schedules_board->vandalised == 0 || rand_r(seed) % 2 == 0) {
    (void)unlink(in_folder("region"));
  }
  if (strcmp(point, "region.locked") == 0 || (!stopped_in_file && rand_r(seed) % 8 == 0)) {
    (void)unlink(in_folder("region"));
    int fd = open(in_folder("region"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
  } else if (begins(point, "reap.") || rand_r(seed) % 8 == 0) {
    die_holding();
  }
}

/* The whole share can be had by a newcomer: nobody's charge outlived its owner. */
static void expect_an_empty_share(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    prepare(&(struct plan){.seed = 0});
    subject->take_everything();
    _exit(0);
  }
  expect_success(child);
}

static bool run_schedule(unsigned int schedule) {
  unsigned int seed = schedule;
  pid_t children[WORKERS];
  siginfo_t changed;
  memset(schedules_board, 0, sizeof *schedules_board);
  draw_plans(schedule, &seed);
  schedules_board->vandalised = !is_in_turn(schedule) && rand_r(&seed) % 8 == 0;
  set_up(&seed);
  for (unsigned int i = 0; i < WORKERS; i++) {
    children[i] = start(&plans[i]);
    if (i == 0 && is_in_turn(schedule)) { /* it comes to its point before the others do what is done there */
      CHECK(waitid(P_PID, (id_t)children[0], &changed, WEXITED | WSTOPPED | WNOWAIT) == 0);
    }
  }
  if (schedules_board->vandalised != 0) {
    vandalise(&seed);
  }
  for (unsigned int i = 1; i < WORKERS; i++) {
    expect_success(children[i]); /* with the victim dead or stopped */
  }
  bool met = await_victim(children[0], &plans[0]);
  if (schedules_board->vandalised == 0) {
    CHECK_EQUAL(0, schedules_board->granted_mib);
    expect_an_empty_share();
  }
  return met;
}

static unsigned int current;

static void say_schedule(void) {
  if (current == 0) {
    return;
  }
  fprintf(stderr, "in schedule %u%s\n", current, schedules_board->vandalised != 0 ? ", the region overwritten" : "");
  for (unsigned int i = 0; i < WORKERS; i++) {
    const struct plan *plan = &plans[i];
    fprintf(stderr, "  process %u, way of birth %d, %s@%u gets %d, %s@%u is refused\n", i, (int)plan->birth,
            plan->point == NULL ? "no point" : plan->point, plan->visit, plan->signal,
            plan->refused == NULL ? "nothing" : plan->refused, plan->call);
  }
}

/* Of a run from the first seed on. */
static void expect_every_point(void) {
  CHECK_EQUAL(0, visits->unknown); /* points.h has all names */
  for (size_t at = 0; at < POINTS; at++) {
    bool reachable = strcmp(points[at], "region.extended") != 0 && strcmp(points[at], "region.announced") != 0 &&
                     (subject->launches || !begins(points[at], "pacing."));
    if (reachable && visits->passed[at] == 0) {
      fprintf(stderr, "%s was never passed\n", points[at]);
      exit(1);
    }
  }
}

int schedules_main(const struct schedules_subject *tested, int count, char **arguments) {
  subject = tested;
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
  if (first == 1 && schedules >= 2 * POINTS) {
    CHECK(met > 0);
    expect_every_point();
  }
  return 0;
}
