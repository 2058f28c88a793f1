#include "common/features.h"
#include "common/features_parts.h"

#include <math.h>

/* Characters are code points. A word is a UAX #29 word segment with a letter or a number; words are compared
 * case-folded. A sentence is a UAX #29 sentence segment with at least one word. */
const mr_feature mr_feature_rows[MR_FEATURES] = {
    {"chars", "length", "characters", "number of characters", 0, INFINITY},
    {"words", "length", "words", "number of words", 0, INFINITY},
    {"sentences", "length", "sentences", "number of sentences that hold a word", 0, INFINITY},
    {"paragraphs", "length", "paragraphs", "blocks of lines that are not blank", 0, INFINITY},
    {"sentence_words_mean", "length", "words", "words / sentences", 0, INFINITY},
    {"sentence_words_max", "length", "words", "words of the longest sentence", 0, INFINITY},
    {"word_chars_mean", "lexical", "characters", "characters in words / words", 0, INFINITY},
    {"mattr", "lexical", "share",
     "moving-average type-token ratio: distinct words / 25, mean over all windows of 25 "
     "words; distinct words / words below 25",
     0, 1},
    {"hapax_share", "lexical", "share", "words that occur once / words", 0, 1},
    {"stop_share", "lexical", "share", "stop words / words", 0, 1},
    {"digit_share", "lexical", "share", "digits / characters that are not white space", 0, 1},
    {"upper_share", "lexical", "share", "upper-case letters / letters", 0, 1},
    {"punct_share", "lexical", "share", "punctuation and symbols / characters that are not white space", 0,
     1},
    {"non_ascii_share", "lexical", "share", "characters above U+007F / characters", 0, 1},
    {"flesch_ease", "readability", "points",
     "206.835 - 1.015 words/sentences - 84.6 syllables/words, "
     "kept within the range",
     -200, 122},
    {"kincaid_grade", "readability", "school years",
     "0.39 words/sentences + 11.8 syllables/words - 15.59, "
     "kept within the range",
     -4, 100},
    {"lines", "structure", "lines", "number of lines", 0, INFINITY},
    {"list_items", "structure", "lines",
     "lines outside code that start with a bullet (- * + or U+2022), "
     "a number or a letter with ')' or '.' as in `1.`, `2)`, `a)`",
     0, INFINITY},
    {"headings", "structure", "lines",
     "lines outside code that start with 1 to 6 `#` and a blank, or are at most "
     "60 bytes, start with a letter and end in a colon",
     0, INFINITY},
    {"code_blocks", "structure", "blocks", "fenced code blocks", 0, INFINITY},
    {"placeholders", "structure", "slots",
     "`{x}`, `[x]`, `<x>`: at most 40 bytes of letters, digits, blanks, `_`, `-`, "
     "starting with a letter; not Markdown links",
     0, INFINITY},
    {"quotes", "structure", "quotations",
     "pairs of straight double quotes, and opening curly or angle quotes", 0, INFINITY},
    {"question_share", "intent", "share", "sentences that end in a question mark / sentences", 0, 1},
    {"imperative_start", "intent", "0 or 1",
     "the first word, after any word of politeness, is a verb of request", 0, 1},
    {"second_person_share", "intent", "share", "you, your and their forms / words", 0, 1},
    {"constraint_words", "intent", "words", "must, only, exactly, avoid, at least, at most and others", 0,
     INFINITY},
    {"example_markers", "intent", "words", "example, sample, e.g., for instance, such as", 0, INFINITY},
    {"politeness", "intent", "words", "please, thanks, kindly and others", 0, INFINITY},
    {"char_entropy", "entropy", "bits", "Shannon entropy of the characters", 0, 21},
    {"word_entropy", "entropy", "bits", "Shannon entropy of the words", 0, 32},
    {"trigram_repeat", "entropy", "share", "1 - distinct trigrams of characters / trigrams", 0, 1},
};

const char *const mr_feature_names[MR_FEATURES + 1] = {
    "chars",
    "words",
    "sentences",
    "paragraphs",
    "sentence_words_mean",
    "sentence_words_max",
    "word_chars_mean",
    "mattr",
    "hapax_share",
    "stop_share",
    "digit_share",
    "upper_share",
    "punct_share",
    "non_ascii_share",
    "flesch_ease",
    "kincaid_grade",
    "lines",
    "list_items",
    "headings",
    "code_blocks",
    "placeholders",
    "quotes",
    "question_share",
    "imperative_start",
    "second_person_share",
    "constraint_words",
    "example_markers",
    "politeness",
    "char_entropy",
    "word_entropy",
    "trigram_repeat",
    NULL,
};

