/* The tests themselves are checked against R in test_contingency.c. */
#include "tests/component/harness.h"
#include "worker/kit/contingency.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- planted patterns ---- */

enum { ROWS = 2000, WORDS = 200, PLANTED = 20, ROUNDS = 40, ROW_BYTES = WORDS * 5 };

/* Each word is in a fifth of the rows; a row succeeds with log odds -0.4, raised or lowered by `effect` for
 * each of its planted words. */
static void draw_rows(uint64_t seed, double effect, mr_span *items, char (*text)[ROW_BYTES],
                      double *success) {
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    for (int i = 0; i < ROWS; i++) {
        double log_odds = -0.4;
        size_t at = 0;
        for (int w = 0; w < WORDS; w++) {
            if (mr_rng_below(&rng, 5)) continue;
            at += (size_t)snprintf(text[i] + at, ROW_BYTES - at, "w%d ", w);
            if (w < PLANTED) log_odds += w % 2 ? effect : -effect;
        }
        items[i] = (mr_span){(uint8_t *)text[i], at};
        success[i] = mr_rng_unit(&rng) < 1 / (1 + exp(-log_odds));
    }
}

typedef struct score {
    double found, falsely; /* planted words that are significant, others that are */
} score;

static score count_findings(harness *h) {
    score s = {0, 0};
    char path[64];
    size_t n = (size_t)harness_number(h, 0, "significant");
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "tests[%zu].significant", i);
        assert_true(harness_number(h, 0, path) == 1);
        snprintf(path, sizeof path, "tests[%zu].pattern", i);
        if (atoi(harness_string(h, 0, path) + 1) < PLANTED)
            s.found++;
        else
            s.falsely++;
    }
    return s;
}

static score simulate(uint64_t seed, double effect) {
    mr_span *items = calloc(ROWS, sizeof *items);
    char(*text)[ROW_BYTES] = calloc(ROWS, sizeof *text);
    double *success = calloc(ROWS, sizeof *success);
    harness h;
    assert_true(items && text && success);
    draw_rows(seed, effect, items, text, success);
    mr_batch batch = {.rows = ROWS,
                      .columns = MR_COL_ITEM | MR_COL_SUCCESS,
                      .text = {[MR_TEXT_ITEM] = items},
                      .number = {[MR_NUM_SUCCESS] = success}};
    harness_batch(&h, "pattern_significance_analyzer", &batch);
    harness_set(&h, "max_length=1");
    harness_run(&h, ROWS, 1);
    assert_true(harness_number(&h, 0, "tested") == WORDS);
    score s = count_findings(&h);
    harness_free(&h);
    free(items);
    free(text);
    free(success);
    return s;
}

static void test_planted_patterns_are_found_and_few_others(void **state) {
    (void)state;
    double rate = 0, power = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        score s = simulate(round, 0.75);
        rate += s.found + s.falsely > 0 ? s.falsely / (s.found + s.falsely) : 0;
        power += s.found / PLANTED;
    }
    print_message("false discovery rate %.3f, power %.3f over %d simulations\n", rate / ROUNDS,
                  power / ROUNDS, ROUNDS);
    assert_true(rate / ROUNDS < 0.05);
    assert_true(power / ROUNDS > 0.80);
}

static void test_without_any_effect_hardly_a_run_finds_something(void **state) {
    (void)state;
    int runs = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        score s = simulate(1000 + round, 0);
        runs += s.found + s.falsely > 0;
    }
    print_message("%d of %d runs without an effect find something\n", runs, ROUNDS);
    assert_true(runs <= 5); /* with a rate of 0.05, more than 5 of 40 happen in 1.4 % of cases */
}

/* ---- what is tested ---- */

static size_t find_test(harness *h, const char *kind, const char *pattern) {
    char path[64];
    for (size_t i = 0; i < harness_length(h, 0, "tests"); i++) {
        snprintf(path, sizeof path, "tests[%zu].pattern", i);
        if (strcmp(harness_string(h, 0, path), pattern) != 0) continue;
        snprintf(path, sizeof path, "tests[%zu].kind", i);
        if (!strcmp(harness_string(h, 0, path), kind)) return i;
    }
    fail_msg("no %s '%s' is tested", kind, pattern);
    return 0;
}

static double value(harness *h, const char *kind, const char *pattern, const char *field) {
    char path[96];
    snprintf(path, sizeof path, "tests[%zu].%s", find_test(h, kind, pattern), field);
    return harness_number(h, 0, path);
}

static const char table[] =
    "item,label,flag,size,half,success\n"
    "a b,x,1,3,,1\na,x,1,4.5,1,1\na c,y,0,1,0,1\na,x,1,5,1,1\n"
    "b,y,0,2,0,0\nb c,y,1,1.5,,0\nc,y,0,0,1,0\n,x,0,2,0,0\nb,y,1,2.5,0,0\na,z,1,9,1,\n";

