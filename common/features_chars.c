#include "common/features_parts.h"
#include "common/unicode_ascii.h"

#include <string.h>

/* 2^k * m with m in [1, 2): log2 m = 2 atanh((m-1)/(m+1)) / ln 2, by its series. With m brought to
 * [0.75, 1.5) the argument is below 0.2 and twelve terms leave an error under 1e-16. */
double mr_log2_exact(uint64_t n) {
    int k = 63 - __builtin_clzll(n);
    double m = (double)n / (double)(1ull << k);
    if (m >= 1.5) {
        m /= 2;
        k++;
    }
    double s = (m - 1) / (m + 1), square = s * s, power = s, sum = 0;
    for (int i = 1; i < 24; i += 2) {
        sum += power / i;
        power *= square;
    }
    return k + sum * 2 * 1.4426950408889634; /* 1 / ln 2 */
}

double mr_n_log2_n(mr_feature_memory *m, uint64_t n) {
    if (n >= MR_KEPT_LOGS) return (double)n * mr_log2_exact(n);
    if (m->logs[n] == 0 && n > 1) m->logs[n] = (double)n * mr_log2_exact(n);
    return m->logs[n];
}

/* A set of 64-bit keys (none is 0) with counts, by open addressing. */
typedef struct tally {
    uint64_t *keys;
    uint32_t *counts; /* only for the slots with a key */
    size_t slots;     /* a power of two, more than twice the keys */
    unsigned shift;
    uint64_t distinct;
} tally;

static bool tally_open(tally *y, mr_text *t, size_t keys) {
    y->shift = 64 - 6;
    for (y->slots = 64; y->slots < keys * 2; y->slots *= 2) y->shift--;
    y->keys = mr_text_scratch(t, y->slots * (sizeof *y->keys + sizeof *y->counts));
    if (!y->keys) return false;
    y->counts = (uint32_t *)(y->keys + y->slots);
    return true;
}

static void tally_clear(tally *y) {
    memset(y->keys, 0, y->slots * sizeof *y->keys);
    y->distinct = 0;
}

static void tally_add(tally *y, uint64_t key) {
    size_t i = (size_t)((key * 0x9e3779b97f4a7c15u) >> y->shift);
    while (y->keys[i] && y->keys[i] != key) i = (i + 1) & (y->slots - 1);
    if (!y->keys[i]) {
        y->keys[i] = key;
        y->counts[i] = 0;
        y->distinct++;
    }
    y->counts[i]++;
}

/* Three code points in one key; the 1 on top keeps it from being 0. */
static uint64_t trigram_key(uint64_t window) { return (window & 0x7FFFFFFFFFFFFFFFu) | 1ull << 63; }

static void count_trigrams(mr_span s, tally *y) {
    uint64_t window = 0, seen = 0;
    for (size_t at = 0; at < s.len;) {
        window = window << 21 | mr_utf8_next(s, &at);
        if (++seen >= 3) tally_add(y, trigram_key(window));
    }
}

/* Distinct trigrams of plain ASCII: a bit each, cleared again behind. */
static uint64_t count_ascii_trigrams(mr_span s, uint64_t *bits) {
    enum { LAST_THREE = MR_ASCII_TRIGRAMS - 1 };
    if (s.len < 3) return 0;
    const uint8_t *end = s.data + s.len;
    const uint32_t first = (uint32_t)s.data[0] << 7 | s.data[1];
    uint64_t distinct = 0;
    uint32_t window = first;
    for (const uint8_t *p = s.data + 2; p < end; p++) {
        window = (window << 7 | *p) & LAST_THREE;
        uint64_t *word = &bits[window / 64], before = *word, after = before | 1ull << window % 64;
        distinct += before != after;
        *word = after;
    }
    window = first;
    for (const uint8_t *p = s.data + 2; p < end; p++) {
        window = (window << 7 | *p) & LAST_THREE;
        bits[window / 64] = 0;
    }
    return distinct;
}

static void count_classes(mr_char_counts *c, unsigned bits, uint64_t n) {
    c->letters += bits & MR_CHAR_LETTER ? n : 0;
    c->upper += bits & MR_CHAR_UPPER ? n : 0;
    c->digits += bits & MR_CHAR_DIGIT ? n : 0;
    c->punct += bits & MR_CHAR_PUNCT ? n : 0;
    c->spaces += bits & MR_CHAR_SPACE ? n : 0;
}

/* The code points that are not ASCII go to `y`; the sum of n log2 n over them is returned. The order of the
 * sum is that of the table, which follows from the text alone. */
static double count_wide(mr_feature_memory *m, mr_span s, mr_char_counts *c, tally *y) {
    tally_clear(y);
    for (size_t at = 0; at < s.len;) {
        uint32_t code = mr_utf8_next(s, &at);
        if (code >= 128) tally_add(y, code);
    }
    double sum = 0;
    for (size_t i = 0; i < y->slots; i++) {
        if (!y->keys[i]) continue;
        count_classes(c, mr_char_class((uint32_t)y->keys[i]), y->counts[i]);
        c->non_ascii += y->counts[i];
        sum += mr_n_log2_n(m, y->counts[i]);
    }
    return sum;
}

/* A bit for each of 64 counts that is not 0. */
static uint64_t which(const uint32_t counts[64]) {
    uint64_t bits = 0;
    for (unsigned i = 64; i-- > 0;) bits = bits << 1 | (counts[i] != 0);
    return bits;
}

/* The ASCII part of the text; returns the sum of n log2 n, in the order of the code points. */
static double count_ascii(mr_feature_memory *m, mr_span s, mr_char_counts *c) {
    uint32_t seen[256] = {0};
    double sum = 0;
    for (size_t i = 0; i < s.len; i++) seen[s.data[i]]++;
    for (unsigned from = 0; from < 128; from += 64)
        for (uint64_t left = which(seen + from); left; left &= left - 1) {
            unsigned i = from + (unsigned)__builtin_ctzll(left);
            count_classes(c, mr_ascii_class[i], seen[i]);
            c->chars += seen[i];
            sum += mr_n_log2_n(m, seen[i]);
        }
    return sum;
}

static mr_status count_others(mr_text *t, mr_feature_memory *m, mr_span s, mr_char_counts *out, double *sum, mr_error *err) {
    tally y;
    if (!tally_open(&y, t, s.len)) return mr_fail(err, MR_E_MEMORY, "out of memory while counting characters");
    *sum += count_wide(m, s, out, &y);
    out->chars += out->non_ascii;
    tally_clear(&y);
    count_trigrams(s, &y);
    out->trigrams_new = y.distinct;
    return MR_OK;
}

mr_status mr_count_chars(mr_text *t, mr_feature_memory *m, mr_span s, mr_char_counts *out, mr_error *err) {
    *out = (mr_char_counts){0};
    double sum = count_ascii(m, s, out);
    if (out->chars < s.len) MR_TRY(count_others(t, m, s, out, &sum, err));
    else out->trigrams_new = count_ascii_trigrams(s, m->trigrams);
    if (out->chars) out->entropy = mr_log2_exact(out->chars) - sum / (double)out->chars;
    return MR_OK;
}
