#include "common/rng.h"
#include "common/status.h"

#include <math.h>

uint64_t mr_mix64(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void mr_rng_seed(mr_rng *r, uint64_t seed) {
    for (int i = 0; i < 4; i++) r->s[i] = mr_mix64(seed + (uint64_t)i * 0x9e3779b97f4a7c15u);
}

void mr_rng_stream(mr_rng *r, uint64_t seed, uint64_t a, uint64_t b) {
    mr_rng_seed(r, mr_mix64(mr_mix64(seed ^ 0x6d696c6c72616365u) + a) ^ mr_mix64(b));
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t mr_rng_next(mr_rng *r) {
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

double mr_rng_unit(mr_rng *r) { return (double)(mr_rng_next(r) >> 11) * 0x1p-53; }

uint64_t mr_rng_below(mr_rng *r, uint64_t n) {
    MR_ASSERT(n > 0);
    unsigned __int128 m = (unsigned __int128)mr_rng_next(r) * n;
    if ((uint64_t)m < n) {
        uint64_t least = -n % n;
        while ((uint64_t)m < least) m = (unsigned __int128)mr_rng_next(r) * n;
    }
    return (uint64_t)(m >> 64);
}

double mr_rng_normal(mr_rng *r) {
    double u, v, s;
    do {
        u = 2 * mr_rng_unit(r) - 1;
        v = 2 * mr_rng_unit(r) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    return u * sqrt(-2 * log(s) / s);
}

void mr_rng_shuffle(mr_rng *r, uint32_t *v, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = mr_rng_below(r, i);
        uint32_t t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
}
