/* words.h: a set of short texts (names of arms, of trials) that merges exactly: each is known by a hash of 53
 * bits, which a double holds, so that rows of numbers can refer to it wherever they were read. */
#ifndef MR_KIT_WORDS_H
#define MR_KIT_WORDS_H

#include "common/pack.h"

enum { MR_WORD_BYTES = 256 };

typedef struct mr_word {
    uint64_t hash; /* below 2^53 */
    mr_span text;
} mr_word;

typedef struct mr_words {
    size_t count, most, bytes; /* bytes: of all texts */
    mr_word *items;            /* in the order in which they came */
    uint32_t *slot;            /* open addressing: index + 1 */
    size_t slots;
    mr_arena *arena;
} mr_words;

/* At most `most` words. Errors: E_MEMORY. */
mr_status mr_words_init(mr_words *w, mr_arena *arena, size_t most, mr_error *err) MR_MUST_CHECK;

/* The word's index; it is copied when it is new. Errors: E_LIMIT more than `most`; E_INVALID longer than
 * MR_WORD_BYTES, or two words of one hash (which will not happen); E_MEMORY. */
mr_status mr_words_add(mr_words *w, mr_span text, size_t *index, mr_error *err) MR_MUST_CHECK;
/* SIZE_MAX when there is none. */
size_t mr_words_find(const mr_words *w, uint64_t hash);

/* The indices in the order of the texts: shorter numbers before longer ones, else by bytes. NULL: no memory.
 */
uint32_t *mr_words_order(const mr_words *w, mr_arena *arena);

/* The one byte form of a set: an array of texts in the order of mr_words_order. At most bytes + 3 count + 5.
 */
mr_status mr_words_pack(const mr_words *w, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* Adds a packed set. Errors: E_CORRUPT, and those of mr_words_add. */
mr_status mr_words_add_packed(mr_words *w, mr_unpack *in, mr_error *err) MR_MUST_CHECK;

#endif
