/* linguistic_analyzer: readability and MTLD against hand-counted passages (tests/vectors/readability.py),
 * entities, the calibrated cuts on planted data, and the same bytes for any batching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/component/harness.h"
#include "worker/kit/entities.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NAME[] = "linguistic_analyzer";
enum { ROWS = 3000 };

static const mr_json *measure_named(harness *h, const char *name) {
    const mr_json *list = harness_at(h, 0, "measures");
    mr_span got;
    for (size_t i = 0; i < mr_json_count(list); i++)
        if (mr_json_text(mr_json_member(mr_json_item(list, i), "measure"), &got) &&
            mr_span_eq(got, mr_span_of(name)))
            return mr_json_item(list, i);
    fail_msg("no measure %s", name);
    return NULL;
}

static double number_of(const mr_json *object, const char *path) {
    double v;
    return mr_json_number(harness_path(object, path), &v) ? v : NAN;
}

static void run_text(harness *h, const char *jsonl, const char *options, uint32_t batch_rows) {
    harness_text(h, NAME, jsonl, NULL);
    if (options) harness_set(h, options);
    harness_run(h, batch_rows, 1);
}

/* Means are kept in steps of 2^-16. */
static void check_passage(const char *line) {
    static const char *const names[] = {
        "flesch_ease",  "kincaid_grade", "gunning_fog", "smog",           "ari",
        "coleman_liau", "mtld",          "words",       "sentence_words", "long_words"};
    harness h = {0};
    mr_json *want;
    assert_int_equal(mr_json_parse(mr_span_of(line), 1 << 16, 8, &want, NULL), MR_OK);
    run_text(&h, line, "mtld_words=10", 32);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double expected = number_of(want, names[i]), got = number_of(measure_named(&h, names[i]), "mean");
        if (isnan(expected) ? !isnan(got) : !(fabs(got - expected) <= 1e-5))
            fail_msg("%s: %.9g, want %.9g: %.60s", names[i], got, expected, line);
    }
    harness_free(&h);
    mr_json_free(&want);
}

static void formulas_agree_with_hand_counts(void **state) {
    (void)state;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/readability.jsonl", "r");
    assert_non_null(f);
    char line[4096];
    int passages = 0;
    for (; fgets(line, sizeof line, f); passages++) check_passage(line);
    fclose(f);
    assert_true(passages >= 5);
}

/* ---- entities ---- */

static void check_entities(const char *text, const uint64_t want[MR_ENTITY_KINDS]) {
    uint64_t got[MR_ENTITY_KINDS] = {0};
    mr_count_entities(mr_span_of(text), got);
    for (int k = 0; k < MR_ENTITY_KINDS; k++)
        if (got[k] != want[k])
            fail_msg("'%s': %llu of kind %s, want %llu", text, (unsigned long long)got[k], mr_entity_names[k],
                     (unsigned long long)want[k]);
}

static void entities_are_counted_by_form(void **state) {
    (void)state;
    /* url, email, date, money, percent, phone, number */
    check_entities("see https://a.b/c?d=1 and www.x.org.", (uint64_t[]){2, 0, 0, 0, 0, 0, 0});
    check_entities("Write to jo.e+x@mail.example.com, not to a@b", (uint64_t[]){0, 1, 0, 0, 0, 0, 0});
    check_entities("on 2024-05-31, 31.5.2024, 5/31/24, May 31, 2024 and 31 May 2024",
                   (uint64_t[]){0, 0, 5, 0, 0, 0, 0});
    check_entities("$5, \xe2\x82\xac 1,200.50, 7 EUR, 9 dollars", (uint64_t[]){0, 0, 0, 4, 0, 0, 0});
    check_entities("5% or 3.5 percent of 7", (uint64_t[]){0, 0, 0, 0, 2, 0, 1});
    check_entities("+49 30 1234567, (212) 555-0147, 555-123-4567", (uint64_t[]){0, 0, 0, 0, 0, 3, 0});
    check_entities("x86 and v2 but 1,000,000 and 3.14", (uint64_t[]){0, 0, 0, 0, 0, 0, 2});
    check_entities("", (uint64_t[]){0, 0, 0, 0, 0, 0, 0});
}

static void entity_values_are_not_shown(void **state) {
    (void)state;
    harness h = {0};
    run_text(&h, "{\"prompt\": \"mail bob.secret@example.org or call 555-123-4567\"}\n", NULL, 32);
    mr_span bytes = harness_bytes(&h, 0);
    assert_null(memmem(bytes.data, bytes.len, "secret", 6));
    assert_null(memmem(bytes.data, bytes.len, "4567", 4));
    assert_true(harness_number(&h, 0, "entities[1].count") == 1);
    harness_free(&h);
}

/* ---- calibration ---- */

/* Prompts of 5 to 24 words in one sentence; those of 15 and more succeed with probability `high`, others with
 * `low`. */
