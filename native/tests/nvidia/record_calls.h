/* How a recorded function is written, see record.c. */
#ifndef HAMI_TESTS_NVIDIA_RECORD_CALLS_H
#define HAMI_TESTS_NVIDIA_RECORD_CALLS_H

#include "record.h"

#define __CUDA_API_VERSION_INTERNAL
#pragma GCC visibility push(default)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <cuda.h>
#pragma GCC diagnostic pop
#pragma GCC visibility pop

#define NUMBER(kind, handle) record_number(RECORD_##kind, (uint64_t)(uintptr_t)(handle))
#define NEW(kind, handle, bytes) record_new(RECORD_##kind, (uint64_t)(uintptr_t)(handle), bytes)
#define GONE(kind, handle) record_gone(RECORD_##kind, (uint64_t)(uintptr_t)(handle))

/* RECORDED(function, (parameters), (arguments)) { what to write of `code` }: the call comes before the braces' content.
 */
#define RECORDED(name, parameters, arguments)                                                                          \
  static void write_##name(CUresult code, NAMES parameters);                                                           \
  CUresult name parameters {                                                                                           \
    __typeof__(&name) real = (__typeof__(&name))(uintptr_t)record_real(#name);                                         \
    if (real == NULL) {                                                                                                \
      return CUDA_ERROR_NOT_FOUND;                                                                                     \
    }                                                                                                                  \
    CUresult code = real arguments;                                                                                    \
    record_begin();                                                                                                    \
    write_##name(code, NAMES arguments);                                                                               \
    record_end();                                                                                                      \
    return code;                                                                                                       \
  }                                                                                                                    \
  static void write_##name(CUresult code, NAMES parameters)
#define NAMES(...) __VA_ARGS__

#endif
