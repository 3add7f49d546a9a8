/*
 * The first lines of every wrapper. A wrapper is always the same: guard, decide, call the driver, settle.
 *
 * errno, the driver's return codes and its treatment of NULL pointers are never changed by a wrapper. One that is
 * entered from inside another (the driver calling its own exports) or without limits only forwards.
 */
#ifndef HAMI_NVIDIA_HOOK_H
#define HAMI_NVIDIA_HOOK_H

#include <stddef.h>

#include "guard.h"
#include "real.h"
#include "session.h"

/* A wrapper can be reached without its driver function only by direct linkage against a newer driver's names. */
#define HAMI_CUDA_MISSING CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND
#define HAMI_NVML_MISSING NVML_ERROR_FUNCTION_NOT_FOUND

/* Declares `real`; returns at once where there is nothing to decide. The wrapper must end with HAMI_LEAVE. */
#define HAMI_ENTER(missing, name, ...)                                                                                 \
  __typeof__(&(name)) real = HAMI_REAL(name);                                                                          \
  if (__builtin_expect(real == NULL, 0)) {                                                                             \
    return (missing);                                                                                                  \
  }                                                                                                                    \
  if (!hami_session_active() || !hami_guard_enter()) {                                                                 \
    return real(__VA_ARGS__);                                                                                          \
  }

#define HAMI_CUDA_ENTER(name, ...) HAMI_ENTER(HAMI_CUDA_MISSING, name, __VA_ARGS__)
#define HAMI_NVML_ENTER(name, ...) HAMI_ENTER(HAMI_NVML_MISSING, name, __VA_ARGS__)

#define HAMI_LEAVE(result)                                                                                             \
  do {                                                                                                                 \
    __typeof__(result) hami_answer = (result);                                                                         \
    hami_guard_leave();                                                                                                \
    return hami_answer;                                                                                                \
  } while (0)

#endif
