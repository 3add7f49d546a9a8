/*
 * Records the driver calls of a program as a trace that nvidia_replay reads: LD_PRELOAD this library, without an
 * isolation library, and name a file that is not there yet in HAMI_RECORD. The first process that calls the driver
 * writes it. Calls that the traces have no word for go through unrecorded; one thread's and device 0's calls are meant.
 */
#include "record.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct object {
  uint64_t value; /* a handle, or where a range begins */
  uint64_t bytes;
  bool used;
};

static struct object objects[RECORD_KINDS][RECORD_MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int file = -2; /* -1: not ours to write */
static char pending[128];
static char pending_launch[32]; /* stream and code of the launches that `pending_count` counts */
static unsigned long pending_count;

static void put(const char *text) {
  if (file == -2) {
    const char *path = getenv("HAMI_RECORD");
    file = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  }
  if (file >= 0) {
    ssize_t written = write(file, text, strlen(text));
    (void)written;
  }
}

static void flush(void) {
  if (pending_count > 0) {
    char stream[16];
    int code = 0;
    (void)sscanf(pending_launch, "%15s %d", stream, &code);
    (void)snprintf(pending, sizeof pending, "launch %s %lu = %d\n", stream, pending_count, code);
    pending_count = 0;
    put(pending);
  }
}

__attribute__((destructor)) static void end(void) { flush(); }

void record_begin(void) { pthread_mutex_lock(&lock); }
void record_end(void) { pthread_mutex_unlock(&lock); }

unsigned int record_new(enum record_kind kind, uint64_t value, uint64_t bytes) {
  for (unsigned int i = kind == RECORD_POOL || kind == RECORD_STREAM ? 1 : 0; i < RECORD_NOTHING; i++) {
    if (!objects[kind][i].used) {
      objects[kind][i] = (struct object){.value = value, .bytes = bytes, .used = true};
      return i;
    }
  }
  fprintf(stderr, "hami record: more than %d objects of a kind at a time\n", RECORD_NOTHING);
  abort();
}

static unsigned int find(enum record_kind kind, uint64_t value) {
  for (unsigned int i = 0; i < RECORD_NOTHING; i++) {
    const struct object *object = &objects[kind][i];
    bool inside = value >= object->value && value - object->value < object->bytes;
    if (object->used && (object->value == value || inside)) {
      return i;
    }
  }
  return RECORD_UNKNOWN;
}

unsigned int record_number(enum record_kind kind, uint64_t value) {
  /* The legacy stream is 0, whether the program says 0 or CU_STREAM_LEGACY. */
  bool standard = (kind == RECORD_STREAM && value <= 2) || kind == RECORD_POOL;
  unsigned int found = kind == RECORD_STREAM && value <= 2 ? 0 : find(kind, value);
  return found == RECORD_UNKNOWN && standard ? 0 : found;
}

bool record_place(uint64_t address, struct record_place *place) {
  unsigned int found = find(RECORD_POINTER, address);
  if (found == RECORD_UNKNOWN) {
    return false;
  }
  char at[32] = "";
  uint64_t offset = address - objects[RECORD_POINTER][found].value;
  if (offset > 0) {
    (void)snprintf(at, sizeof at, "+%llu", (unsigned long long)offset);
  }
  (void)snprintf(place->text, sizeof place->text, "%u%s", found, at);
  return true;
}

void record_gone(enum record_kind kind, uint64_t value) {
  unsigned int found = find(kind, value);
  if (found != RECORD_UNKNOWN) {
    objects[kind][found].used = false;
  }
}

void record_line(int code, const char *format, ...) {
  char line[128];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(line, sizeof line - 16, format, arguments);
  va_end(arguments);
  (void)snprintf(line + strlen(line), 16, " = %d\n", code);
  flush();
  put(line);
}

/* Launches come in thousands; those of one stream are counted in one line. */
void record_launch(int code, unsigned int stream) {
  char launch[sizeof pending_launch];
  (void)snprintf(launch, sizeof launch, "%u %d", stream, code);
  if (pending_count > 0 && strcmp(launch, pending_launch) != 0) {
    flush();
  }
  memcpy(pending_launch, launch, sizeof launch);
  pending_count++;
}

/* ---- how the program finds our functions in the driver's place ------------------------------------------------ */

typedef void *(*dlsym_function)(void *, const char *);

static dlsym_function real_dlsym(void) {
  static dlsym_function found;
  static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5"};
  for (size_t i = 0; found == NULL && i < sizeof versions / sizeof versions[0]; i++) {
    found = (dlsym_function)(uintptr_t)dlvsym(RTLD_NEXT, "dlsym", versions[i]);
  }
  return found;
}

void *record_real(const char *name) {
  static void *driver;
  if (driver == NULL) {
    driver = dlopen("libcuda.so.1", RTLD_NOW);
  }
  return driver == NULL ? NULL : real_dlsym()(driver, name);
}

void *record_by_name(const char *name) {
  for (size_t i = 0; i < record_function_count; i++) {
    if (strcmp(record_functions[i].name, name) == 0) {
      return record_functions[i].address;
    }
  }
  return NULL;
}

/* Whatever name and version the program asked by: the address that the driver gave says which function it is. */
void *record_by_address(void *answer) {
  for (size_t i = 0; answer != NULL && i < record_function_count; i++) {
    if (record_real(record_functions[i].name) == answer) {
      return record_functions[i].address;
    }
  }
  return answer;
}

__attribute__((visibility("default"))) void *dlsym(void *restrict handle, const char *restrict name) {
  void *found = real_dlsym()(handle, name);
  void *ours = found == NULL || strncmp(name, "cu", 2) != 0 ? NULL : record_by_name(name);
  return ours == NULL ? found : ours;
}
