/* The features: what each counts, its range, and that the document says the same as the table. */
#include "common/features.h"
#include "common/features_parts.h"
#include "common/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void of(const char *text, float f[MR_FEATURES]) {
    mr_text *t;
    assert_int_equal(mr_text_new(NULL, &t, NULL), MR_OK);
    assert_int_equal(mr_features(t, mr_span_of(text), f, NULL), MR_OK);
    mr_text_free(&t);
}

static void expect(const char *text, int feature, double value) {
    float f[MR_FEATURES];
    of(text, f);
    if (fabs((double)f[feature] - value) > 1e-6 * (1 + fabs(value)))
        fail_msg("%s of \"%s\" is %.9g, not %.9g", mr_feature_names[feature], text, (double)f[feature],
                 value);
}

static void lengths_and_words(void **state) {
    (void)state;
    static const char text[] = "The cat sat. The dog ran away!\n\nWhy?";
    expect(text, MR_F_CHARS, 36);
    expect(text, MR_F_WORDS, 8);
    expect(text, MR_F_SENTENCES, 3);
    expect(text, MR_F_PARAGRAPHS, 2);
    expect(text, MR_F_LINES, 3);
    expect(text, MR_F_SENTENCE_WORDS_MEAN, 8.0 / 3);
    expect(text, MR_F_SENTENCE_WORDS_MAX, 4);
    expect(text, MR_F_WORD_CHARS_MEAN, 25.0 / 8);
    expect(text, MR_F_MATTR, 7.0 / 8);
    expect(text, MR_F_HAPAX_SHARE, 6.0 / 8);
    expect(text, MR_F_STOP_SHARE, 3.0 / 8); /* the, the, why */
    expect(text, MR_F_QUESTION_SHARE, 1.0 / 3);
    expect(text, MR_F_UPPER_SHARE, 3.0 / 25);
    expect(text, MR_F_PUNCT_SHARE, 3.0 / 28);
}

/* 4 words, 1 sentence, 6 syllables. */
static void readability_follows_the_formulas(void **state) {
    (void)state;
    expect("Please write little stories", MR_F_FLESCH_EASE, 206.835 - 1.015 * 4 - 84.6 * 6 / 4);
    expect("Please write little stories", MR_F_KINCAID_GRADE, 0.39 * 4 + 11.8 * 6 / 4 - 15.59);
}

static void structure_is_counted(void **state) {
    (void)state;
    static const char text[] =
        "# Task\nRequirements:\n- one\n* two\n3. three\nb) four\n\n```\n- not an item\n# nor a heading\n```\n"
        "Dear {name}, see [the plan](x) and [DATE] or <file-name> but not {\"a\": 1}.\n"
        "\"quoted\" and \xE2\x80\x9Ctoo\xE2\x80\x9D";
    expect(text, MR_F_HEADINGS, 2);
    expect(text, MR_F_LIST_ITEMS, 4);
    expect(text, MR_F_CODE_BLOCKS, 1);
    expect(text, MR_F_PLACEHOLDERS, 3);
    expect(text, MR_F_QUOTES, 3);
}

static void intent_is_counted(void **state) {
    (void)state;
    static const char text[] = "Please list at least two examples, such as yours; you must not use more.";
    expect(text, MR_F_IMPERATIVE_START, 1);
    expect(text, MR_F_CONSTRAINT_WORDS, 2);
    expect(text, MR_F_EXAMPLE_MARKERS, 2);
    expect(text, MR_F_POLITENESS, 1);
    expect(text, MR_F_SECOND_PERSON_SHARE, 2.0 / 14);
    expect("The list is short", MR_F_IMPERATIVE_START, 0);
    expect("Don\xE2\x80\x99t shout", MR_F_CONSTRAINT_WORDS, 1);
}

static void entropy_is_that_of_shannon(void **state) {
    (void)state;
    expect("aabb", MR_F_CHAR_ENTROPY, 1);
    expect("a b c d", MR_F_WORD_ENTROPY, 2);
    expect("aaaaa", MR_F_TRIGRAM_REPEAT, 2.0 / 3);
    expect("\xC3\xA9\xC3\xA9\xE2\x82\xAC\xE2\x82\xAC", MR_F_CHAR_ENTROPY, 1);
    expect("\xC3\xA9\xC3\xA9\xE2\x82\xAC"
           "a",
           MR_F_NON_ASCII_SHARE, 0.75);
}

