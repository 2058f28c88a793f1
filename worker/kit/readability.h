/* readability.h: how hard an English text reads and how varied its words are, from ICU's words and sentences.
 */
#ifndef MR_WORKER_KIT_READABILITY_H
#define MR_WORKER_KIT_READABILITY_H

#include "worker/kit/text.h"

/* What the formulas count. A word is a segment with a letter or a number; a sentence one with a word in it.
 */
typedef struct mr_reading {
    uint64_t words, sentences, letters, characters /* letters and digits */, syllables;
    uint64_t polysyllables; /* words of three syllables or more */
    uint64_t long_words;    /* words of more than six letters */
    uint64_t subordinators; /* words that open a subordinate clause (because, although, which ...) */
} mr_reading;

/* Errors: those of mr_text_walk. */
mr_status mr_readability_count(mr_text *t, mr_span text, mr_reading *out, mr_error *err) MR_MUST_CHECK;

/* All want at least one word; NaN without. */
double mr_flesch_ease(const mr_reading *c);   /* 206.835 - 1.015 W/S - 84.6 Y/W (Flesch 1948) */
double mr_kincaid_grade(const mr_reading *c); /* 0.39 W/S + 11.8 Y/W - 15.59 (Kincaid et al. 1975) */
double mr_gunning_fog(const mr_reading *c);   /* 0.4 (W/S + 100 P/W), P = polysyllables (Gunning 1952) */
double mr_smog(const mr_reading *c);          /* 1.0430 sqrt(30 P/S) + 3.1291 (McLaughlin 1969) */
double mr_ari(const mr_reading *c);           /* 4.71 C/W + 0.5 W/S - 21.43 (Senter and Smith 1967) */
double mr_coleman_liau(const mr_reading *c);  /* 5.88 L/W - 29.6 S/W - 15.8 (Coleman and Liau 1975) */

/* Scratch memory of mr_mtld, kept from text to text. Zeroed but for `mem` it is empty. */
typedef struct mr_mtld_room {
    const mr_mem *mem;
    mr_buf folded;
    mr_piece *pieces; /* the first word of each kind */
    uint32_t *ids, *seen,
        *slots; /* kind of each word; factor that a kind was last seen in; hash table of kind + 1 */
    size_t cap, slot_count;
} mr_mtld_room;
void mr_mtld_room_free(mr_mtld_room *room);

/* MTLD (McCarthy and Jarvis 2010), threshold 0.72, mean of the forward and the backward pass over case-folded
 * words; NaN when no factor can be formed (every word differs) or there are fewer than `words_min` words.
 * Errors: those of the walk, E_MEMORY. */
mr_status mr_mtld(mr_text *t, mr_span text, uint64_t words_min, mr_mtld_room *room, double *out,
                  mr_error *err) MR_MUST_CHECK;

#endif
