/*
 * syscalls LIBRARY: how many system calls preloading the library adds to a program that never asks for a GPU. Every
 * program that a container starts pays them, so there may be none but those by which the loader maps a file, whatever
 * limits are set. Counted by ptrace, as strace does.
 */
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../core/check.h"

#define PROGRAM "/bin/true"
#define NUMBERS 1024U

/* Open, read the header, ask for the size, map four segments and the zeroed rest, close, protect what was relocated;
 * newer loaders ask for one or two things more. */
#define MOST_ADDED 12U

struct calls {
  uint32_t total;
  uint32_t by_number[NUMBERS];
};

static void become_program(const char *library) {
  if (library == NULL) {
    (void)unsetenv("LD_PRELOAD");
  } else {
    CHECK(setenv("LD_PRELOAD", library, 1) == 0);
  }
  CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
  CHECK(raise(SIGSTOP) == 0);
  (void)execl(PROGRAM, PROGRAM, (char *)NULL);
  perror(PROGRAM);
  _exit(1);
}

static void note_entry(pid_t child, struct calls *calls) {
  struct __ptrace_syscall_info info = {0};
  CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info) > 0);
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
    calls->total++;
    calls->by_number[info.entry.nr % NUMBERS]++;
  }
}

static void count(const char *library, struct calls *calls) {
  int status;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    become_program(library);
  }
  *calls = (struct calls){0};
  CHECK(waitpid(child, &status, 0) == child);
  if (!WIFSTOPPED(status)) {
    fprintf(stderr, "this machine does not let a program trace its own child; allow ptrace (CAP_SYS_PTRACE)\n");
    exit(1);
  }
  CHECK(ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) == 0);
  while (true) {
    CHECK(ptrace(PTRACE_SYSCALL, child, NULL, NULL) == 0);
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFSTOPPED(status)) {
      break;
    }
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      note_entry(child, calls);
    }
  }
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void print_difference(const struct calls *plain, const struct calls *preloaded) {
  for (uint32_t number = 0; number < NUMBERS; number++) {
    if (plain->by_number[number] != preloaded->by_number[number]) {
      fprintf(stderr, "system call %u: %u times, with the library %u\n", number, plain->by_number[number],
              preloaded->by_number[number]);
    }
  }
}

static void only_loading_is_added(const char *library) {
  static struct calls plain;
  static struct calls preloaded;
  count(NULL, &plain);
  count(library, &preloaded);
  CHECK(plain.total > 0);
  if (preloaded.total < plain.total || preloaded.total - plain.total > MOST_ADDED) {
    fprintf(stderr, "%s makes %u system calls, with %s preloaded %u\n", PROGRAM, plain.total, library, preloaded.total);
    print_difference(&plain, &preloaded);
    exit(1);
  }
}

static void limits_add_nothing(const char *library) {
  static struct calls without;
  static struct calls with;
  CHECK(unsetenv("HAMI_LIMITS_FILE") == 0);
  count(library, &without);
  CHECK(setenv("HAMI_LIMITS_FILE", "/proc/self/cmdline", 1) == 0); /* a file that is there, read or not */
  CHECK(setenv("CUDA_DEVICE_MEMORY_LIMIT", "100m", 1) == 0 && setenv("HAMI_DEVICE_MEMORY_LIMIT", "100m", 1) == 0);
  count(library, &with);
  CHECK_EQUAL(without.total, with.total);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  only_loading_is_added(argv[1]);
  limits_add_nothing(argv[1]);
  return 0;
}
