#include "common/unicode_ascii.h"

#include <endian.h>
#include <string.h>

enum { UPPER = MR_CHAR_LETTER | MR_CHAR_UPPER, DIGIT = MR_CHAR_DIGIT | MR_CHAR_NUMBER };

const uint8_t mr_ascii_class[128] = {
    ['\t' ... '\r'] = MR_CHAR_SPACE, [' '] = MR_CHAR_SPACE,          ['!' ... '/'] = MR_CHAR_PUNCT,
    ['0' ... '9'] = DIGIT,           [':' ... '@'] = MR_CHAR_PUNCT,  ['A' ... 'Z'] = UPPER,
    ['[' ... '`'] = MR_CHAR_PUNCT,   ['a' ... 'z'] = MR_CHAR_LETTER, ['{' ... '~'] = MR_CHAR_PUNCT,
};

bool mr_ascii_only(mr_span s) {
    size_t i = 0;
    for (; s.len - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, s.data + i, 8);
        if (w & 0x8080808080808080u) return false;
    }
    for (; i < s.len; i++)
        if (s.data[i] & 0x80) return false;
    return true;
}

static bool is_crlf(mr_span s, size_t at) {
    return s.data[at] == '\r' && s.len - at > 1 && s.data[at + 1] == '\n';
}

size_t mr_ascii_grapheme_end(mr_span s, size_t at) { return at + (is_crlf(s, at) ? 2 : 1); }

/* ---- words: the Word_Break property and rules WB3 to WB13b ---- */

enum word_class { W_OTHER, W_LETTER, W_DIGIT, W_LOW_LINE, W_MID_LETTER, W_MID_NUM, W_MID_BOTH, W_SPACE };

static const uint8_t word_class[128] = {
    ['A' ... 'Z'] = W_LETTER, ['a' ... 'z'] = W_LETTER, ['0' ... '9'] = W_DIGIT, ['_'] = W_LOW_LINE,
    [','] = W_MID_NUM,        [';'] = W_MID_NUM,        ['.'] = W_MID_BOTH,      ['\''] = W_MID_BOTH,
    [' '] = W_SPACE,          ['@'] = W_LETTER, /* CLDR's tailoring: addresses and handles stay whole */
};

/* Whether a middle character of class `mid` joins two characters of class `side`. */
static bool joins(uint8_t side, uint8_t mid) {
    if (mid == W_MID_BOTH) return side == W_LETTER || side == W_DIGIT;
    return (side == W_LETTER && mid == W_MID_LETTER) || (side == W_DIGIT && mid == W_MID_NUM);
}

size_t mr_ascii_word_end(mr_span s, size_t at) {
    uint8_t last = word_class[s.data[at]];
    if (last == W_SPACE) {
        while (at < s.len && s.data[at] == ' ') at++;
        return at;
    }
    if (last < W_LETTER || last > W_LOW_LINE) return mr_ascii_grapheme_end(s, at);
    for (at++; at < s.len; at++) {
        uint8_t k = word_class[s.data[at]];
        if (k >= W_LETTER && k <= W_LOW_LINE) {
            last = k;
        } else if (joins(last, k) && s.len - at > 1 && word_class[s.data[at + 1]] == last) {
            at++;
        } else {
            break;
        }
    }
    return at;
}

/* ---- words of a whole text, eight bytes at a time (Warren, Hacker's Delight, 6-1) ---- */

static const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;

/* The top bit of each byte that is within [low, high]; what else is set means nothing. No byte of `w` is above 127. */
static uint64_t within(uint64_t w, unsigned low, unsigned high) {
    return (w + ones * (128 - low)) & ~(w + ones * (127 - high));
}

static uint64_t fold_eight(uint64_t w) { return w | (within(w, 'A', 'Z') & tops) >> 2; }

/* A bit for each byte that is a letter, a digit, '_' or '@', the first one lowest. */
static uint64_t words_of_eight(uint64_t w) {
    uint64_t in = within(w, '@', 'Z') | within(w, 'a', 'z') | within(w, '0', '9') | within(w, '_', '_');
    return ((in & tops) >> 7) * 0x0102040810204080u >> 56;
}

void mr_ascii_fold(mr_span s, uint8_t *folded, uint64_t *in_word) {
    size_t last = s.len / 64;
    for (size_t i = 0; i <= last; i++) in_word[i] = 0;
    in_word[last + 1] = UINT64_MAX;
    for (size_t at = 0; at < s.len; at += 8) {
        uint64_t w = 0;
        if (s.len - at >= 8) memcpy(&w, s.data + at, 8);
        else memcpy(&w, s.data + at, s.len - at);
        in_word[at / 64] |= words_of_eight(le64toh(w)) << at % 64;
        w = fold_eight(w);
        memcpy(folded + at, &w, 8);
    }
}

