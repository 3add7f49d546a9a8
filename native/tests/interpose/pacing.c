#include "tests/interpose/pacing.h"

#include <time.h>

#include "fake/card/card.h"
#include "tests/core/check.h"

#define KERNEL_NS 2000000ULL
#define LAUNCHES 200

static uint64_t now_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

void pacing_check(int (*launch)(const uint64_t *duration_ns), void (*synchronise)(void)) {
  const uint64_t duration_ns = KERNEL_NS;
  uint64_t began_ns = now_ns();
  for (int i = 0; i < LAUNCHES; i++) {
    CHECK_EQUAL(0, launch(&duration_ns));
  }
  synchronise();
  /* A slow machine makes the share smaller, never larger: only the upper bound is a promise. */
  uint64_t percent = fake_busy_ns() * 100 / (now_ns() - began_ns);
  printf("%u%% of the device's time\n", (unsigned int)percent);
  CHECK_EQUAL(LAUNCHES * KERNEL_NS, fake_busy_ns());
  CHECK(percent <= 35);
}
