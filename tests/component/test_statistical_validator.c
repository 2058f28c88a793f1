/* statistical_validator as a run would call it: what it compares, the verdicts, refusals, prompts without
 * labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/component/harness.h"

#include <math.h>
#include <string.h>

static const char NAME[] = "statistical_validator";

/* Two groups of `n` rows, `shift` apart; the outcome is in a number column. */
static void two_groups(double *x, uint32_t n, double shift, uint64_t seed) {
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    for (uint32_t i = 0; i < 2 * n; i++) x[i] = mr_rng_normal(&rng) + (i < n ? 0 : shift);
}

static void run_groups(harness *h, uint32_t n, double shift, double *treatment, double *outcome) {
    for (uint32_t i = 0; i < 2 * n; i++) treatment[i] = i >= n;
    two_groups(outcome, n, shift, 9);
    mr_batch batch = {.rows = 2 * n, .columns = MR_COL_TREATMENT | MR_COL_OUTCOME};
    batch.number[MR_NUM_TREATMENT] = treatment;
    batch.number[MR_NUM_OUTCOME] = outcome;
    harness_batch(h, NAME, &batch);
    harness_run(h, 32, 7);
}

static double treatment_column[2000], outcome_column[2000];

static void a_shift_is_found_and_put_in_words(void **state) {
    (void)state;
    harness h = {0};
    run_groups(&h, 100, 1, treatment_column, outcome_column);
    assert_int_equal(harness_count(&h), 1); /* batch_rows asks for large batches */
    assert_string_equal(harness_string(&h, 0, "verdict"), "differ");
    assert_true(harness_number(&h, 0, "measures[0].difference") < 0);
    assert_true(harness_number(&h, 0, "measures[0].bca_interval[1]") < 0);
    assert_true(harness_number(&h, 0, "measures[0].log_bayes_factor") > 3);
    assert_non_null(strstr(harness_string(&h, 0, "findings[0].text"), "Welch t p = "));
    harness_free(&h);
}

static void every_p_value_stands_with_its_test_and_n(void **state) {
    (void)state;
    harness h = {0};
    run_groups(&h, 30, 0.3, treatment_column, outcome_column);
    size_t tests = harness_length(&h, 0, "measures[0].tests");
    assert_int_equal(tests, 4);
    assert_string_equal(harness_string(&h, 0, "measures[0].tests[1].test"), "Mann-Whitney (exact)");
    for (size_t i = 0; i < tests; i++) {
        const mr_json *t = mr_json_item(harness_at(&h, 0, "measures[0].tests"), i);
        assert_non_null(harness_path(t, "test"));
        assert_non_null(harness_path(t, "n0"));
        assert_non_null(harness_path(t, "n1"));
    }
    harness_free(&h);
}

static void few_rows_are_inconclusive_and_many_are_not(void **state) {
    (void)state;
    harness h = {0};
    run_groups(&h, 10, 0.2, treatment_column, outcome_column);
    assert_string_equal(harness_string(&h, 0, "verdict"), "inconclusive");
    assert_true(harness_number(&h, 0, "rows_needed") ==
                64); /* R: power.t.test(delta = 0.5, power = 0.8)$n = 63.77 */
    harness_free(&h);
    h = (harness){0};
    run_groups(&h, 1000, 0, treatment_column, outcome_column);
    assert_string_equal(harness_string(&h, 0, "verdict"), "no difference found");
    harness_free(&h);
}

static void rows_without_an_outcome_are_described(void **state) {
    (void)state;
    harness h = {0};
    double x[60];
    two_groups(x, 30, 0, 4);
    harness_numbers(&h, NAME, x, 30, 2);
    harness_run(&h, 32, 7);
    assert_string_equal(harness_string(&h, 0, "verdict"), "inconclusive");
    assert_string_equal(harness_string(&h, 0, "reason"), "the rows carry no outcome");
    assert_int_equal(harness_length(&h, 0, "measures"), 2);
    assert_true(harness_number(&h, 0, "measures[1].groups[0].normality_p") > 0.001);
    harness_free(&h);
}

/* UCI breast cancer, two labels: mean radius by SciPy 1.10.1, ttest_ind(..., equal_var=False) and
 * mannwhitneyu: the group "0" is malignant. */
static void labels_of_a_real_table_agree_with_scipy(void **state) {
    (void)state;
    harness h = {0};
    harness_file(&h, NAME, "tabular/breast_cancer.csv", "label=target");
    harness_run(&h, 32, 7);
    assert_string_equal(harness_string(&h, 0, "comparison"), "features by label");
    assert_true(fabs(harness_number(&h, 0, "measures[0].tests[0].statistic") / 22.208797758464527 - 1) <
                1e-10);
    assert_true(fabs(harness_number(&h, 0, "measures[0].tests[0].p") / 1.6844591259582747e-64 - 1) < 1e-10);
    assert_true(fabs(harness_number(&h, 0, "measures[0].tests[1].statistic") / 70955 - 1) < 1e-10);
    assert_true(fabs(harness_number(&h, 0, "measures[0].tests[1].p") / 2.6929427727965647e-68 - 1) < 1e-10);
    assert_true(fabs(harness_number(&h, 0, "measures[0].cohen_d") / 2.2054634515707536 - 1) < 1e-10);
    harness_free(&h);
}

