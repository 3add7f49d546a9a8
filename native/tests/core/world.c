#include "world.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "core/process.h"

#define MOST_PROCESSES 4096

uint64_t world_now_ns;
uint64_t world_suspended_ns;
uint64_t world_slept_ns;
void (*world_on_sleep)(void);
uint32_t world_pid;
const char *world_limits;
bool world_files_rest;

static char folder[64];
static char *contents[MOST_PROCESSES]; /* /proc/PID/stat by pid; NULL: no such process */
static unsigned int starts;

static uint64_t now_ns(void) { return world_now_ns; }

static uint64_t suspended_ns(void) { return world_suspended_ns; }

static void sleep_ns(uint64_t duration_ns) {
  world_now_ns += duration_ns;
  world_slept_ns += duration_ns;
  if (world_on_sleep != NULL) {
    world_on_sleep();
  }
}

static uint32_t pid(void) { return world_pid; }

static bool pid_exists(uint32_t process) { return process < MOST_PROCESSES && contents[process] != NULL; }

static ssize_t read_file(const char *path, char *buffer, size_t size) {
  unsigned int process;
  char rest;
  if (sscanf(path, "/proc/%u/task/%*u/sta%c", &process, &rest) != 2) {
    return hami_effects_system.read_file(path, buffer, size);
  }
  if (!pid_exists(process)) {
    return -2;
  }
  size_t length = strlen(contents[process]);
  CHECK(length <= size);
  memcpy(buffer, contents[process], length);
  return (ssize_t)length;
}

static bool file_version(const char *path, struct hami_file_version *version) {
  return !world_files_rest && hami_effects_system.file_version(path, version);
}

static bool within_reach(const char *path) {
  (void)path;
  return false;
}

const struct hami_effects world_effects = {
    .now_ns = now_ns,
    .coarse_ns = now_ns,
    .suspended_ns = suspended_ns,
    .sleep_ns = sleep_ns,
    .pid = pid,
    .pid_exists = pid_exists,
    .read_file = read_file,
    .file_version = file_version,
    .beyond_reach = within_reach,
};

static void empty_folder(void) {
  DIR *listing = opendir(folder);
  CHECK(listing != NULL);
  for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
    if (entry->d_name[0] != '.') {
      (void)unlink(world_path(entry->d_name));
    }
  }
  (void)closedir(listing);
}

static pid_t owner; /* children of a test must not remove what their parent uses */

static void remove_folder(void) {
  if (getpid() == owner) {
    empty_folder();
    (void)rmdir(folder);
  }
}

void world_begin(void) {
  if (folder[0] == '\0') {
    strcpy(folder, "/tmp/hami-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    owner = getpid();
    (void)atexit(remove_folder);
  }
  empty_folder();
  CHECK(chmod(folder, 0700) == 0);
  for (uint32_t i = 0; i < MOST_PROCESSES; i++) {
    world_kill(i);
  }
  world_now_ns = 1000000000000ULL;
  world_slept_ns = 0;
  world_suspended_ns = 0;
  world_on_sleep = NULL;
  world_pid = 0;
  world_limits = "limits";
  world_files_rest = false;
}

const char *world_path(const char *name) {
  static char paths[4][512];
  static unsigned int turn;
  char *path = paths[turn++ % 4];
  (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

void world_write(const char *name, const char *text) {
  char fresh[512];
  (void)snprintf(fresh, sizeof fresh, "%s.new", world_path(name));
  FILE *file = fopen(fresh, "w");
  CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
  CHECK(rename(fresh, world_path(name)) == 0);
}

static void set_process(uint32_t process, char state, unsigned int start) {
  char text[256];
  (void)snprintf(text, sizeof text, "%u (a (odd) name) %c 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 %u 9 9", process,
                 state, start);
  free(contents[process]);
  contents[process] = strdup(text);
}

void world_start(uint32_t process) {
  CHECK(process > 0 && process < MOST_PROCESSES);
  set_process(process, 'S', 1000 + starts++);
}

void world_kill(uint32_t process) {
  free(contents[process]);
  contents[process] = NULL;
}

void world_make_zombie(uint32_t process) {
  char *start = strrchr(contents[process], ')') + 2;
  *start = 'Z';
}

static const char *variable(const char *name) {
  return strcmp(name, HAMI_LIMITS_FILE_VARIABLE) == 0 ? world_path(world_limits) : NULL;
}

struct world_process *world_process(uint32_t process) {
  static const struct hami_env_names no_names;
  struct world_process *made = calloc(1, sizeof *made);
  CHECK(made != NULL);
  made->pid = process;
  world_start(process);
  world_pid = process;
  CHECK(hami_live_limits_open(&made->limits, &world_effects, &no_names, variable));
  CHECK(hami_ledger_open(&made->ledger, &world_effects, &made->limits, &made->region));
  CHECK(hami_pacing_open(&made->pacing, &world_effects, &made->limits, &made->region));
  hami_ledger_tick(&made->ledger, world_now_ns);
  return made;
}

void world_free(struct world_process *process) {
  hami_region_detach(&process->region);
  hami_self_destroy(process->ledger.self);
  hami_pacing_close(&process->pacing);
  free(process);
}

void world_act(const struct world_process *process) { world_pid = process->pid; }

int world_reserve(struct world_process *process, int device, uint64_t bytes) {
  world_act(process);
  return hami_ledger_reserve(&process->ledger, device, 0, bytes);
}

void world_release(struct world_process *process, int device, uint64_t bytes) {
  world_act(process);
  hami_ledger_release(&process->ledger, device, 0, bytes);
}

uint64_t world_used(struct world_process *process, int device) {
  world_act(process);
  return hami_ledger_used_bytes(&process->ledger, device);
}