static void test_items_labels_flags_and_numbers_are_tested(void **state) {
    (void)state;
    harness h;
    harness_text(&h, "pattern_significance_analyzer", table, NULL);
    harness_set(&h, "min_count=2");
    harness_run(&h, 4096, 1);
    assert_true(harness_number(&h, 0, "without_outcome") == 1);
    assert_true(harness_number(&h, 0, "successes") == 4 && harness_number(&h, 0, "failures") == 5);
    assert_true(value(&h, "itemset", "a", "with") == 4 && value(&h, "itemset", "a", "with_success") == 4);
    assert_true(fabs(value(&h, "itemset", "a", "p") - 1.0 / 126) < 1e-12);
    assert_true(value(&h, "itemset", "label=x a", "with") == 3);
    assert_true(value(&h, "feature", "flag", "with") == 5);
    assert_true(value(&h, "feature", "half", "n") == 7); /* missing values are left out */
    /* scipy.stats.ttest_ind([2, 1.5, 0, 2, 2.5], [3, 4.5, 1, 5], equal_var=False) */
    assert_true(fabs(value(&h, "number", "size", "p") - 0.14339990299990224) < 1e-10);
    assert_true(fabs(value(&h, "number", "size", "statistic") - -1.7818809519894352) < 1e-10);
    /* scipy.stats.chi2_contingency([[3, 1], [1, 4]], correction=False) */
    assert_true(fabs(value(&h, "label", "label", "p") - 0.09894293606729627) < 1e-10);
    harness_free(&h);
}

static const char items_only[] =
    "item,success\na b,1\na,1\na c,1\na,1\nb,0\nb c,0\nc,0\n,0\nb,0\na,\n";

/* What is tested are the itemsets that discovery found, with the counts of these rows. */
static void test_the_patterns_that_discovery_found_are_tested(void **state) {
    (void)state;
    harness h, mined;
    harness_text(&mined, "pattern_discovery", "item\na c\na c\na zebra\na zebra\n", NULL);
    harness_set(&mined, "min_count=2");
    harness_run(&mined, 4096, 1);
    harness_text(&h, "pattern_significance_analyzer", items_only, NULL);
    harness_set(&h, "");
    harness_run(&h, 4096, 1);
    assert_true(harness_number(&h, 0, "tested") > 3); /* its own, when nothing was given */
    harness_give(&h, MR_USE_INPUT, "pattern_discovery", "patterns", harness_artifact(&mined, 0, "patterns"));
    harness_run(&h, 4096, 1);
    assert_true(harness_number(&h, 0, "tested") == 3); /* a, c, a c; no row holds zebra */
    assert_true(fabs(value(&h, "itemset", "a", "p") - 1.0 / 126) < 1e-12);
    assert_true(value(&h, "itemset", "a c", "with") == 1 && value(&h, "itemset", "a c", "with_success") == 1);
    harness_free(&h);
    harness_free(&mined);
}

static void test_an_outcome_that_is_neither_0_nor_1_is_refused(void **state) {
    (void)state;
    harness h;
    harness_text(&h, "pattern_significance_analyzer", "a,success\n1,1\n0,0.5\n", NULL);
    assert_int_equal(harness_try(&h, 4096, 1), MR_E_INVALID);
    assert_non_null(strstr(h.err.text, "row 1: success is 0.5"));
    harness_free(&h);
}

/* ---- batches ---- */

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    enum { MANY = 140000 };
    static const char *const words[] = {"a b", "b c", "a", "d a", ""};
    mr_span *items = calloc(MANY, sizeof *items), *labels = calloc(MANY, sizeof *labels);
    double *success = calloc(MANY, sizeof *success), *x = calloc(2 * MANY, sizeof *x);
    const char *const names[] = {"size", "flag"};
    uint8_t *first = NULL;
    size_t len = 0;
    harness h;
    mr_rng rng;
    assert_true(items && labels && success && x);
    mr_rng_seed(&rng, 8);
    for (size_t i = 0; i < MANY; i++) {
        items[i] = mr_span_of(words[mr_rng_below(&rng, 5)]);
        labels[i] = mr_span_of(words[mr_rng_below(&rng, 3)]);
        success[i] = mr_rng_below(&rng, 9) ? (double)mr_rng_below(&rng, 2) : NAN;
        x[2 * i] = 1e6 * mr_rng_normal(&rng);
        x[2 * i + 1] = mr_rng_below(&rng, 9) ? (double)mr_rng_below(&rng, 2) : NAN;
    }
    mr_batch batch = {.rows = MANY,
                      .columns = MR_COL_ITEM | MR_COL_LABEL | MR_COL_SUCCESS | MR_COL_FEATURES,
                      .width = 2,
                      .features = x,
                      .feature_names = names,
                      .text = {[MR_TEXT_ITEM] = items, [MR_TEXT_LABEL] = labels},
                      .number = {[MR_NUM_SUCCESS] = success}};
    harness_batch(&h, "pattern_significance_analyzer", &batch);
    for (uint32_t size = 4096; size <= MANY; size += (MANY - 4096) / 2) {
        harness_run(&h, size, 7);
        mr_span bytes = harness_bytes(&h, 0);
        if (!first) {
            first = malloc(len = bytes.len);
            assert_non_null(first);
            memcpy(first, bytes.data, len);
        }
        assert_int_equal(bytes.len, len);
        assert_memory_equal(bytes.data, first, len);
    }
    harness_free(&h);
    free(first);
    free(items);
    free(labels);
    free(success);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planted_patterns_are_found_and_few_others),
        cmocka_unit_test(test_without_any_effect_hardly_a_run_finds_something),
        cmocka_unit_test(test_items_labels_flags_and_numbers_are_tested),
        cmocka_unit_test(test_the_patterns_that_discovery_found_are_tested),
        cmocka_unit_test(test_an_outcome_that_is_neither_0_nor_1_is_refused),
        cmocka_unit_test(test_any_batches_give_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
