#include "common/text.h"
#include "common/unicode.h"
#include "common/unicode_ascii.h"

#include <string.h>
#include <unicode/ubrk.h>
#include <unicode/ucasemap.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

/* ---- UTF-8 ---- */

bool mr_utf8_check(mr_span s, size_t *chars, size_t *bad_at) {
    size_t at = 0, count = 0;
    while (at < s.len) {
        uint64_t w;
        while (s.len - at >= 8 && (memcpy(&w, s.data + at, 8), !(w & 0x8080808080808080u))) {
            at += 8;
            count += 8;
        }
        if (at == s.len) break;
        size_t n = mr_utf8_char(s.data + at, s.len - at);
        if (n == 0) break;
        at += n;
        count++;
    }
    if (chars) *chars = count;
    if (at < s.len && bad_at) *bad_at = at;
    return at == s.len;
}

uint32_t mr_utf8_next(mr_span s, size_t *at) {
    const uint8_t *p = s.data + *at;
    if (p[0] < 0x80) {
        ++*at;
        return p[0];
    }
    size_t n = mr_utf8_char(p, s.len - *at);
    *at += n ? n : 1;
    switch (n) {
    case 2:
        return (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    case 3:
        return (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    case 4:
        return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
    default:
        return 0xFFFD;
    }
}

size_t mr_utf8_put(uint32_t c, uint8_t out[4]) {
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = 0xFFFD;
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3F));
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (uint8_t)(lead[n] | c);
    return n;
}

unsigned mr_char_class(uint32_t c) {
    if (c < 128) return mr_ascii_class[c];
    uint32_t mask = U_MASK(u_charType((UChar32)c));
    unsigned bits = 0;
    if (mask & U_GC_L_MASK) bits |= MR_CHAR_LETTER;
    if (mask & (U_GC_LU_MASK | U_GC_LT_MASK)) bits |= MR_CHAR_UPPER;
    if (mask & U_GC_ND_MASK) bits |= MR_CHAR_DIGIT;
    if (mask & U_GC_N_MASK) bits |= MR_CHAR_NUMBER;
    if (mask & (U_GC_P_MASK | U_GC_S_MASK)) bits |= MR_CHAR_PUNCT;
    if (u_isUWhiteSpace((UChar32)c)) bits |= MR_CHAR_SPACE;
    return bits;
}

uint32_t mr_char_fold(uint32_t c) { return (uint32_t)u_foldCase((UChar32)c, U_FOLD_CASE_DEFAULT); }

mr_span mr_text_trim(mr_span s) {
    while (s.len) {
        size_t at = 0;
        if (!(mr_char_class(mr_utf8_next(s, &at)) & MR_CHAR_SPACE)) break;
        s.data += at;
        s.len -= at;
    }
    while (s.len) {
        size_t at = s.len - 1;
        while (at > 0 && (s.data[at] & 0xC0) == 0x80) at--;
        size_t end = at;
        if (!(mr_char_class(mr_utf8_next(s, &end)) & MR_CHAR_SPACE) || end != s.len) break;
        s.len = at;
    }
    return s;
}

/* ---- the object ---- */

typedef struct walk {
    mr_span s;
    size_t at;
    bool ascii;
    UBreakIterator *it;
} walk;

struct mr_text {
    const mr_mem *mem;
    walk walks[MR_UNIT_COUNT];
    UText *text[MR_UNIT_COUNT];
    UCaseMap *fold;
    const UNormalizer2 *nfc;
    UChar *wide; /* UTF-16 of what is normalised */
    size_t wide_cap;
    void *scratch, *kept;
    size_t scratch_cap, kept_size;
    bool slow;
};

static const UBreakIteratorType icu_unit[MR_UNIT_COUNT] = {UBRK_CHARACTER, UBRK_WORD, UBRK_SENTENCE};

static mr_status icu_failed(UErrorCode code, const char *doing, mr_error *err) {
    if (code == U_MEMORY_ALLOCATION_ERROR) return mr_fail(err, MR_E_MEMORY, "out of memory while %s", doing);
    return mr_fail(err, MR_E_INTERNAL, "ICU failed while %s: %s; check that its data is installed", doing,
                   u_errorName(code));
}

