/* features_parts.h: the parts that features.c puts together; used by features_*.c only. */
#ifndef MR_COMMON_FEATURES_PARTS_H
#define MR_COMMON_FEATURES_PARTS_H

#include "common/unicode.h"

/* What a word of the lexicon is. The last six are for pairs: "at least", "at most", "for instance", "such
 * as". */
enum {
    MR_LEX_STOP = 1 << 0,
    MR_LEX_SECOND = 1 << 1,
    MR_LEX_LIMIT = 1 << 2,
    MR_LEX_EXAMPLE = 1 << 3,
    MR_LEX_POLITE = 1 << 4,
    MR_LEX_VERB = 1 << 5,
    MR_LEX_AT = 1 << 6,
    MR_LEX_FOR = 1 << 7,
    MR_LEX_SUCH = 1 << 8,
    MR_LEX_AFTER_AT = 1 << 9,
    MR_LEX_AFTER_FOR = 1 << 10,
    MR_LEX_AFTER_SUCH = 1 << 11
};
/* The bits of a word in lower case; 0 when the lexicon does not have it. */
unsigned mr_lexicon(mr_span word);

/* log2 of n >= 1, from + - * / alone, so that every machine gives the same bits. */
double mr_log2_exact(uint64_t n);

/* What is kept between texts, so that it is worked out once and not for every row. */
enum { MR_KEPT_WORD = 24, MR_KEPT_WORDS = 4096, MR_KEPT_LOGS = 512, MR_ASCII_TRIGRAMS = 128 * 128 * 128 };
typedef struct mr_kept_word {
    uint64_t text[MR_KEPT_WORD / 8]; /* folded, NULs behind it; empty: none */
    uint16_t bits, syllables;
} mr_kept_word;
typedef struct mr_feature_memory {
    mr_kept_word words[MR_KEPT_WORDS]; /* each at the place that its hash gives; the last one stays */
    double logs[MR_KEPT_LOGS];         /* n log2 n; 0: not known yet */
    uint64_t trigrams[MR_ASCII_TRIGRAMS / 64]; /* one bit each; all 0 between texts */
} mr_feature_memory;

/* n log2 n. */
double mr_n_log2_n(mr_feature_memory *m, uint64_t n);

typedef struct mr_char_counts {
    uint64_t chars, letters, upper, digits, punct, spaces, non_ascii;
    double entropy;        /* bits for each character */
    uint64_t trigrams_new; /* distinct trigrams of code points */
} mr_char_counts;

typedef struct mr_word_counts {
    uint64_t words, chars, sentences, longest, questions, syllables, distinct, once;
    uint64_t stop, second, limits, examples, polite;
    bool verb_first;
    double mattr, entropy;
} mr_word_counts;

typedef struct mr_structure_counts {
    uint64_t lines, paragraphs, items, headings, code_blocks, placeholders, quotes;
} mr_structure_counts;

/* All take valid UTF-8. The first two use the scratch memory of `t`, one after the other. */
mr_status mr_count_chars(mr_text *t, mr_feature_memory *m, mr_span s, mr_char_counts *out, mr_error *err) MR_MUST_CHECK;
mr_status mr_count_words(mr_text *t, mr_feature_memory *m, mr_span s, mr_word_counts *out, mr_error *err) MR_MUST_CHECK;
void mr_count_structure(mr_span s, mr_structure_counts *out);

#endif
