#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/engine.h"
#include "tests/core/check.h"

/* Children open the state for themselves, as unrelated processes do; this process must not have it open before. */
static const char *const machine_text =
    "{\"devices\": [{\"uuid\": \"GPU-1\", \"model\": \"M\", \"memory_mib\": 1000, \"multiprocessors\": 4,"
    " \"compute_capability\": [8, 6]}]}";
static struct fake_machine machine;

static struct fake_state *open_state(void) {
  char error[256];
  CHECK(fake_machine_parse(&machine, machine_text, strlen(machine_text), error, sizeof error));
  struct fake_state *state = fake_state_open(&machine);
  CHECK(state != NULL);
  return state;
}

static pid_t in_child(void (*body)(struct fake_state *state)) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    body(open_state());
    _exit(0);
  }
  return child;
}

static void finish(pid_t child) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK_EQUAL(0, status);
}

static void hold_600_until_killed(struct fake_state *state) {
  CHECK(fake_state_charge(state, 0, 600 * FAKE_MIB));
  raise(SIGSTOP);
}

static void see_the_other_process(struct fake_state *state) {
  struct fake_process_use uses[4];
  CHECK_EQUAL(600 * FAKE_MIB, fake_state_used(state, 0));
  CHECK_EQUAL(1, fake_state_processes(state, 0, uses, 4));
  CHECK_EQUAL(600 * FAKE_MIB, uses[0].used);
  CHECK(!fake_state_charge(state, 0, 401 * FAKE_MIB));
  CHECK(fake_state_charge(state, 0, 400 * FAKE_MIB));
  CHECK_EQUAL(0, fake_state_charge_up_to(state, 0, FAKE_MIB));
}

static void see_nobody(struct fake_state *state) {
  struct fake_process_use uses[4];
  CHECK_EQUAL(0, fake_state_used(state, 0));
  CHECK_EQUAL(0, fake_state_processes(state, 0, uses, 4));
  CHECK(fake_state_charge(state, 0, 1000 * FAKE_MIB));
}

static void test_processes_share_a_card_and_a_killed_one_leaves_nothing(void) {
  int status = 0;
  pid_t holder = in_child(hold_600_until_killed);
  CHECK(waitpid(holder, &status, WUNTRACED) == holder && WIFSTOPPED(status));
  finish(in_child(see_the_other_process));
  CHECK(kill(holder, SIGKILL) == 0);
  siginfo_t info;
  /* Dead but not collected: its memory must be gone already. */
  CHECK(waitid(P_PID, (id_t)holder, &info, WEXITED | WNOWAIT) == 0);
  finish(in_child(see_nobody));
  CHECK(waitpid(holder, &status, 0) == holder);
}

static void die_inside_the_lock(struct fake_state *state) {
  struct fake_process *self = fake_state_self(state);
  fake_state_lock(state);
  self->used[0] += 5 * FAKE_MIB; /* the sum does not know yet */
  raise(SIGKILL);
}

static void test_a_process_killed_inside_the_lock_wedges_nobody(void) {
  int status = 0;
  pid_t child = in_child(die_inside_the_lock);
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
  finish(in_child(see_nobody));
}

static void use_the_card_for_ever(struct fake_state *state) {
  for (unsigned i = 1;; i++) {
    uint64_t bytes = i % 50 * FAKE_MIB;
    if (fake_state_charge(state, 0, bytes)) {
      fake_engine_submit(state, 0, 1000);
      fake_state_uncharge(state, 0, bytes);
    }
  }
}

static void test_processes_killed_at_any_point_leave_a_usable_card(void) {
  enum { CHILDREN = 4, ROUNDS = 10 };
  for (unsigned round = 0; round < ROUNDS; round++) {
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
      children[i] = in_child(use_the_card_for_ever);
    }
    usleep(2000 + round * 700);
    for (int i = 0; i < CHILDREN; i++) {
      int status = 0;
      CHECK(kill(children[i], SIGKILL) == 0);
      CHECK(waitpid(children[i], &status, 0) == children[i] && WIFSIGNALED(status));
    }
    finish(in_child(see_nobody));
  }
}

