/* What the recorder's functions have in common: numbers for the program's objects, and the lines of the trace. */
#ifndef HAMI_TESTS_NVIDIA_RECORD_H
#define HAMI_TESTS_NVIDIA_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_kind {
  RECORD_POINTER,
  RECORD_BUFFER,
  RECORD_HANDLE,
  RECORD_STREAM,
  RECORD_EVENT,
  RECORD_GRAPH,
  RECORD_EXECUTABLE,
  RECORD_POOL,
  RECORD_KINDS
};

#define RECORD_MOST 4096                 /* objects of one kind at a time; nvidia_replay has as many places */
#define RECORD_NOTHING (RECORD_MOST - 1) /* the place of what a failed call did not give */
#define RECORD_UNKNOWN 0xFFFFFFFFU

struct record_place {
  char text[48];
};

struct record_function {
  const char *name;
  void *address;
};

extern const struct record_function record_functions[];
extern const size_t record_function_count;

/* Around everything else here. */
void record_begin(void);
void record_end(void);

/* Gives the lowest free number to an object that the program got; 0 is the default stream's and pool's. */
unsigned int record_new(enum record_kind kind, uint64_t value, uint64_t bytes);
/* RECORD_UNKNOWN: the program got it by a call that has no word. */
unsigned int record_number(enum record_kind kind, uint64_t value);
/* The pointer as a trace names it, "3+512"; false: of unknown origin. */
bool record_place(uint64_t address, struct record_place *place);
void record_gone(enum record_kind kind, uint64_t value);

void record_line(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
void record_launch(int code, unsigned int stream);

void *record_real(const char *name);
void *record_by_name(const char *name);
void *record_by_address(void *answer);

#endif