mr_status mr_text_new(const mr_mem *mem, mr_text **out, mr_error *err) {
    mr_text *t = mr_new(mem, 1, sizeof *t);
    if (!t) return mr_fail(err, MR_E_MEMORY, "out of memory while opening the text functions");
    t->mem = mem;
    UErrorCode code = U_ZERO_ERROR;
    /* the root locale: what a text gives must not depend on who runs the program */
    for (int i = 0; i < MR_UNIT_COUNT; i++) t->walks[i].it = ubrk_open(icu_unit[i], "", NULL, 0, &code);
    t->fold = ucasemap_open("", U_FOLD_CASE_DEFAULT, &code);
    t->nfc = unorm2_getNFCInstance(&code);
    if (U_SUCCESS(code)) {
        *out = t;
        return MR_OK;
    }
    mr_text_free(&t);
    return icu_failed(code, "opening the text functions", err);
}

void mr_text_free(mr_text **t) {
    if (!*t) return;
    for (int i = 0; i < MR_UNIT_COUNT; i++) {
        if ((*t)->walks[i].it) ubrk_close((*t)->walks[i].it);
        utext_close((*t)->text[i]);
    }
    if ((*t)->fold) ucasemap_close((*t)->fold);
    mr_free((*t)->mem, (*t)->wide, (*t)->wide_cap, sizeof(UChar));
    mr_free((*t)->mem, (*t)->scratch, (*t)->scratch_cap, 1);
    mr_free((*t)->mem, (*t)->kept, (*t)->kept_size, 1);
    mr_free((*t)->mem, *t, 1, sizeof **t);
    *t = NULL;
}

void mr_text_set_fast(mr_text *t, bool fast) { t->slow = !fast; }

/* ---- segmentation ---- */

enum { TEXT_MAX = 1 << 30 };

static mr_status check_text(mr_span s, mr_error *err) {
    size_t bad = 0;
    if (s.len > TEXT_MAX)
        return mr_fail(err, MR_E_LIMIT, "text of %zu bytes; at most 1 GiB can be walked", s.len);
    if (mr_utf8_check(s, NULL, &bad)) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "not UTF-8 at byte %zu", bad + 1);
}

bool mr_text_is_plain(const mr_text *t, mr_span s) { return !t->slow && mr_ascii_only(s); }

mr_status mr_text_walk(mr_text *t, mr_text_unit unit, mr_span s, mr_error *err) {
    walk *w = &t->walks[unit];
    w->s = s;
    w->at = 0;
    w->ascii = mr_text_is_plain(t, s);
    if (w->ascii) return MR_OK;
    mr_status status = check_text(s, err);
    if (status != MR_OK) {
        w->s.len = 0;
        return status;
    }
    UErrorCode code = U_ZERO_ERROR;
    t->text[unit] = utext_openUTF8(t->text[unit], s.len ? (const char *)s.data : "", (int64_t)s.len, &code);
    ubrk_setUText(w->it, t->text[unit], &code);
    if (U_FAILURE(code)) return icu_failed(code, "walking a text", err);
    ubrk_first(w->it);
    return MR_OK;
}

static size_t ascii_end(mr_text_unit unit, mr_span s, size_t at) {
    if (unit == MR_UNIT_WORD) return mr_ascii_word_end(s, at);
    return unit == MR_UNIT_SENTENCE ? mr_ascii_sentence_end(s, at) : mr_ascii_grapheme_end(s, at);
}

static bool holds_word(mr_span s, size_t at, size_t end) {
    while (at < end)
        if (mr_char_class(mr_utf8_next(s, &at)) & (MR_CHAR_LETTER | MR_CHAR_NUMBER)) return true;
    return false;
}

bool mr_text_next(mr_text *t, mr_text_unit unit, mr_piece *out) {
    walk *w = &t->walks[unit];
    if (w->at >= w->s.len) return false;
    size_t end;
    if (w->ascii) {
        end = ascii_end(unit, w->s, w->at);
    } else {
        int32_t next = ubrk_next(w->it);
        end = next == UBRK_DONE || (size_t)next <= w->at ? w->s.len : (size_t)next;
    }
    *out = (mr_piece){w->at, end, unit != MR_UNIT_GRAPHEME && holds_word(w->s, w->at, end)};
    w->at = end;
    return true;
}

/* ---- NFC and case folding ---- */