static void what_cannot_be_tested_is_said(void **state) {
    (void)state;
    static const char *const cases[] = {"a,t,y\n1,0,5\n2,0,5\n3,1,5\n4,1,5\n", "a,t,y\n1,0,5\n2,1,6\n"};
    for (size_t k = 0; k < 2; k++) {
        harness h = {0};
        harness_text(&h, "statistical_validator", cases[k], "treatment=t outcome=y");
        harness_set(&h, "");
        harness_run(&h, 64, 1);
        assert_non_null(strstr(harness_string(&h, 0, "findings[0].text"), "outcome cannot be tested between treatment 0"));
        harness_free(&h);
    }
}

static void three_treatments_are_refused(void **state) {
    (void)state;
    harness h = {0};
    harness_text(&h, NAME, "treatment,outcome\n0,1\n1,2\n2,3\n", "treatment=treatment outcome=outcome");
    harness_expect(&h, harness_try(&h, 32, 7), MR_E_INVALID);
    assert_non_null(strstr(h.err.text, "two values"));
    harness_free(&h);
}

static void missing_values_are_left_out_and_counted(void **state) {
    (void)state;
    harness h = {0};
    double treatment[6] = {0, 0, 0, 1, 1, NAN}, outcome[6] = {1, NAN, 3, 4, 6, 5};
    mr_batch batch = {.rows = 6, .columns = MR_COL_TREATMENT | MR_COL_OUTCOME};
    batch.number[MR_NUM_TREATMENT] = treatment;
    batch.number[MR_NUM_OUTCOME] = outcome;
    harness_batch(&h, NAME, &batch);
    harness_run(&h, 32, 7);
    assert_true(harness_number(&h, 0, "measures[0].missing") == 1);
    assert_true(harness_number(&h, 0, "measures[0].groups[0].n") == 2);
    assert_true(harness_number(&h, 0, "group1_rows") == 2);
    harness_free(&h);
    h = (harness){0};
    outcome[1] = INFINITY;
    harness_batch(&h, NAME, &batch);
    harness_expect(&h, harness_try(&h, 32, 7), MR_E_INVALID);
    harness_free(&h);
}

/* Differences of 1e5 to 1e290 standard deviations: an answer, and at once. */
static void extreme_values_are_borne(void **state) {
    (void)state;
    static const double spread[] = {1e-5, 1e-100, 1e-150, 1e-320};
    double treatment[8] = {0, 0, 0, 0, 1, 1, 1, 1};
    for (size_t i = 0; i < sizeof spread / sizeof *spread; i++) {
        double s = spread[i], outcome[8] = {0, s, 2 * s, s, 1, 1, 1, 1},
               huge[8] = {0, s, 2 * s, s, 1e140, 1e140, -1e140, 1e140};
        mr_batch batch = {.rows = 8, .columns = MR_COL_TREATMENT | MR_COL_OUTCOME};
        batch.number[MR_NUM_TREATMENT] = treatment;
        for (int k = 0; k < 2; k++) {
            harness h = {0};
            batch.number[MR_NUM_OUTCOME] = k ? huge : outcome;
            harness_batch(&h, NAME, &batch);
            harness_run(&h, 32, 7);
            assert_non_null(harness_string(&h, 0, "verdict"));
            harness_free(&h);
        }
    }
}

static void the_same_seed_gives_the_same_bytes(void **state) {
    (void)state;
    harness a = {0}, b = {0};
    run_groups(&a, 50, 0.4, treatment_column, outcome_column);
    run_groups(&b, 50, 0.4, treatment_column, outcome_column);
    assert_true(mr_span_eq(harness_bytes(&a, 0), harness_bytes(&b, 0)));
    harness_free(&a);
    harness_free(&b);
}

/* The n-th allocation fails, for every n: a clean refusal and nothing left behind. */
static void a_failing_allocation_is_reported(void **state) {
    (void)state;
    harness_try_without_memory(NAME, "treatment,outcome\n0,1\n0,2\n0,4\n1,3\n1,5\n1,7\n", "treatment=treatment outcome=outcome");
}

static void no_rows_give_an_empty_result(void **state) {
    (void)state;
    harness_try_without_rows(NAME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shift_is_found_and_put_in_words),
        cmocka_unit_test(every_p_value_stands_with_its_test_and_n),
        cmocka_unit_test(few_rows_are_inconclusive_and_many_are_not),
        cmocka_unit_test(rows_without_an_outcome_are_described),
        cmocka_unit_test(labels_of_a_real_table_agree_with_scipy),
        cmocka_unit_test(what_cannot_be_tested_is_said),
        cmocka_unit_test(three_treatments_are_refused),
        cmocka_unit_test(missing_values_are_left_out_and_counted),
        cmocka_unit_test(extreme_values_are_borne),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(a_failing_allocation_is_reported),
        cmocka_unit_test(no_rows_give_an_empty_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
