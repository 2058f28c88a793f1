/* unicode.h: Unicode text, the one adapter around ICU: UTF-8, segmentation by UAX #29, NFC, case folding,
 * character classes, and the syllables of an English word. Text is UTF-8 bytes; offsets are byte offsets.
 * Answers for ASCII do not depend on the ICU version; for the rest they are those of the ICU that is linked.
 */
#ifndef MR_COMMON_UNICODE_H
#define MR_COMMON_UNICODE_H

#include "common/buf.h"

/* Checks that `s` is UTF-8 (no overlong forms, no surrogates, nothing above U+10FFFF). `chars` gets the
 * number of code points, or of those before the error; `bad_at` the byte offset of the first error. Either
 * may be NULL. */
bool mr_utf8_check(mr_span s, size_t *chars, size_t *bad_at);
/* The code point at `*at`, which moves behind it; U+FFFD for a byte that is not UTF-8 (moves by one). *at <
 * s.len. */
uint32_t mr_utf8_next(mr_span s, size_t *at);
/* Writes 1 to 4 bytes and returns how many. Surrogates and numbers above U+10FFFF give U+FFFD. */
size_t mr_utf8_put(uint32_t c, uint8_t out[4]);

/* Bits of a code point's class. */
enum {
    MR_CHAR_LETTER = 1, /* general category L */
    MR_CHAR_UPPER = 2,  /* Lu or Lt */
    MR_CHAR_DIGIT = 4,  /* Nd */
    MR_CHAR_NUMBER = 8, /* Nd, Nl, No */
    MR_CHAR_PUNCT = 16, /* general category P or S */
    MR_CHAR_SPACE = 32  /* White_Space */
};
unsigned mr_char_class(uint32_t c);
/* Simple case folding: one code point for one. */
uint32_t mr_char_fold(uint32_t c);

/* `s` without white space at both ends. */
mr_span mr_text_trim(mr_span s);

/* Holds ICU's iterators, which are slow to open, and scratch memory. One for each thread. */
typedef struct mr_text mr_text;
/* Errors: E_MEMORY; E_INTERNAL when ICU cannot load its data. */
mr_status mr_text_new(const mr_mem *mem, mr_text **out, mr_error *err) MR_MUST_CHECK;
void mr_text_free(mr_text **t);

typedef enum mr_text_unit { MR_UNIT_GRAPHEME, MR_UNIT_WORD, MR_UNIT_SENTENCE, MR_UNIT_COUNT } mr_text_unit;

/* A segment [start, end). `is_word`: it holds a letter or a number (general category L or N), so white space
 * and punctuation between words is told apart from words. Always false for graphemes. */
typedef struct mr_piece {
    size_t start, end;
    bool is_word;
} mr_piece;

/* Starts a walk over `s`, which must stay until it ends. Each unit has a walk of its own, so words may be
 * walked inside sentences. Errors: E_INVALID not UTF-8 (with the byte), E_LIMIT over 1 GiB, E_INTERNAL. */
mr_status mr_text_walk(mr_text *t, mr_text_unit unit, mr_span s, mr_error *err) MR_MUST_CHECK;
/* The next segment; false at the end. Segments cover the text without gaps. */
bool mr_text_next(mr_text *t, mr_text_unit unit, mr_piece *out);
/* Plain ASCII, which needs no walk but for tests that want one: common/unicode_ascii.h knows it by itself. */
bool mr_text_is_plain(const mr_text *t, mr_span s);
/* For tests: false makes every walk go through ICU, also for ASCII (true at first). The answers are the same.
 */
void mr_text_set_fast(mr_text *t, bool fast);

/* Appends `s` in NFC / case-folded (full folding) to `out`. Errors: E_INVALID, E_LIMIT, E_MEMORY, E_INTERNAL.
 */
mr_status mr_text_nfc(mr_text *t, mr_span s, mr_buf *out, mr_error *err) MR_MUST_CHECK;
mr_status mr_text_fold(mr_text *t, mr_span s, mr_buf *out, mr_error *err) MR_MUST_CHECK;

/* Memory that is kept with `t` for its user (the features); holds what was last written. NULL: none. */
void *mr_text_scratch(mr_text *t, size_t bytes);
/* The same, but what was written stays for as long as `t` lives: zeroed at first, and always of the size that was asked for
 * first. */
void *mr_text_kept(mr_text *t, size_t bytes);

/* Syllables of an English word: at least 1 when it has a letter, else 0. The rules, on lower-case letters:
 *
 *   - the groups of vowels are counted (a e i o u y; y is a consonant before a vowel at the start of the
 *     word and between two vowels; an accented Latin-1 vowel is a vowel that is never silent);
 *   - less a silent e: final behind a consonant ("make", not "table"), in -es and -ed ("makes", "asked",
 *     not "boxes", "wanted"), before -ly -ment -ful -ness -less, and at the joint of a compound;
 *   - plus or less a table of letters that are spoken apart or together ("ia" in media, not in special);
 *   - plus n't behind a consonant ("didn't"); and a short list of words is given outright. */
unsigned mr_text_syllables(mr_span word);

#endif
