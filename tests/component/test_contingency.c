/* Reference values: tests/vectors/contingency.R. */
#include "worker/kit/contingency.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MOST = 16, TABLES = 27 };

static double next_number(FILE *f) {
    double v;
    assert_int_equal(fscanf(f, "%lf", &v), 1);
    return v;
}

static void near(double got, double expected) {
    if (!(fabs(got - expected) <= 1e-10 * fabs(expected) + 1e-300))
        fail_msg("%.17g is not %.17g", got, expected);
}

static void check_table(FILE *f) {
    mr_fourfold t = {0};
    t.with = (uint64_t)next_number(f);
    t.with_success = (uint64_t)next_number(f);
    t.without = (uint64_t)next_number(f);
    t.without_success = (uint64_t)next_number(f);
    near(mr_fourfold_test(&t, MR_FISHER_EXACT).p, next_number(f));
    for (int yates = 0; yates < 2; yates++) {
        mr_test test = mr_fourfold_test(&t, yates ? MR_CHI_SQUARE_YATES : MR_CHI_SQUARE_PLAIN);
        double expected = next_number(f);
        if (test.statistic > 0 || expected > 1e-20)
            near(test.statistic, expected); /* R leaves rounding at 0 */
        near(test.p, next_number(f));
    }
    mr_fourfold_effect e = mr_fourfold_effects(&t, 0.95);
    near(e.odds_ratio, next_number(f));
    near(e.odds_low, next_number(f));
    near(e.odds_high, next_number(f));
    near(e.cramers_v, next_number(f));
    near(e.cohen_d, next_number(f));
}

static void check_rows(FILE *f) {
    uint64_t total[MOST], success[MOST];
    double least, v;
    size_t k = (size_t)next_number(f);
    assert_true(k <= MOST);
    for (size_t i = 0; i < k; i++) total[i] = (uint64_t)next_number(f);
    for (size_t i = 0; i < k; i++) success[i] = (uint64_t)next_number(f);
    mr_test t = mr_chi_square_rows(total, success, k, &least, &v);
    near(t.statistic, next_number(f));
    near(t.p, next_number(f));
    assert_true(t.df == (double)k - 1);
}

static void check_adjust(FILE *f) {
    double p[MOST + 1], q[MOST + 1];
    mr_error err;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    size_t n = (size_t)next_number(f);
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++) p[i] = next_number(f);
    p[n] = NAN; /* is no test */
    for (int kind = 0; kind < MR_ADJUSTMENTS; kind++) {
        assert_int_equal(mr_adjust((mr_adjustment)kind, p, n + 1, arena, q, &err), MR_OK);
        for (size_t i = 0; i < n; i++) near(q[i], next_number(f));
        assert_true(isnan(q[n]));
    }
    mr_arena_free(&arena);
}

static void test_tables_tests_and_corrections_are_those_of_r(void **state) {
    (void)state;
    char word[16];
    size_t tables = 0;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/contingency.txt", "r");
    assert_non_null(f);
    while (fscanf(f, "%15s", word) == 1) {
        if (!strcmp(word, "table")) {
            check_table(f);
            tables++;
        } else if (!strcmp(word, "rows")) {
            check_rows(f);
        } else {
            check_adjust(f);
        }
    }
    assert_int_equal(tables, TABLES);
    fclose(f);
}

/* Every way to choose which of the rows succeed, one by one. */
static double permutation_by_hand(unsigned with, unsigned with_success, unsigned n, unsigned success) {
    double mean = with * (double)success / n, far = fabs(with_success - mean);
    unsigned extreme = 0, all = 0;
    for (unsigned choice = 0; choice < 1u << n; choice++) {
        if ((unsigned)__builtin_popcount(choice) != success) continue;
        all++;
        extreme += fabs(__builtin_popcount(choice & ((1u << with) - 1)) - mean) >= far - 1e-9;
    }
    return extreme / (double)all;
}

static void test_the_exact_permutation_test_counts_every_relabelling(void **state) {
    (void)state;
    for (unsigned with = 1; with < 11; with += 3)
        for (unsigned success = 2; success < 11; success += 4)
            for (unsigned k = with + success > 11 ? with + success - 11 : 0; k <= with && k <= success; k++) {
                mr_fourfold t = {with, k, 11 - with, success - k};
                assert_true(fabs(mr_fourfold_test(&t, MR_PERMUTATION_EXACT).p -
                                 permutation_by_hand(with, k, 11, success)) < 1e-12);
            }
}

static void test_a_trait_of_all_rows_or_an_outcome_of_all_rows_has_no_p(void **state) {
    (void)state;
    mr_fourfold all = {9, 4, 0, 0}, good = {3, 3, 4, 4};
    for (int kind = 0; kind < MR_FOURFOLD_KINDS; kind++) {
        assert_true(isnan(mr_fourfold_test(&all, (mr_fourfold_kind)kind).p));
        assert_true(isnan(mr_fourfold_test(&good, (mr_fourfold_kind)kind).p));
        assert_non_null(mr_fourfold_test(&good, (mr_fourfold_kind)kind).name);
    }
    assert_true(isnan(mr_fourfold_effects(&all, 0.95).odds_ratio));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_tests_and_corrections_are_those_of_r),
        cmocka_unit_test(test_the_exact_permutation_test_counts_every_relabelling),
        cmocka_unit_test(test_a_trait_of_all_rows_or_an_outcome_of_all_rows_has_no_p),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
