/* fixmath.h: exp, log and what follows from them by +, -, *, / in a fixed order, so that the last bit does not depend on the
 * C library or the processor (docs/adr/0012), and so that loops over them are vectorised. Relative error below 1e-15 where
 * the result is a normal number (log: absolute error below 1e-16 near 1). Not for NaN or infinity. */
#ifndef MR_KIT_FIXMATH_H
#define MR_KIT_FIXMATH_H

#include "common/rng.h"

#include <math.h>
#include <string.h>

/* Adding it to a small number leaves the nearest integer in the low bits of the sum. */
#define MR_FIX_ROUND 0x1.8p52

static inline uint64_t mr_fix_bits(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double mr_fix_double(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = k ln 2 + r with |r| <= ln(2) / 2; exp(r) by its Taylor series to r^13; x is held to [-708, 709]. */
static inline double mr_fix_exp(double x) {
    x = x < -708 ? -708 : x > 709 ? 709 : x;
    double shifted = x * 0x1.71547652b82fep0 + MR_FIX_ROUND, k = shifted - MR_FIX_ROUND;
    double r = x - k * 0x1.62e42fefa38p-1 - k * 0x1.ef35793c7673p-45;
    double p = 1 / 6227020800.0;
    p = p * r + 1 / 479001600.0;
    p = p * r + 1 / 39916800.0;
    p = p * r + 1 / 3628800.0;
    p = p * r + 1 / 362880.0;
    p = p * r + 1 / 40320.0;
    p = p * r + 1 / 5040.0;
    p = p * r + 1 / 720.0;
    p = p * r + 1 / 120.0;
    p = p * r + 1 / 24.0;
    p = p * r + 1 / 6.0;
    p = p * r + 0.5;
    p = p * r * r + r + 1;
    return p * mr_fix_double((mr_fix_bits(shifted) + 1023) << 52);
}

/* x > 0 and normal. x = 2^e m with m in [sqrt(1/2), sqrt 2); log m = 2 atanh((m - 1) / (m + 1)) by its series. */
static inline double mr_fix_log(double x) {
    uint64_t bits = mr_fix_bits(x) + 0x00095f6200000000u; /* 1 - mantissa of sqrt(1/2) carries into the exponent */
    double e = mr_fix_double((bits >> 52) + 0x4338000000000000u) - MR_FIX_ROUND - 1023;
    double m = mr_fix_double((bits & 0x000fffffffffffffu) + 0x3fe6a09e00000000u);
    double f = (m - 1) / (m + 1), s = f * f, p = 1 / 21.0;
    p = p * s + 1 / 19.0;
    p = p * s + 1 / 17.0;
    p = p * s + 1 / 15.0;
    p = p * s + 1 / 13.0;
    p = p * s + 1 / 11.0;
    p = p * s + 1 / 9.0;
    p = p * s + 1 / 7.0;
    p = p * s + 1 / 5.0;
    p = p * s + 1 / 3.0;
    return e * 0x1.62e42fefa38p-1 + (e * 0x1.ef35793c7673p-45 + (2 * f + 2 * f * s * p));
}

/* x > 0 */
static inline double mr_fix_pow(double x, double y) { return mr_fix_exp(y * mr_fix_log(x)); }

/* Mean 0, sd 1, by the polar method; mr_rng_normal with a logarithm of our own. */
static inline double mr_fix_normal(mr_rng *rng) {
    for (;;) {
        double u = 2 * mr_rng_unit(rng) - 1, v = 2 * mr_rng_unit(rng) - 1, s = u * u + v * v;
        if (s > 0 && s < 1) return u * sqrt(-2 * mr_fix_log(s) / s);
    }
}

static inline double mr_fix_tanh(double x) {
    double e = mr_fix_exp(2 * x);
    return x > 20 ? 1 : (e - 1) / (e + 1);
}

#endif