/* Moving windows of 25 words against the definition, with words w0 .. w6 repeating: every window has 7 of 25.
 */
static void mattr_moves_over_windows(void **state) {
    (void)state;
    char text[1024] = "";
    for (int i = 0; i < 60; i++) sprintf(text + strlen(text), "w%d ", i % 7);
    expect(text, MR_F_MATTR, 7.0 / 25);
}

static void our_logarithm_is_that_of_libm(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 3000000; n += 1 + n / 7) {
        double want = log2((double)n);
        assert_true(fabs(mr_log2_exact(n) - want) <= 4e-16 * (1 + want));
    }
    assert_true(mr_log2_exact(1ull << 40) == 40);
}

static void text_without_words_gives_defined_values(void **state) {
    (void)state;
    static const char *const texts[] = {"", " ", "\n\n \t", "...", "\xE2\x80\x83", "?!", "a", "1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        float f[MR_FEATURES];
        of(texts[i], f);
        for (int k = 0; k < MR_FEATURES; k++) assert_true(isfinite(f[k]));
    }
    float f[MR_FEATURES];
    of("", f);
    for (int k = 0; k < MR_FEATURES; k++) assert_true(f[k] == 0);
    of(" \n ", f);
    for (int k = 0; k < MR_FEATURES; k++) {
        bool may = k == MR_F_CHARS || k == MR_F_LINES || k == MR_F_CHAR_ENTROPY || k == MR_F_TRIGRAM_REPEAT;
        if (!may) assert_true(f[k] == 0);
    }
}

static void broken_utf8_is_refused(void **state) {
    (void)state;
    mr_text *t;
    mr_error err;
    float f[MR_FEATURES];
    assert_int_equal(mr_text_new(NULL, &t, NULL), MR_OK);
    assert_int_equal(mr_features(t, mr_span_of("ok \xC3("), f, &err), MR_E_INVALID);
    assert_non_null(strstr(err.text, "byte 4"));
    mr_text_free(&t);
}

/* Every row of a file, by the fast path and by ICU: same bits, and inside the range of the table. */
static void check_file(const char *path, mr_text *fast, mr_text *icu) {
    FILE *file = fopen(path, "r");
    if (!file) skip();
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    for (int i = 0; i < 1500 && (n = getline(&line, &cap, file)) > 0; i++) {
        float a[MR_FEATURES], b[MR_FEATURES];
        mr_span s = {(uint8_t *)line, (size_t)n};
        assert_int_equal(mr_features(fast, s, a, NULL), MR_OK);
        assert_int_equal(mr_features(icu, s, b, NULL), MR_OK);
        assert_memory_equal(a, b, sizeof a);
        for (int k = 0; k < MR_FEATURES; k++)
            assert_true((double)a[k] >= mr_feature_rows[k].min && (double)a[k] <= mr_feature_rows[k].max);
    }
    free(line);
    fclose(file);
}

static void real_prompts_stay_in_range_and_equal_icu(void **state) {
    (void)state;
    mr_text *fast, *icu;
    assert_int_equal(mr_text_new(NULL, &fast, NULL), MR_OK);
    assert_int_equal(mr_text_new(NULL, &icu, NULL), MR_OK);
    mr_text_set_fast(icu, false);
    check_file(MR_SOURCE_DIR "/../shared/data/prompts/awesome_chatgpt_prompts.jsonl", fast, icu);
    check_file(MR_SOURCE_DIR "/../shared/data/prompts/gsm8k_train_5000.jsonl", fast, icu);
    mr_text_free(&fast);
    mr_text_free(&icu);
}

/* ASCII of which most stands at the edges of words and sentences, of lengths around those of 8 and 64 bytes. Each text ends
 * where its memory ends, so that who reads behind it is found. */
