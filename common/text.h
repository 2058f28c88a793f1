/* text.h: small facts about text: UTF-8 and the shortest form of a number. */
#ifndef MR_COMMON_TEXT_H
#define MR_COMMON_TEXT_H

#include "common/buf.h"
#include "common/unicode.h"

/* Bytes of the character that starts at `s` (1 to 4) when it is well-formed UTF-8 (RFC 3629) within `n`
 * bytes, else 0. */
size_t mr_utf8_char(const uint8_t *s, size_t n);
/* Where the first broken byte is; text.len when there is none. Fast on plain ASCII. */
size_t mr_utf8_broken_at(mr_span text);
/* Characters in well-formed text; each broken byte counts as one. */
size_t mr_utf8_count(mr_span text);

/* The shortest of "%.15g", "%.16g" and "%.17g" that reads back as the same double; "nan", "inf", "-inf". */
enum { MR_NUMBER_TEXT = 32 };
void mr_number_text(double v, char out[MR_NUMBER_TEXT]);
/* Reads the whole of `text` as a decimal number (no hexadecimal, no "nan", no space around it). False when it
 * is none or not finite. */
bool mr_number_parse(mr_span text, double *out);
bool mr_integer_parse(mr_span text, int64_t *out);

#endif