static void work_and_look(struct fake_state *state) {
  CHECK_EQUAL(0, fake_clock_now(state));
  CHECK_EQUAL(1000000, fake_engine_submit(state, 0, 1000000));
  CHECK_EQUAL(3000000, fake_engine_submit(state, 0, 2000000)); /* behind the first */
  CHECK_EQUAL(0, fake_engine_busy_ns(state, getpid(), 0));     /* nothing has run yet */
  fake_clock_wait(state, 2000000);
  CHECK_EQUAL(2000000, fake_engine_busy_ns(state, getpid(), 0)); /* one whole, one half */
  fake_clock_wait(state, 3000000);
  CHECK_EQUAL(3000000, fake_engine_busy_ns(state, 0, 0));
  fake_clock_wait(state, 10000000);
  CHECK_EQUAL(10500000, fake_engine_submit(state, 0, 500000)); /* an idle engine starts at once */
}

static void test_work_is_placed_one_after_the_other(void) { finish(in_child(work_and_look)); }

static void fill_the_queue(struct fake_state *state) {
  uint64_t before = fake_clock_now(state);
  for (unsigned i = 0; i < FAKE_QUEUE_DEPTH; i++) {
    fake_engine_submit(state, 0, 1000000);
  }
  CHECK_EQUAL(before, fake_clock_now(state));
  fake_engine_submit(state, 0, 1000000); /* waits for the oldest */
  CHECK(fake_clock_now(state) >= before + 1000000);
}

static void test_a_full_queue_makes_the_submitter_wait(void) { finish(in_child(fill_the_queue)); }

static void measure_a_half_busy_second(struct fake_state *state) {
  uint64_t start = fake_clock_now(state);
  uint64_t second = 1000000000;
  fake_clock_wait(state, start + 2 * second); /* earlier tests' work is out of the window */
  for (int i = 0; i < 25; i++) {
    uint64_t end = fake_engine_submit(state, 0, 20000000);
    fake_clock_wait(state, end + 20000000);
  }
  fake_state_lock(state);
  unsigned all = fake_engine_utilisation(state, 0);
  unsigned own = fake_engine_process_utilisation(state, (uint32_t)(fake_state_self(state) - state->processes), 0);
  fake_state_unlock(state);
  CHECK(all >= 45 && all <= 55);
  CHECK_EQUAL(all, own);
}

static void test_utilisation_is_busy_time_over_the_last_second(void) { finish(in_child(measure_a_half_busy_second)); }

static void do_nothing(struct fake_state *state) { (void)state; }

static void test_the_file_is_private_to_its_owner(void) {
  struct stat status;
  finish(in_child(do_nothing));
  CHECK(stat(getenv("HAMI_FAKE_STATE"), &status) == 0);
  CHECK_EQUAL(0600, status.st_mode & 0777);
}

int main(void) {
  char folder[] = "/tmp/hami-fake-XXXXXX";
  char path[64];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/state", folder);
  CHECK(setenv("HAMI_FAKE_STATE", path, 1) == 0 && setenv("HAMI_FAKE_TIME_SCALE", "0", 1) == 0);
  RUN(test_work_is_placed_one_after_the_other);
  RUN(test_the_file_is_private_to_its_owner);
  RUN(test_processes_share_a_card_and_a_killed_one_leaves_nothing);
  RUN(test_a_process_killed_inside_the_lock_wedges_nobody);
  RUN(test_processes_killed_at_any_point_leave_a_usable_card);
  RUN(test_a_full_queue_makes_the_submitter_wait);
  RUN(test_utilisation_is_busy_time_over_the_last_second);
  unlink(path);
  rmdir(folder);
  return 0;
}
