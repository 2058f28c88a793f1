/* unicode_ascii.h: UAX #29 segmentation of text that is ASCII only, with exactly ICU's answers; used by
 * unicode.c. */
#ifndef MR_COMMON_UNICODE_ASCII_H
#define MR_COMMON_UNICODE_ASCII_H

#include "common/unicode.h"

extern const uint8_t mr_ascii_class[128]; /* MR_CHAR_ bits */

/* True when no byte is above 127. */
bool mr_ascii_only(mr_span s);
/* The end of the segment that starts at `at` < s.len. */
size_t mr_ascii_word_end(mr_span s, size_t at);
size_t mr_ascii_sentence_end(mr_span s, size_t at);
size_t mr_ascii_grapheme_end(mr_span s, size_t at);

#endif