static double ratio(uint64_t part, uint64_t whole) { return whole ? (double)part / (double)whole : 0; }
static double within(double v, double min, double max) { return v < min ? min : v > max ? max : v; }

static void fill_chars(const mr_char_counts *c, double *f) {
    uint64_t ink = c->chars - c->spaces, trigrams = c->chars < 3 ? 0 : c->chars - 2;
    f[MR_F_CHARS] = (double)c->chars;
    f[MR_F_DIGIT_SHARE] = ratio(c->digits, ink);
    f[MR_F_UPPER_SHARE] = ratio(c->upper, c->letters);
    f[MR_F_PUNCT_SHARE] = ratio(c->punct, ink);
    f[MR_F_NON_ASCII_SHARE] = ratio(c->non_ascii, c->chars);
    f[MR_F_CHAR_ENTROPY] = c->entropy > 0 ? c->entropy : 0;
    f[MR_F_TRIGRAM_REPEAT] = ratio(trigrams - c->trigrams_new, trigrams);
}

static void fill_words(const mr_word_counts *w, double *f) {
    f[MR_F_WORDS] = (double)w->words;
    f[MR_F_SENTENCES] = (double)w->sentences;
    f[MR_F_SENTENCE_WORDS_MEAN] = ratio(w->words, w->sentences);
    f[MR_F_SENTENCE_WORDS_MAX] = (double)w->longest;
    f[MR_F_WORD_CHARS_MEAN] = ratio(w->chars, w->words);
    f[MR_F_MATTR] = w->mattr;
    f[MR_F_HAPAX_SHARE] = ratio(w->once, w->words);
    f[MR_F_STOP_SHARE] = ratio(w->stop, w->words);
    f[MR_F_QUESTION_SHARE] = ratio(w->questions, w->sentences);
    f[MR_F_IMPERATIVE_START] = w->verb_first;
    f[MR_F_SECOND_PERSON_SHARE] = ratio(w->second, w->words);
    f[MR_F_CONSTRAINT_WORDS] = (double)w->limits;
    f[MR_F_EXAMPLE_MARKERS] = (double)w->examples;
    f[MR_F_POLITENESS] = (double)w->polite;
    f[MR_F_WORD_ENTROPY] = w->entropy > 0 ? w->entropy : 0;
    if (!w->words) return;
    double length = ratio(w->words, w->sentences), syllables = ratio(w->syllables, w->words);
    f[MR_F_FLESCH_EASE] = within(206.835 - 1.015 * length - 84.6 * syllables, -200, 122);
    f[MR_F_KINCAID_GRADE] = within(0.39 * length + 11.8 * syllables - 15.59, -4, 100);
}

static void fill_structure(const mr_structure_counts *s, double *f) {
    f[MR_F_LINES] = (double)s->lines;
    f[MR_F_PARAGRAPHS] = (double)s->paragraphs;
    f[MR_F_LIST_ITEMS] = (double)s->items;
    f[MR_F_HEADINGS] = (double)s->headings;
    f[MR_F_CODE_BLOCKS] = (double)s->code_blocks;
    f[MR_F_PLACEHOLDERS] = (double)s->placeholders;
    f[MR_F_QUOTES] = (double)s->quotes;
}

mr_status mr_features(mr_text *t, mr_span prompt, float out[MR_FEATURES], mr_error *err) {
    mr_char_counts chars;
    mr_word_counts words;
    mr_structure_counts structure;
    double f[MR_FEATURES] = {0};
    size_t bad;
    if (!mr_utf8_check(prompt, NULL, &bad))
        return mr_fail(err, MR_E_INVALID, "not UTF-8 at byte %zu", bad + 1);
    mr_feature_memory *m = mr_text_kept(t, sizeof *m);
    if (!m) return mr_fail(err, MR_E_MEMORY, "out of memory while counting words");
    MR_TRY(mr_count_chars(t, m, prompt, &chars, err));
    MR_TRY(mr_count_words(t, m, prompt, &words, err));
    mr_count_structure(prompt, &structure);
    fill_chars(&chars, f);
    fill_words(&words, f);
    fill_structure(&structure, f);
    for (int i = 0; i < MR_FEATURES; i++) out[i] = (float)f[i];
    return MR_OK;
}

void mr_features_markdown(mr_buf *out) {
    for (int i = 0; i < MR_FEATURES; i++) {
        const mr_feature *r = &mr_feature_rows[i];
        mr_buf_printf(out, "| %d | `%s` | %s | %s | %s | ", i + 1, r->name, r->group, r->formula, r->unit);
        if (isinf(r->max))
            mr_buf_printf(out, "%g or more |\n", r->min);
        else
            mr_buf_printf(out, "%g to %g |\n", r->min, r->max);
    }
}
