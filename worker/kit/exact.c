#include "worker/kit/exact.h"

#include <math.h>
#include <string.h>

enum { PENDING_MAX = 1 << 28 }; /* a term adds less than 2^33 to a digit, a carried digit is below 2^32 */
#define LOW32 0xffffffffu

mr_exact_term mr_exact_split(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t exponent = (uint32_t)(bits >> 52) & 0x7ff;
    MR_ASSERT(exponent != 0x7ff);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    if (exponent) fraction |= UINT64_C(1) << 52;
    return (mr_exact_term){fraction, (int32_t)(exponent ? exponent : 1) - 1075, bits >> 63};
}

void mr_exact_clear(mr_exact *a) { memset(a, 0, sizeof *a); }

/* Digits `at` and `count - 1` behind it may now differ from 0. */
static void widen(mr_exact *a, size_t at, size_t count) {
    if (a->end == 0 || at < a->first) a->first = (uint16_t)at;
    if (at + count > a->end) a->end = (uint16_t)(at + count);
}

/* Brings every digit in use but the last into [0, 2^32), and the last into (-2^32, 2^32). */
static void carry(mr_exact *a) {
    int64_t over = 0;
    for (size_t i = a->first; i < a->end; i++) {
        int64_t v = a->digit[i] + over;
        bool is_last = i + 1 == a->end;
        if (is_last && v > -(int64_t)LOW32 && v <= (int64_t)LOW32) {
            a->digit[i] = v;
            break;
        }
        a->digit[i] = v & LOW32;
        over = v >> 32;
        if (!is_last) continue;
        MR_ASSERT(a->end < MR_EXACT_DIGITS);
        a->end++;
    }
    a->pending = 0;
}

static void make_room(mr_exact *a) {
    if (++a->pending >= PENDING_MAX) carry(a);
}

/* Adds +- word * 2^shift, shift < 32, at digit `at`. */
static void add_word(mr_exact *a, size_t at, uint64_t word, unsigned shift, bool negative) {
    unsigned __int128 v = (unsigned __int128)word << shift;
    int64_t sign = negative ? -1 : 1;
    widen(a, at, 3);
    a->digit[at] += sign * (int64_t)((uint64_t)v & LOW32);
    a->digit[at + 1] += sign * (int64_t)((uint64_t)(v >> 32) & LOW32);
    a->digit[at + 2] += sign * (int64_t)(uint64_t)(v >> 64);
}

void mr_exact_add_term(mr_exact *a, mr_exact_term x) {
    unsigned at = (unsigned)(x.exponent - MR_EXACT_BASE);
    if (!x.mantissa) return;
    add_word(a, at / 32, x.mantissa, at % 32, x.negative);
    make_room(a);
}

void mr_exact_add(mr_exact *a, double x) { mr_exact_add_term(a, mr_exact_split(x)); }

void mr_exact_add_scaled(mr_exact *a, double x, int exponent) {
    mr_exact_term term = mr_exact_split(x);
    term.exponent += exponent;
    mr_exact_add_term(a, term);
}

void mr_exact_add_product(mr_exact *a, mr_exact_term x, mr_exact_term y) {
    unsigned __int128 product = (unsigned __int128)x.mantissa * y.mantissa;
    unsigned at = (unsigned)(x.exponent + y.exponent - MR_EXACT_BASE);
    bool negative = x.negative != y.negative;
    if (!product) return;
    add_word(a, at / 32, (uint64_t)product, at % 32, negative);
    add_word(a, at / 32 + 2, (uint64_t)(product >> 64), at % 32, negative);
    make_room(a);
}

/* ---- the value as sign and magnitude, the form that is unique ---- */

typedef struct magnitude {
    uint32_t digit[MR_EXACT_DIGITS]; /* only those in [first, end) are set, the others count as 0 */
    size_t first, end;               /* first == end for zero */
    bool negative;
} magnitude;

static void magnitude_of(mr_exact *a, magnitude *m) {
    carry(a);
    m->negative = a->end > 0 && a->digit[a->end - 1] < 0;
    int64_t sign = m->negative ? -1 : 1, over = 0;
    m->first = m->end = 0;
    for (size_t i = a->first; i < a->end; i++) {
        int64_t v = sign * a->digit[i] + over;
        m->digit[i] = (uint32_t)(v & LOW32);
        over = v >> 32;
        if (!m->digit[i]) continue;
        if (m->end == 0) m->first = i;
        m->end = i + 1;
    }
    MR_ASSERT(over == 0);
}

/* Digit `behind` places below the highest. */
static uint32_t digit_below(const magnitude *m, size_t behind) {
    return m->end - m->first > behind ? m->digit[m->end - 1 - behind] : 0;
}