/* The first bit from `at` on that differs from those of `but`, which is all or none. */
static size_t next_bit(const uint64_t *bits, size_t at, uint64_t but) {
    size_t i = at / 64;
    uint64_t v = (bits[i] ^ but) >> at % 64;
    if (v) return at + (size_t)__builtin_ctzll(v);
    do v = bits[++i] ^ but;
    while (!v);
    return i * 64 + (size_t)__builtin_ctzll(v);
}

static size_t word_end(mr_span s, const uint64_t *in_word, size_t at) {
    for (;; at++) {
        at = next_bit(in_word, at, UINT64_MAX);
        if (s.len - at < 2) return at;
        uint8_t before = word_class[s.data[at - 1]];
        if (!joins(before, word_class[s.data[at]]) || word_class[s.data[at + 1]] != before) return at;
    }
}

static bool holds_word(mr_span s, const mr_piece *piece) {
    size_t at = piece->start;
    while (at < piece->end && !(mr_ascii_class[s.data[at]] & (MR_CHAR_LETTER | MR_CHAR_NUMBER))) at++;
    return at < piece->end;
}

/* What begins with no character of a word is no word as a whole. */
bool mr_ascii_next_word(mr_span s, const uint64_t *in_word, mr_piece *piece) {
    do {
        piece->start = next_bit(in_word, piece->end, 0);
        if (piece->start >= s.len) return false;
        piece->end = word_end(s, in_word, piece->start);
    } while (!holds_word(s, piece));
    return piece->is_word = true;
}

/* ---- sentences: the Sentence_Break property and rules SB3 to SB11 ---- */

enum sentence_class {
    S_OTHER,
    S_LOWER,
    S_UPPER,
    S_DIGIT,
    S_POINT,
    S_TERM,
    S_CLOSE,
    S_SPACE,
    S_LINE,
    S_CONTINUE
};

static const uint8_t sentence_class[128] = {
    ['a' ... 'z'] = S_LOWER, ['A' ... 'Z'] = S_UPPER, ['0' ... '9'] = S_DIGIT, ['.'] = S_POINT,
    ['!'] = S_TERM,          ['?'] = S_TERM,          ['"'] = S_CLOSE,         ['\''] = S_CLOSE,
    ['('] = S_CLOSE,         [')'] = S_CLOSE,         ['['] = S_CLOSE,         [']'] = S_CLOSE,
    ['{'] = S_CLOSE,         ['}'] = S_CLOSE,         ['\t'] = S_SPACE,        ['\v'] = S_SPACE,
    ['\f'] = S_SPACE,        [' '] = S_SPACE,         ['\r'] = S_LINE,         ['\n'] = S_LINE,
    [','] = S_CONTINUE,      ['-'] = S_CONTINUE,      [':'] = S_CONTINUE,
};

static uint8_t sentence_at(mr_span s, size_t i) {
    return i < s.len ? sentence_class[s.data[i]] : (uint8_t)S_OTHER;
}

/* SB8: a full stop does not end a sentence that goes on in lower case. */
static bool goes_on_lower(mr_span s, size_t at) {
    for (; at < s.len; at++) {
        uint8_t k = sentence_class[s.data[at]];
        if (k == S_LOWER) return true;
        if (k == S_UPPER || k == S_LINE || k == S_POINT || k == S_TERM) return false;
    }
    return false;
}

/* The full stop at `at` stands inside a number or an abbreviation (SB6, SB7). */
static bool is_inner_point(mr_span s, size_t at) {
    uint8_t next = sentence_at(s, at + 1);
    if (next == S_DIGIT) return true;
    uint8_t prev = at ? sentence_class[s.data[at - 1]] : (uint8_t)S_OTHER;
    return next == S_UPPER && (prev == S_UPPER || prev == S_LOWER);
}

static bool may_end(uint8_t b) { return (1u << sentence_class[b] & (1u << S_POINT | 1u << S_TERM | 1u << S_LINE)) != 0; }

size_t mr_ascii_sentence_end(mr_span s, size_t at) {
    for (;;) {
        while (at < s.len && !may_end(s.data[at])) at++;
        if (at == s.len) return at;
        uint8_t k = sentence_class[s.data[at]];
        if (k == S_LINE) return mr_ascii_grapheme_end(s, at);
        if (k == S_POINT && is_inner_point(s, at)) {
            at++;
            continue;
        }
        size_t end = at + 1;
        while (sentence_at(s, end) == S_CLOSE) end++;
        while (sentence_at(s, end) == S_SPACE) end++;
        uint8_t next = sentence_at(s, end);
        if (next == S_LINE) return mr_ascii_grapheme_end(s, end);
        bool on = next == S_CONTINUE || next == S_POINT || next == S_TERM ||
                  (k == S_POINT && goes_on_lower(s, end));
        if (!on) return end;
        at = end;
    }
}
