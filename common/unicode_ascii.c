#include "common/unicode_ascii.h"

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

size_t mr_ascii_sentence_end(mr_span s, size_t at) {
    while (at < s.len) {
        uint8_t k = sentence_class[s.data[at]];
        if (k == S_LINE) return mr_ascii_grapheme_end(s, at);
        if ((k != S_POINT && k != S_TERM) || (k == S_POINT && is_inner_point(s, at))) {
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
    return at;
}
