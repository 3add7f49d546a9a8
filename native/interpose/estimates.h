/*
 * What launches take on the device, learnt from the ones that were measured. A launch is known by a key (function and
 * shape, or graph). Fixed memory: a newcomer takes the place of the key it collides with. No locks; racing updates lose
 * a sample at worst. Callable from anywhere.
 */
#ifndef HAMI_INTERPOSE_ESTIMATES_H
#define HAMI_INTERPOSE_ESTIMATES_H

#include <stdbool.h>
#include <stdint.h>

/* Mixes one more value into a key; start with 0. Never gives 0. */
static inline uint64_t hami_estimates_mix(uint64_t key, uint64_t value) {
  key = (key ^ value) * 0x9e3779b97f4a7c15ULL;
  key ^= key >> 32;
  return key == 0 ? 1 : key;
}

/* Expected device time, 0 when the key is unknown. With `contended`, what the work takes without its waits for others';
 * unknown until a clean sample or several others have come. */
uint64_t hami_estimates_get(uint64_t key, bool contended);

/* True when this launch should be measured: the first ones of a key, long ones always, short ones now and then, the
 * more rarely the longer they have taken the same time. */
bool hami_estimates_wanted(uint64_t key);

/* Takes one measured time in, at the time `now_ns`: between `least_ns` and `most_ns`. `clean`: it contains no waits for
 * others' work, as far as known. Returns the time in these bounds that is most likely. */
uint64_t hami_estimates_add(uint64_t key, uint64_t least_ns, uint64_t most_ns, bool clean, uint64_t now_ns);

#endif
