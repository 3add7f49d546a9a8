/*
 * A test double of the CUDA runtime, libcudart.so.13, over whatever libcuda.so.1 is there. NVIDIA's own runtime wants
 * private tables of NVIDIA's driver and checks by them whose driver it is; this one stands in its place for programs
 * that link it dynamically. It has what PyTorch needs.
 */
#ifndef HAMI_TESTS_CUDART_H
#define HAMI_TESTS_CUDART_H

#include <stddef.h>
#include <stdint.h>

#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <cuda_runtime_api.h>

#define EXPORT __attribute__((visibility("default")))

/* The driver's function of this name; looked up once for each place that uses it. */
void *rt_driver(const char *name);
#define DRIVER(name)                                                                                                   \
  ({                                                                                                                   \
    static __typeof__(&name) found;                                                                                    \
    if (found == NULL) {                                                                                               \
      found = (__typeof__(&name))(uintptr_t)rt_driver(#name);                                                          \
    }                                                                                                                  \
    found;                                                                                                             \
  })

/* Makes the thread's device ready: its primary context is current. */
CUresult rt_ready(void);
int rt_device(void);
/* Keeps an error for cudaGetLastError. The codes of both interfaces have the same numbers. */
cudaError_t rt_answer(CUresult result);

/* What a program registered, or a kernel handle; CUDA_ERROR_INVALID_DEVICE_FUNCTION for anything else. */
CUresult rt_function(const void *host, CUfunction *function);

/* An exported function that is one call of the driver's. */
#define PASS(name, parameters, call)                                                                                   \
  EXPORT cudaError_t name parameters {                                                                                 \
    CUresult result = rt_ready();                                                                                      \
    return rt_answer(result != CUDA_SUCCESS ? result : (call));                                                        \
  }
#define REFUSED(name, parameters)                                                                                      \
  EXPORT cudaError_t name parameters { return rt_answer(CUDA_ERROR_NOT_SUPPORTED); }

#endif