static bool wide_room(mr_text *t, size_t n) {
    if (n <= t->wide_cap) return true;
    UChar *fresh = mr_grow(t->mem, t->wide, t->wide_cap, n, sizeof *fresh);
    if (!fresh) return false;
    t->wide = fresh;
    t->wide_cap = n;
    return true;
}

static mr_status buf_status(const mr_buf *out, mr_error *err) {
    mr_status status = mr_buf_status(out);
    return status == MR_OK ? status : mr_fail(err, status, "the changed text does not fit");
}

/* The code points of `t->wide` as UTF-8. */
static mr_status put_wide(mr_text *t, size_t from, size_t n, mr_buf *out, mr_error *err) {
    for (size_t i = from; i < from + n;) {
        uint32_t c = t->wide[i++];
        uint8_t bytes[4];
        if (U16_IS_LEAD(c) && i < from + n) c = (uint32_t)U16_GET_SUPPLEMENTARY(c, t->wide[i++]);
        mr_buf_put(out, bytes, mr_utf8_put(c, bytes));
    }
    return buf_status(out, err);
}

mr_status mr_text_nfc(mr_text *t, mr_span s, mr_buf *out, mr_error *err) {
    if (mr_ascii_only(s)) {
        mr_buf_put(out, s.data, s.len);
        return buf_status(out, err);
    }
    MR_TRY(check_text(s, err));
    /* UTF-16 never has more units than UTF-8 has bytes; in NFC a unit grows to at most 3 (UAX #15, table 6)
     */
    size_t room = s.len * 3;
    if (room > TEXT_MAX)
        return mr_fail(err, MR_E_LIMIT, "text of %zu bytes is too long to be normalised", s.len);
    if (!wide_room(t, s.len + room))
        return mr_fail(err, MR_E_MEMORY, "out of memory while normalising a text");
    UErrorCode code = U_ZERO_ERROR;
    int32_t n = 0;
    u_strFromUTF8(t->wide, (int32_t)s.len, &n, (const char *)s.data, (int32_t)s.len, &code);
    int32_t m = unorm2_normalize(t->nfc, t->wide, n, t->wide + s.len, (int32_t)room, &code);
    if (U_FAILURE(code)) return icu_failed(code, "normalising a text", err);
    return put_wide(t, s.len, (size_t)m, out, err);
}

static void fold_ascii(mr_span s, mr_buf *out) {
    uint8_t *to = s.len ? mr_buf_extend(out, s.len) : NULL;
    for (size_t i = 0; to && i < s.len; i++)
        to[i] = (uint8_t)(mr_ascii_class[s.data[i]] & MR_CHAR_UPPER ? s.data[i] + 32 : s.data[i]);
}

mr_status mr_text_fold(mr_text *t, mr_span s, mr_buf *out, mr_error *err) {
    if (mr_ascii_only(s)) {
        fold_ascii(s, out);
        return buf_status(out, err);
    }
    MR_TRY(check_text(s, err));
    /* full folding turns 2 bytes into at most 6 (U+0390), so it never grows more than threefold */
    size_t room = s.len * 3, start = out->len;
    if (room > TEXT_MAX) return mr_fail(err, MR_E_LIMIT, "text of %zu bytes is too long to be folded", s.len);
    uint8_t *to = mr_buf_extend(out, room);
    if (!to) return buf_status(out, err);
    UErrorCode code = U_ZERO_ERROR;
    int32_t n = ucasemap_utf8FoldCase(t->fold, (char *)to, (int32_t)room, (const char *)s.data,
                                      (int32_t)s.len, &code);
    out->len = start + (U_SUCCESS(code) ? (size_t)n : 0);
    return U_SUCCESS(code) ? MR_OK : icu_failed(code, "folding a text", err);
}

void *mr_text_scratch(mr_text *t, size_t bytes) {
    if (bytes <= t->scratch_cap) return t->scratch;
    void *fresh = mr_grow(t->mem, t->scratch, t->scratch_cap, bytes, 1);
    if (!fresh) return NULL;
    t->scratch = fresh;
    t->scratch_cap = bytes;
    return fresh;
}

void *mr_text_kept(mr_text *t, size_t bytes) {
    MR_ASSERT(!t->kept || t->kept_size == bytes);
    if (!t->kept) t->kept = mr_new(t->mem, bytes, 1);
    t->kept_size = bytes;
    return t->kept;
}