/* u * 2^exponent to the nearest double, ties to even; `u` has its top bit set and its lowest bit tells of
 * bits that were cut off below it. */
static double round_to_double(uint64_t u, int exponent) {
    int cut = -1074 - exponent; /* bits of u that lie below the smallest double */
    if (cut <= 11) return ldexp((double)u, exponent);
    if (cut > 64) return 0;
    uint64_t whole = cut == 64 ? 0 : u >> cut, rest = u << (64 - cut), half = UINT64_C(1) << 63;
    if (rest > half || (rest == half && (whole & 1))) whole++;
    return ldexp((double)whole, -1074);
}

double mr_exact_value(mr_exact *a) {
    magnitude m;
    magnitude_of(a, &m);
    if (m.first == m.end) return 0;
    size_t top = m.end - 1;
    uint64_t u = (uint64_t)m.digit[top] << 32 | digit_below(&m, 1);
    uint32_t below = digit_below(&m, 2);
    int shift = __builtin_clzll(u);
    if (shift) u = u << shift | below >> (32 - shift);
    bool more = shift ? (below << shift) != 0 : below != 0;
    if (more || m.first + 2 < top) u |= 1;
    double v = round_to_double(u, 32 * ((int)top - 1) + MR_EXACT_BASE - shift);
    return m.negative ? -v : v;
}

/* ---- n * xy - x * y ---- */

static void add_scaled(mr_exact *out, size_t at, uint64_t word, bool negative) {
    add_word(out, at, word, 0, negative);
    make_room(out);
}

void mr_exact_comoment(mr_exact *out, uint64_t n, mr_exact *xy, mr_exact *x, mr_exact *y) {
    magnitude p, q;
    mr_exact_clear(out);
    magnitude_of(xy, &p);
    for (size_t i = p.first; i < p.end; i++) {
        add_scaled(out, i, (n & LOW32) * p.digit[i], p.negative);
        add_scaled(out, i + 1, (n >> 32) * p.digit[i], p.negative);
    }
    magnitude_of(x, &p);
    magnitude_of(y, &q);
    size_t zero = -MR_EXACT_BASE / 32; /* the digit of weight 1 */
    MR_ASSERT(p.first == p.end || q.first == q.end || p.first + q.first >= zero);
    for (size_t i = p.first; i < p.end; i++)
        for (size_t j = q.first; j < q.end; j++)
            add_scaled(out, i + j - zero, (uint64_t)p.digit[i] * q.digit[j], p.negative == q.negative);
}

/* ---- bytes ---- */

static void put_le(uint8_t *at, uint32_t v, size_t n) {
    for (size_t i = 0; i < n; i++) at[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_le(const uint8_t *at, size_t n) {
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint32_t)at[i] << (8 * i);
    return v;
}

void mr_exact_pack(mr_exact *a, mr_buf *out) {
    magnitude m;
    magnitude_of(a, &m);
    size_t count = m.end - m.first;
    uint8_t *at = mr_buf_extend(out, 4 + 4 * count);
    if (!at) return;
    put_le(at, (uint32_t)m.first, 2);
    put_le(at + 2, (uint32_t)count | (m.negative ? 0x8000u : 0), 2);
    for (size_t i = 0; i < count; i++) put_le(at + 4 + 4 * i, m.digit[m.first + i], 4);
}

mr_status mr_exact_add_packed(mr_exact *a, mr_span *bytes, bool of_products, mr_error *err) {
    const size_t least = of_products ? 0 : 34,
                 most = of_products ? 134 : 102; /* 2^-2148..2^2112, 2^-1074..2^1088 */
    if (bytes->len < 4)
        return mr_fail(err, MR_E_CORRUPT, "an exact sum is cut short: %zu bytes left", bytes->len);
    size_t first = get_le(bytes->data, 2), count = get_le(bytes->data + 2, 2) & 0x7fff;
    bool negative = bytes->data[3] >> 7;
    if (count > 0 && (first < least || first + count > most + 1))
        return mr_fail(err, MR_E_CORRUPT, "an exact sum has digits %zu to %zu, outside %zu to %zu", first,
                       first + count, least, most);
    if (count * 4 > bytes->len - 4)
        return mr_fail(err, MR_E_CORRUPT, "an exact sum is cut short: %zu digits, %zu bytes", count,
                       bytes->len - 4);
    if (count > 0) widen(a, first, count);
    for (size_t i = 0; i < count; i++) {
        int64_t digit = get_le(bytes->data + 4 + 4 * i, 4);
        a->digit[first + i] += negative ? -digit : digit;
    }
    make_room(a);
    bytes->data += 4 + 4 * count;
    bytes->len -= 4 + 4 * count;
    return MR_OK;
}
