/* features.h: the 31 numbers that describe a prompt. docs/features.md is made from the table here.
 *
 * The same text gives the same bits on every machine: counts are integers, the arithmetic is + - * / in
 * double (no fused operations), logarithms are computed here from those (not by libm), and the result is
 * rounded once to float32. Text that is not ASCII is segmented and classified by ICU, so its answers follow
 * the ICU version. */
#ifndef MR_COMMON_FEATURES_H
#define MR_COMMON_FEATURES_H

#include "common/unicode.h"

enum { MR_FEATURES = 31, MR_FEATURES_VERSION = 1 }; /* the version counts up whenever a value may change */

/* Their places in the vector. */
enum {
    MR_F_CHARS,
    MR_F_WORDS,
    MR_F_SENTENCES,
    MR_F_PARAGRAPHS,
    MR_F_SENTENCE_WORDS_MEAN,
    MR_F_SENTENCE_WORDS_MAX,
    MR_F_WORD_CHARS_MEAN,
    MR_F_MATTR,
    MR_F_HAPAX_SHARE,
    MR_F_STOP_SHARE,
    MR_F_DIGIT_SHARE,
    MR_F_UPPER_SHARE,
    MR_F_PUNCT_SHARE,
    MR_F_NON_ASCII_SHARE,
    MR_F_FLESCH_EASE,
    MR_F_KINCAID_GRADE,
    MR_F_LINES,
    MR_F_LIST_ITEMS,
    MR_F_HEADINGS,
    MR_F_CODE_BLOCKS,
    MR_F_PLACEHOLDERS,
    MR_F_QUOTES,
    MR_F_QUESTION_SHARE,
    MR_F_IMPERATIVE_START,
    MR_F_SECOND_PERSON_SHARE,
    MR_F_CONSTRAINT_WORDS,
    MR_F_EXAMPLE_MARKERS,
    MR_F_POLITENESS,
    MR_F_CHAR_ENTROPY,
    MR_F_WORD_ENTROPY,
    MR_F_TRIGRAM_REPEAT
};

typedef struct mr_feature {
    const char *name, *group, *unit, *formula;
    double min, max; /* max INFINITY: grows with the text */
} mr_feature;
extern const mr_feature mr_feature_rows[MR_FEATURES];
extern const char *const mr_feature_names[MR_FEATURES + 1]; /* the same names and NULL, for mr_batch */

/* Never NaN or infinite; empty or white text gives all zeros but for `chars` and `lines`.
 * Errors: E_INVALID not UTF-8, E_MEMORY, E_LIMIT, E_INTERNAL. */
mr_status mr_features(mr_text *t, mr_span prompt, float out[MR_FEATURES], mr_error *err) MR_MUST_CHECK;

/* The table of docs/features.md: one Markdown row for each feature, without a heading. */
void mr_features_markdown(mr_buf *out);

#endif