static void odd_ascii_has_the_same_features_by_icu(void **state) {
    enum { TEXTS = 6000, LONGEST = 300 };
    (void)state;
    static const char *const alphabets[] = {"ab.", "aB1.,';_@ ", "Please at least 10. Is it?! \"No\"\r\n\t-(){}[]<>", "'.a1_@\r\n",
                                            "word Word another_word user@host it's 3.14 1,000; \n"};
    mr_text *fast, *icu;
    mr_rng rng;
    mr_rng_seed(&rng, 1);
    assert_int_equal(mr_text_new(NULL, &fast, NULL), MR_OK);
    assert_int_equal(mr_text_new(NULL, &icu, NULL), MR_OK);
    mr_text_set_fast(icu, false);
    for (int i = 0; i < TEXTS; i++) {
        const char *letters = alphabets[mr_rng_below(&rng, sizeof alphabets / sizeof *alphabets)];
        size_t n = mr_rng_below(&rng, i % 2 ? LONGEST : 70), kinds = strlen(letters);
        uint8_t *text = malloc(n + 1);
        assert_non_null(text);
        for (size_t at = 0; at < n; at++) text[at] = (uint8_t)letters[mr_rng_below(&rng, kinds)];
        text = realloc(text, n ? n : 1);
        assert_non_null(text);
        float a[MR_FEATURES], b[MR_FEATURES];
        assert_int_equal(mr_features(fast, (mr_span){text, n}, a, NULL), MR_OK);
        assert_int_equal(mr_features(icu, (mr_span){text, n}, b, NULL), MR_OK);
        if (memcmp(a, b, sizeof a) != 0) fail_msg("other features by ICU: %.*s", (int)n, (const char *)text);
        free(text);
    }
    mr_text_free(&fast);
    mr_text_free(&icu);
}

static void the_lexicon_finds_its_own_words(void **state) {
    (void)state;
    static const char *const words[] = {"a",    "about",  "you",     "yourself", "write",
                                        "must", "please", "example", "e.g",      "within"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_true(mr_lexicon(mr_span_of(words[i])) != 0);
    assert_int_equal(mr_lexicon(mr_span_of("zebra")), 0);
    assert_int_equal(mr_lexicon(mr_span_of("")), 0);
}

static void the_document_holds_the_table(void **state) {
    (void)state;
    static char page[64 * 1024];
    FILE *f = fopen(MR_SOURCE_DIR "/docs/features.md", "r");
    assert_non_null(f);
    page[fread(page, 1, sizeof page - 1, f)] = 0;
    fclose(f);
    mr_buf b;
    mr_buf_init(&b, NULL, sizeof page);
    mr_features_markdown(&b);
    mr_buf_put(&b, "", 1);
    assert_int_equal(mr_buf_status(&b), MR_OK);
    assert_non_null(strstr(page, (const char *)b.data));
    mr_buf_free(&b);
    for (int i = 0; i < MR_FEATURES; i++) assert_string_equal(mr_feature_rows[i].name, mr_feature_names[i]);
}

static void a_failed_allocation_is_told(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 8; n++) {
        mr_mem_failing f;
        mr_mem_failing_init(&f, n);
        mr_text *t = NULL;
        float v[MR_FEATURES];
        if (mr_text_new(&f.mem, &t, NULL) == MR_OK) {
            mr_status status = mr_features(t, mr_span_of("two words"), v, NULL);
            assert_true(status == MR_OK || status == MR_E_MEMORY);
            mr_text_free(&t);
        }
        assert_int_equal(f.live, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_and_words),
        cmocka_unit_test(readability_follows_the_formulas),
        cmocka_unit_test(structure_is_counted),
        cmocka_unit_test(intent_is_counted),
        cmocka_unit_test(entropy_is_that_of_shannon),
        cmocka_unit_test(mattr_moves_over_windows),
        cmocka_unit_test(our_logarithm_is_that_of_libm),
        cmocka_unit_test(text_without_words_gives_defined_values),
        cmocka_unit_test(broken_utf8_is_refused),
        cmocka_unit_test(real_prompts_stay_in_range_and_equal_icu),
        cmocka_unit_test(odd_ascii_has_the_same_features_by_icu),
        cmocka_unit_test(the_lexicon_finds_its_own_words),
        cmocka_unit_test(the_document_holds_the_table),
        cmocka_unit_test(a_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
