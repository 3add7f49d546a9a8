/*
 * The events of a vendor whose API has CUDA's shape, as launches.h wants them. The arguments are calls that answer with
 * the vendor's code, over the variables that HAMI_DEFINE_TIMER names; write them with HAMI_CALL.
 */
#ifndef HAMI_INTERPOSE_TIMER_H
#define HAMI_INTERPOSE_TIMER_H

#include <stddef.h>

#include "launches.h"
#include "real.h"

#define HAMI_NS_PER_MS 1e6F

/* The driver's answer, HAMI_MISSING where it lacks the function. */
#define HAMI_CALL(name, ...) (HAMI_REAL(name) == NULL ? HAMI_MISSING : HAMI_REAL(name)(__VA_ARGS__))

/*
 * Defines `const struct hami_timer hami_timer`. create(void **event), record(void *event, void *stream),
 * query(void *event), elapsed(float *ms, void *begin, void *end), destroy(void *event), and capturing(void *stream, int
 * *status), whose status 0 means no.
 */
#define HAMI_DEFINE_TIMER(create, record, query, elapsed, destroy, capturing)                                          \
  static void destroy_event(void *event) { (void)(destroy); }                                                          \
  static void *create_event(void) {                                                                                    \
    void *event = NULL;                                                                                                \
    return (create) == HAMI_SUCCESS ? event : NULL;                                                                    \
  }                                                                                                                    \
  static bool record_event(void *event, void *stream) { return (record) == HAMI_SUCCESS; }                             \
  static bool reached(void *event) { return (query) == HAMI_SUCCESS; }                                                 \
  static uint64_t between_ns(void *begin, void *end) {                                                                 \
    float ms = 0;                                                                                                      \
    return (elapsed) == HAMI_SUCCESS && ms > 0 ? (uint64_t)(ms * HAMI_NS_PER_MS) : 0;                                  \
  }                                                                                                                    \
  static bool recording(void *stream) {                                                                                \
    int status = 0;                                                                                                    \
    /* The default stream cannot be captured. */                                                                       \
    return stream != NULL && (capturing) == HAMI_SUCCESS && status != 0;                                               \
  }                                                                                                                    \
  const struct hami_timer hami_timer = {create_event, destroy_event, record_event, reached, between_ns, recording}

extern const struct hami_timer hami_timer;

#endif
