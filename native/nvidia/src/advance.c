#include "advance.h"

#include "core/core.h"

#define MOST_LAUNCHES 32U

struct advance {
  int device;
  uint32_t launches; /* not settled yet */
  uint64_t used_ns;  /* by those */
  uint64_t left_ns;
};

static __thread struct advance advance __attribute__((tls_model("initial-exec")));

uint32_t hami_advance_launches(uint64_t expected_ns) {
  if (expected_ns == 0) {
    return 1;
  }
  uint64_t launches = HAMI_ADVANCE_NS / expected_ns;
  return launches > MOST_LAUNCHES ? MOST_LAUNCHES : launches > 1 ? (uint32_t)launches : 1;
}

bool hami_advance_take(int device, uint64_t expected_ns) {
  if (expected_ns == 0 || expected_ns > advance.left_ns || device != advance.device) {
    return false;
  }
  advance.left_ns -= expected_ns;
  return true;
}

void hami_advance_end(uint64_t taken_ns, bool launched) {
  if (launched) {
    advance.used_ns += taken_ns;
    advance.launches++;
  } else {
    advance.left_ns += taken_ns;
  }
}

void hami_advance_renew(int device, uint64_t ns) {
  if (advance.launches != 0) {
    hami_core_settle(advance.device, advance.used_ns, advance.used_ns, advance.launches);
  }
  uint64_t left_ns = advance.left_ns;
  if (advance.device != device && left_ns != 0) {
    hami_core_settle(advance.device, left_ns, 0, 0); /* a thread that works on several devices in turn */
    left_ns = 0;
  }
  advance = (struct advance){.device = device, .left_ns = left_ns + ns};
}

void hami_advance_after_fork_in_child(void) { advance = (struct advance){.device = 0}; }
