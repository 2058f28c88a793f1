/* rng.h: the random numbers of Millrace: xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64.
 * The same seed gives the same stream on every machine. Not for secrets. */
#ifndef MR_COMMON_RNG_H
#define MR_COMMON_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct mr_rng {
    uint64_t s[4];
} mr_rng;

void mr_rng_seed(mr_rng *r, uint64_t seed);
/* A stream of its own for each (seed, a, b): for a component, a batch, a tree. */
void mr_rng_stream(mr_rng *r, uint64_t seed, uint64_t a, uint64_t b);
uint64_t mr_rng_next(mr_rng *r);
double mr_rng_unit(mr_rng *r);                      /* [0, 1), 53 bits */
uint64_t mr_rng_below(mr_rng *r, uint64_t n);       /* [0, n), unbiased (Lemire 2019); n > 0 */
double mr_rng_normal(mr_rng *r);                    /* mean 0, sd 1 (polar method) */
void mr_rng_shuffle(mr_rng *r, uint32_t *v, size_t n);
uint64_t mr_mix64(uint64_t x);                      /* splitmix64's finaliser: a hash of one word */

#endif
