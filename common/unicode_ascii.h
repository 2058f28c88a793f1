/* unicode_ascii.h: UAX #29 segmentation of text that is ASCII only, with exactly ICU's answers; used by
 * unicode.c and by features_*.c. */
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
/* Writes the text in lower case to `folded`, which has room for 8 bytes more, and to `in_word`, of MR_ASCII_BITS(s.len) items, a
 * bit for each byte: it may stand in a word. */
#define MR_ASCII_BITS(bytes) ((bytes) / 64 + 2)
void mr_ascii_fold(mr_span s, uint8_t *folded, uint64_t *in_word);
/* The next segment that holds a letter or a number, from *piece's end on; false when there is none. */
bool mr_ascii_next_word(mr_span s, const uint64_t *in_word, mr_piece *piece);

#endif
