/* Sizes that callers make up: products and sums that stop at the largest number instead of starting again from 0. */
#ifndef HAMI_INTERPOSE_SIZES_H
#define HAMI_INTERPOSE_SIZES_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hami_sizes_multiply(uint64_t left, uint64_t right) {
  uint64_t product;
  return __builtin_mul_overflow(left, right, &product) ? UINT64_MAX : product;
}

static inline uint64_t hami_sizes_add(uint64_t left, uint64_t right) {
  uint64_t sum;
  return __builtin_add_overflow(left, right, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t hami_sizes_subtract(uint64_t left, uint64_t right) { return left > right ? left - right : 0; }

/* The next multiple of `step`; UINT64_MAX where there is none. */
static inline uint64_t hami_sizes_round_up(uint64_t value, uint64_t step) {
  uint64_t padded = hami_sizes_add(value, step - 1);
  return padded == UINT64_MAX ? padded : padded / step * step;
}

/* Row alignment assumed before the driver says which pitch it chose. */
#define HAMI_PITCH_GUESS_BYTES 512U

static inline uint64_t hami_pitched_guess(uint64_t width_bytes, uint64_t height) {
  return hami_sizes_multiply(hami_sizes_round_up(width_bytes, HAMI_PITCH_GUESS_BYTES), height);
}

/* What pitched memory took, by the pitch the driver answered with, if the caller let it. */
static inline uint64_t hami_pitched_bytes(const size_t *pitch, uint64_t width_bytes, uint64_t height) {
  return pitch == NULL ? hami_pitched_guess(width_bytes, height) : hami_sizes_multiply(*pitch, height);
}

#endif
