/* A gate passes on every argument in every register and on the stack, paced or not, and the driver's answer back. */
#include "interpose/gate.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "tests/core/check.h"

#define DIRTY 0x5a5a5a5a5a5a5a5aULL

typedef struct {
  uint32_t x;
  uint32_t y;
  uint32_t z;
} triple;

/* More integers and more floating-point numbers than there are registers on either processor, and a structure. */
typedef int probe_function(uint64_t a, double p, uint32_t b, triple c, double q, uint64_t d, float r, uint64_t e,
                           double s, uint64_t f, double t, uint64_t g, double u, uint64_t h, double v, uint64_t i,
                           double w, uint16_t j);

probe_function gated_probe;
int gated_without_stack(const char *format, ...);

static bool paced;
static size_t entered;
static int left_with;
static uintptr_t seen[14];

/* Leaves nothing in any register that a call may change. */
static void dirty_registers(void) {
#if defined(__x86_64__)
  __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n pcmpeqd %%xmm1, %%xmm1\n pcmpeqd %%xmm2, %%xmm2\n"
                   "pcmpeqd %%xmm3, %%xmm3\n pcmpeqd %%xmm4, %%xmm4\n pcmpeqd %%xmm5, %%xmm5\n"
                   "pcmpeqd %%xmm6, %%xmm6\n pcmpeqd %%xmm7, %%xmm7\n"
                   "mov %0, %%rdi\n mov %0, %%rsi\n mov %0, %%r8\n mov %0, %%r9\n mov %0, %%r10\n mov %0, %%r11\n"
                   :
                   : "a"(DIRTY)
                   : "rdi", "rsi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                     "xmm7");
#elif defined(__aarch64__)
  __asm__ volatile("mov x1, %0\n mov x2, %0\n mov x3, %0\n mov x4, %0\n mov x5, %0\n mov x6, %0\n mov x7, %0\n"
                   "mov x8, %0\n mov x9, %0\n mov x16, %0\n mov x17, %0\n"
                   "fmov d0, %0\n fmov d1, %0\n fmov d2, %0\n fmov d3, %0\n fmov d4, %0\n fmov d5, %0\n"
                   "fmov d6, %0\n fmov d7, %0\n"
                   :
                   : "r"(DIRTY)
                   : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x16", "x17", "v0", "v1", "v2", "v3", "v4",
                     "v5", "v6", "v7");
#endif
}

static int probe(uint64_t a, double p, uint32_t b, triple c, double q, uint64_t d, float r, uint64_t e, double s,
                 uint64_t f, double t, uint64_t g, double u, uint64_t h, double v, uint64_t i, double w, uint16_t j) {
  CHECK_EQUAL(0x1111111111111111ULL, a);
  CHECK_EQUAL(0x22222222U, b);
  CHECK(c.x == 31 && c.y == 32 && c.z == 33);
  CHECK_EQUAL(0x4444444444444444ULL, d);
  CHECK_EQUAL(0x5555555555555555ULL, e);
  CHECK_EQUAL(0x6666666666666666ULL, f);
  CHECK_EQUAL(0x7777777777777777ULL, g);
  CHECK_EQUAL(0x8888888888888888ULL, h);
  CHECK_EQUAL(0x9999999999999999ULL, i);
  CHECK_EQUAL(0xaaaa, j);
  CHECK(p == 1.5 && q == 2.5 && r == 3.5F && s == 4.5 && t == 5.5 && u == 6.5 && v == 7.5 && w == 8.5);
  dirty_registers();
  return -77;
}

static int sum_of(const char *format, ...) {
  va_list arguments;
  double sum = 0;
  va_start(arguments, format);
  for (const char *letter = format; *letter != '\0'; letter++) {
    sum += *letter == 'f' ? va_arg(arguments, double) : va_arg(arguments, int);
  }
  va_end(arguments);
  return (int)sum;
}

struct hami_gated hami_gate_enter(size_t function, const uintptr_t *words, struct hami_launch *launch) {
  entered = function;
  memcpy(seen, words, sizeof seen);
  memset((void *)launch, 0xee, 64); /* its room is its own */
  dirty_registers();
  void *real = function == 3 ? (void *)(uintptr_t)probe : (void *)(uintptr_t)sum_of;
  return (struct hami_gated){real, paced ? 1 : 0};
}

void hami_gate_leave(struct hami_launch *launch, int result) {
  const unsigned char *room = (const unsigned char *)launch;
  for (size_t at = 0; at < 64; at++) {
    CHECK_EQUAL(0xee, room[at]);
  }
  left_with = result;
  dirty_registers();
}

static int call(void) {
  return gated_probe(0x1111111111111111ULL, 1.5, 0x22222222, (triple){31, 32, 33}, 2.5, 0x4444444444444444ULL, 3.5F,
                     0x5555555555555555ULL, 4.5, 0x6666666666666666ULL, 5.5, 0x7777777777777777ULL, 6.5,
                     0x8888888888888888ULL, 7.5, 0x9999999999999999ULL, 8.5, 0xaaaa);
}

static void everything_arrives_when_the_launch_is_paced(void) {
  paced = true;
  CHECK_EQUAL(-77, call());
  CHECK_EQUAL(3, entered);
  CHECK_EQUAL(-77, left_with);
  CHECK_EQUAL(0x1111111111111111ULL, seen[0]);
  CHECK_EQUAL(0x22222222, seen[1] & UINT32_MAX);
  CHECK_EQUAL(0x2000000000 | 31, (uint64_t)seen[2]);
}

static void everything_arrives_when_it_is_not(void) {
  paced = false;
  left_with = 0;
  CHECK_EQUAL(-77, call());
  CHECK_EQUAL(0, left_with);
}

static void a_variadic_call_arrives(void) {
  paced = true;
  CHECK_EQUAL(1 + 2 + 3 + 4, gated_without_stack("ifif", 1, 2.0, 3, 4.0));
  CHECK_EQUAL(4, entered);
  CHECK_EQUAL(10, left_with);
  for (size_t word = 6; word < 14; word++) {
    CHECK(word < 8 || seen[word] == 0); /* the stack was not looked at */
  }
  paced = false;
  CHECK_EQUAL(36, gated_without_stack("iiiiiiii", 1, 2, 3, 4, 5, 6, 7, 8)); /* the stack is the caller's own */
}

int main(void) {
  RUN(everything_arrives_when_the_launch_is_paced);
  RUN(everything_arrives_when_it_is_not);
  RUN(a_variadic_call_arrives);
  return 0;
}
