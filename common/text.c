#include "common/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t mr_utf8_char(const uint8_t *s, size_t n) {
    if (n == 0) return 0;
    if (s[0] < 0x80) return 1;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0; /* overlong, surrogate */
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0; /* overlong, above U+10FFFF */
    return len;
}

size_t mr_utf8_broken_at(mr_span text) {
    size_t i = 0;
    while (i < text.len) {
        uint64_t word;
        if (text.len - i >= sizeof word) {
            memcpy(&word, text.data + i, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t n = mr_utf8_char(text.data + i, text.len - i);
        if (n == 0) return i;
        i += n;
    }
    return i;
}

size_t mr_utf8_count(mr_span text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; count++) {
        size_t n = mr_utf8_char(text.data + i, text.len - i);
        i += n ? n : 1;
    }
    return count;
}

void mr_number_text(double v, char out[MR_NUMBER_TEXT]) {
    if (isnan(v)) { /* the sign of a NaN means nothing */
        strcpy(out, "nan");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, MR_NUMBER_TEXT, "%.*g", digits, v);
        if (strtod(out, NULL) == v) break;
    }
}

enum { NUMBER_MAX = 400 }; /* longer than any number that someone writes on purpose */

/* A NUL-terminated copy, when it can be a number at all. */
static bool copy_number(mr_span text, const char *letters, char out[NUMBER_MAX]) {
    if (text.len == 0 || text.len >= NUMBER_MAX) return false;
    memcpy(out, text.data, text.len);
    out[text.len] = 0;
    return strspn(out, letters) == text.len;
}

bool mr_number_parse(mr_span text, double *out) {
    char copy[NUMBER_MAX], *end;
    if (!copy_number(text, "+-.0123456789eE", copy)) return false;
    double v = strtod(copy, &end);
    if (end == copy || *end || !isfinite(v)) return false;
    *out = v;
    return true;
}

bool mr_integer_parse(mr_span text, int64_t *out) {
    char copy[NUMBER_MAX], *end;
    if (!copy_number(text, "+-0123456789", copy)) return false;
    errno = 0;
    long long v = strtoll(copy, &end, 10);
    if (end == copy || *end || errno) return false;
    *out = v;
    return true;
}
