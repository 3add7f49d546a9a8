#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/process.h"
#include "world.h"

static void a_process_is_known_by_pid_and_start(void) {
  struct hami_identity identity;
  world_begin();
  world_start(7);
  world_pid = 7;
  hami_identity_read(&world_effects, &identity);
  CHECK_EQUAL(7, identity.pid);
  CHECK(identity.start_time != 0);
  CHECK_TEXT("a (odd) name", identity.command);
  CHECK(!hami_process_dead(&world_effects, 7, identity.start_time));
  world_start(7);
  CHECK(hami_process_dead(&world_effects, 7, identity.start_time));
  CHECK(!hami_process_dead(&world_effects, 7, 0));
  world_kill(7);
  CHECK(hami_process_dead(&world_effects, 7, identity.start_time));
}

static void a_zombie_is_dead(void) {
  world_begin();
  world_start(7);
  world_make_zombie(7);
  CHECK(hami_process_dead(&world_effects, 7, 0));
}

static ssize_t many_threads(const char *path, char *buffer, size_t size) {
  (void)path;
  return snprintf(buffer, size, "7 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 5 0 1234 0");
}

static ssize_t nothing(const char *path, char *buffer, size_t size) {
  (void)path, (void)buffer, (void)size;
  return -13;
}

static void a_leader_that_ended_before_its_threads_is_alive(void) {
  struct hami_effects effects = world_effects;
  world_begin();
  world_start(7);
  effects.read_file = many_threads;
  CHECK(!hami_process_dead(&effects, 7, 1234));
}

static void a_process_that_cannot_be_looked_at_counts_as_alive(void) {
  struct hami_effects effects = world_effects;
  world_begin();
  world_start(7);
  effects.read_file = nothing;
  CHECK(!hami_process_dead(&effects, 7, 99));
}

static void the_real_proc_is_understood(void) {
  struct hami_identity identity;
  hami_identity_read(&hami_effects_system, &identity);
  CHECK_EQUAL(getpid(), identity.pid);
  CHECK(identity.start_time != 0 && identity.pid_namespace != 0 && identity.command[0] != '\0');
  CHECK(!hami_process_dead(&hami_effects_system, identity.pid, identity.start_time));
  CHECK(hami_process_dead(&hami_effects_system, identity.pid, identity.start_time + 1));
  CHECK(hami_namespace_birth_ns(&hami_effects_system) != 0);
  pid_t child = fork();
  if (child == 0) {
    _exit(0);
  }
  siginfo_t info;
  CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
  CHECK(hami_process_dead(&hami_effects_system, (uint32_t)child, 0)); /* still a zombie */
  CHECK(waitpid(child, NULL, 0) == child);
  CHECK(hami_process_dead(&hami_effects_system, (uint32_t)child, 0));
}

static struct hami_self *self;

static int in_child(void) {
  CHECK(hami_self_is_new(self, &hami_effects_system));
  CHECK(hami_self_is_new(self, &hami_effects_system));
  hami_self_begun(self, &hami_effects_system);
  CHECK(!hami_self_is_new(self, &hami_effects_system));
  hami_self_enter(self, &hami_effects_system); /* though the parent holds it */
  CHECK_EQUAL(0, self->bytes[3]);
  CHECK_EQUAL(getpid(), self->pid);
  hami_self_leave(self);
  return 0;
}

static int in_clone(void *unused) {
  (void)unused;
  return in_child();
}

static void a_child_starts_empty_even_if_the_parent_was_inside(void) {
  self = hami_self_create(&hami_effects_system);
  CHECK(self != NULL && !hami_self_is_new(self, &hami_effects_system));
  hami_self_enter(self, &hami_effects_system);
  self->bytes[3] = 5;
  int status;
  pid_t child = fork();
  if (child == 0) {
    _exit(in_child());
  }
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  static char stack[1 << 18]; /* clone runs no atfork handlers */
  child = clone(in_clone, stack + sizeof stack, SIGCHLD, NULL);
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK_EQUAL(5, self->bytes[3]);
  hami_self_leave(self);
  hami_self_destroy(self);
}

int main(void) {
  RUN(a_process_is_known_by_pid_and_start);
  RUN(a_zombie_is_dead);
  RUN(a_leader_that_ended_before_its_threads_is_alive);
  RUN(a_process_that_cannot_be_looked_at_counts_as_alive);
  RUN(the_real_proc_is_understood);
  RUN(a_child_starts_empty_even_if_the_parent_was_inside);
  return 0;
}
