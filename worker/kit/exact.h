/* exact.h: sums of doubles and of products of doubles without any rounding, so that the order and the
 * grouping of the terms cannot matter: a merge of partial sums has the same bits whichever way the rows were
 * cut.
 *
 * A long fixed-point number as in Kulisch and Miranker (1986), in digits of 32 bits kept in 64-bit words so
 * that carries can wait (Neal 2015, "Fast exact summation using small and large superaccumulators"). It
 * covers 2^-2176 to 2^2432: every product of two finite doubles, 2^64 of them, and the products of two such
 * sums of doubles. */
#ifndef MR_KIT_EXACT_H
#define MR_KIT_EXACT_H

#include "common/buf.h"

enum {
    MR_EXACT_DIGITS = 144,
    MR_EXACT_BASE = -2176, /* exponent of digit 0; a multiple of 32 */
    MR_EXACT_BYTES_MAX = 4 + 4 * MR_EXACT_DIGITS
};

typedef struct mr_exact {
    int64_t digit[MR_EXACT_DIGITS]; /* sum of digit[i] * 2^(32 i + MR_EXACT_BASE) */
    uint32_t pending;               /* terms added since the last carry */
    uint16_t first, end;            /* the digits outside [first, end) are 0 */
} mr_exact;

/* A finite double as mantissa * 2^exponent, taken apart once when it enters many products. */
typedef struct mr_exact_term {
    uint64_t mantissa; /* < 2^53 */
    int32_t exponent;
    bool negative;
} mr_exact_term;

mr_exact_term mr_exact_split(double x); /* x must be finite */

void mr_exact_clear(mr_exact *a);
void mr_exact_add(mr_exact *a, double x); /* x must be finite */
void mr_exact_add_scaled(mr_exact *a, double x, int exponent); /* x * 2^exponent, a product of two doubles */
void mr_exact_add_term(mr_exact *a, mr_exact_term x);
void mr_exact_add_product(mr_exact *a, mr_exact_term x, mr_exact_term y);

/* out = n * xy - x * y, for sums `x` and `y` of doubles and `xy` of products: n^2 times the population
 * covariance. The three inputs keep their values (their digits may be carried). */
void mr_exact_comoment(mr_exact *out, uint64_t n, mr_exact *xy, mr_exact *x, mr_exact *y);

/* The nearest double (ties to even); infinite beyond the largest. */
double mr_exact_value(mr_exact *a);

/* The one byte form of a value: u16 first digit, u16 number of digits with the sign in bit 15, then the
 * digits as u32, all little-endian; leading and trailing zero digits are left out. At most
 * MR_EXACT_BYTES_MAX, and for terms whose exponents span S bits and N terms at most 4 + 4 * ceil((S + 106 +
 * log2 N) / 32 + 1). */
void mr_exact_pack(mr_exact *a, mr_buf *out);
/* Adds a packed value to `a` and moves `bytes` behind it. Errors: E_CORRUPT when it is cut short or out of
 * the range that 2^64 doubles (`of_products`: products of two doubles) can reach. */
mr_status mr_exact_add_packed(mr_exact *a, mr_span *bytes, bool of_products, mr_error *err) MR_MUST_CHECK;

#endif