static char *planted(double low, double high, uint64_t seed, int rows) {
    char *text = malloc((size_t)rows * 400), *at = text;
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    assert_non_null(text);
    for (int i = 0; i < rows; i++) {
        int words = 5 + (int)mr_rng_below(&rng, 20);
        at += sprintf(at, "{\"prompt\": \"");
        for (int w = 0; w < words; w++)
            at += sprintf(at, "%s%s", w ? " " : "", mr_rng_below(&rng, 2) ? "table" : "cat");
        bool success = mr_rng_unit(&rng) < (words >= 15 ? high : low);
        at += sprintf(at, ".\", \"success\": %s}\n", success ? "true" : "false");
    }
    return text;
}

static void a_planted_cut_is_found_and_put_in_words(void **state) {
    (void)state;
    harness h = {0};
    char *text = planted(0.3, 0.7, 21, ROWS);
    run_text(&h, text, NULL, 100);
    const mr_json *m = measure_named(&h, "words");
    assert_true(number_of(m, "threshold.cut") == 15);
    assert_true(fabs(number_of(m, "threshold.difference") - 0.4) < 0.08);
    assert_true(number_of(m, "threshold.difference_interval[0]") < 0.4 &&
                number_of(m, "threshold.difference_interval[1]") > 0.4);
    assert_true(number_of(m, "threshold.odds_ratio_interval[0]") > 1);
    assert_non_null(strstr(harness_string(&h, 0, "findings[0].text"), "succeed"));
    harness_free(&h);
    free(text);
}

static bool claims_a_cut(harness *h) {
    size_t findings = harness_length(h, 0, "findings");
    for (size_t i = 0; i < findings; i++) {
        char path[40];
        snprintf(path, sizeof path, "findings[%zu].text", i);
        if (strstr(harness_string(h, 0, path), "succeed")) return true;
    }
    return false;
}

/* Outcomes by coin: a claim may come in 5 % of data sets at most (by design less: both halves must agree). 60
 * sets with 5 % each give more than 7 claims once in 200 times. */
static void cuts_are_rarely_claimed_where_none_are(void **state) {
    (void)state;
    int claims = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        harness h = {0};
        char *text = planted(0.5, 0.5, seed, 500);
        run_text(&h, text, NULL, 500);
        claims += claims_a_cut(&h);
        harness_free(&h);
        free(text);
    }
    print_message("%d false claims in 60 data sets\n", claims);
    assert_in_range(claims, 0, 7);
}

static void any_batching_gives_the_same_bytes(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 7, 32, 500, 1000};
    harness h = {0};
    char *text = planted(0.4, 0.6, 21, 1000);
    uint8_t *first = NULL;
    size_t length = 0;
    harness_text(&h, NAME, text, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        harness_run(&h, sizes[i], 1);
        mr_span bytes = harness_bytes(&h, 0);
        if (first) {
            assert_int_equal(bytes.len, length);
            assert_memory_equal(bytes.data, first, length);
            continue;
        }
        length = bytes.len;
        first = malloc(length);
        assert_non_null(first);
        memcpy(first, bytes.data, length);
    }
    free(first);
    free(text);
    harness_free(&h);
}

static void rows_without_labels_or_words_pass(void **state) {
    (void)state;
    harness h = {0};
    run_text(&h, "{\"prompt\": \"...\"}\n{\"prompt\": \"One two.\"}\n", NULL, 1);
    assert_true(harness_number(&h, 0, "empty") == 1 && harness_number(&h, 0, "labelled") == 0);
    assert_true(isnan(number_of(measure_named(&h, "mtld"), "mean")));
    assert_int_equal(mr_json_kind(mr_json_member(measure_named(&h, "words"), "threshold")), MR_JSON_NULL);
    harness_free(&h);
}

static void real_prompts_pass(void **state) {
    (void)state;
    harness h = {0};
    harness_file(&h, NAME, "prompts/disfl_qa_pairs.jsonl", NULL);
    harness_run(&h, 512, 1);
    assert_true(harness_number(&h, 0, "rows") > 11000);
    assert_true(number_of(measure_named(&h, "words"), "p50") > 5);
    harness_free(&h);
}

/* The n-th allocation fails, for every n: a clean refusal and nothing left behind. */
static void a_failing_allocation_is_reported(void **state) {
    (void)state;
    harness_try_without_memory(NAME, "{\"prompt\": \"Say it, because we can. Say it.\", \"success\": true}\n{\"prompt\": "
                               "\"No.\", \"success\": false}\n", NULL);
}

static void no_rows_give_an_empty_result(void **state) {
    (void)state;
    harness_try_without_rows(NAME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas_agree_with_hand_counts),
        cmocka_unit_test(entities_are_counted_by_form),
        cmocka_unit_test(entity_values_are_not_shown),
        cmocka_unit_test(a_planted_cut_is_found_and_put_in_words),
        cmocka_unit_test(cuts_are_rarely_claimed_where_none_are),
        cmocka_unit_test(any_batching_gives_the_same_bytes),
        cmocka_unit_test(rows_without_labels_or_words_pass),
        cmocka_unit_test(real_prompts_pass),
        cmocka_unit_test(a_failing_allocation_is_reported),
        cmocka_unit_test(no_rows_give_an_empty_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
