/* Tests of hypotheses, effect sizes and power against SciPy and R (tests/vectors/two_samples.py,
 * hypothesis.R). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/kit/hypothesis.h"
#include "worker/kit/power.h"
#include "worker/kit/resample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_MAX = 5000 };

static bool near(double got, double want, double relative) {
    return fabs(got - want) <= relative * fabs(want) + 1e-14;
}

typedef struct samples {
    double x[100], y[100], sx[100], sy[100]; /* as drawn, and sorted */
    size_t n0, n1;
} samples;

static size_t read_sample(FILE *f, double *v, double *sorted) {
    size_t n;
    assert_int_equal(fscanf(f, "%zu", &n), 1);
    assert_true(n <= 100);
    for (size_t i = 0; i < n; i++) assert_int_equal(fscanf(f, "%lf", v + i), 1);
    memcpy(sorted, v, n * sizeof *v);
    mr_sort_numbers(sorted, n);
    return n;
}

static double value_of(const samples *s, const char *name) {
    mr_summary a = mr_summarise(s->x, s->n0), b = mr_summarise(s->y, s->n1);
    mr_test welch = mr_welch(&a, &b), student = mr_student(&a, &b), mw;
    mr_test bf = mr_brown_forsythe(s->sx, s->n0, s->sy, s->n1), k2 = mr_dagostino_pearson(s->x, s->n0);
    assert_int_equal(mr_mann_whitney(s->sx, s->n0, s->sy, s->n1, NULL, &mw, NULL), MR_OK);
    mr_effect e = mr_effect_size(&a, &b, 0.95);
    double n0 = (double)s->n0, n1 = (double)s->n1;
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"welch_t", welch.statistic},
        {"welch_p", welch.p},
        {"student_t", student.statistic},
        {"student_p", student.p},
        {"mann_whitney_u", mw.statistic},
        {"mann_whitney_p", mw.p},
        {"brown_forsythe_f", bf.statistic},
        {"brown_forsythe_p", bf.p},
        {"k2", k2.statistic},
        {"k2_p", k2.p},
        {"d", e.d},
        {"d_low", e.d_low},
        {"d_high", e.d_high},
        {"g", e.g},
        {"power_0.7", mr_power_t(0.7, n0, n1, 0.05)},
        {"log_bayes_factor", mr_log_bayes_factor_t(student.statistic, n0, n1, M_SQRT1_2)},
        {"acceleration", mr_acceleration_means(s->x, s->n0, s->y, s->n1)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, name)) return rows[i].value;
    fail_msg("no such value: %s", name);
    return NAN;
}

static void agrees_with_scipy_to_1e_10(void **state) {
    (void)state;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/two_samples.txt", "r");
    assert_non_null(f);
    static samples s;
    char word[64], name[64];
    int checked = 0, wrong = 0;
    while (fscanf(f, "%63s", word) == 1) {
        double want;
        if (word[0] == '#') {
            assert_int_equal(fscanf(f, "%*[^\n]"), 0);
        } else if (word[0] == 'x') {
            s.n0 = read_sample(f, s.x, s.sx);
        } else if (word[0] == 'y') {
            s.n1 = read_sample(f, s.y, s.sy);
        } else {
            assert_int_equal(fscanf(f, "%63s %lf", name, &want), 2);
            double got = value_of(&s, name);
            checked++;
            if (near(got, want, 1e-10)) continue;
            print_error("%s (%zu, %zu): %.17g, want %.17g\n", name, s.n0, s.n1, got, want);
            wrong++;
        }
    }
    fclose(f);
    assert_true(checked > 90);
    assert_int_equal(wrong, 0);
}

static const struct {
    int n, roots;
    double w, p;
} shapiro[] = {
    {3, 1, 0.994255727265849, 0.855110949490942},      {3, 0, 0.89650432373446, 0.374459499163519},
    {4, 1, 0.985494670665381, 0.933402656557537},      {4, 0, 0.952019346179922, 0.728748676478425},
    {5, 1, 0.978806252229232, 0.928133647775659},      {5, 0, 0.966847375106814, 0.854660177219637},
    {6, 1, 0.973785088090593, 0.916826904750002},      {6, 0, 0.90647499412326, 0.413614933166633},
    {11, 1, 0.960651210917006, 0.77979015308537},      {11, 0, 0.926149359656326, 0.373222609133924},
    {12, 1, 0.959237712805906, 0.772893845202952},     {12, 0, 0.907648817832152, 0.199025486913927},
    {25, 1, 0.951292733361314, 0.268070371272785},     {25, 0, 0.884450028562759, 0.00854817013529056},
    {50, 1, 0.948195861930097, 0.028776922233756},     {50, 0, 0.873722785785983, 7.25598317574004e-05},
    {300, 1, 0.946766241912199, 5.97570984479374e-09}, {300, 0, 0.841299040813803, 7.01476083717784e-17},
    {5000, 1, 0.94693150234563, 3.80275470159296e-39}, {5000, 0, 0.82587856446127, 5.32996323136212e-59},
};

static void shapiro_wilk_agrees_with_r(void **state) {
    (void)state;
    static double x[ROWS_MAX], weights[ROWS_MAX];
    for (size_t k = 0; k < sizeof shapiro / sizeof *shapiro; k++) {
        size_t n = (size_t)shapiro[k].n;
        for (size_t i = 1; i <= n; i++)
            x[i - 1] = shapiro[k].roots ? sqrt((double)i) : log((double)i) + (double)(i % 3) / 10;
        mr_sort_numbers(x, n);
        mr_test t = mr_shapiro_wilk(x, n, weights);
        assert_true(near(t.statistic, shapiro[k].w, 1e-11));
        if (!near(t.p, shapiro[k].p, 1e-8)) fail_msg("n %zu: p %.17g, want %.17g", n, t.p, shapiro[k].p);
    }
}

static void power_agrees_with_r(void **state) {
    (void)state;
    assert_true(near(mr_power_t(0.7, 20, 20, 0.05), 0.578290431018, 1e-10));
    assert_true(near(mr_detectable_t(0.8, 20, 20, 0.05), 0.909129032682, 1e-9));
    assert_true(mr_rows_needed_t(0.5, 0.8, 0.05) == 64); /* R: 63.77 */
}

/* Rouder et al. 2009 with r = sqrt(1/2): evidence for the null grows with n at t = 0, and for the effect with
 * t. */
static void bayes_factor_behaves_at_the_ends(void **state) {
    (void)state;
    assert_true(mr_log_bayes_factor_t(0, 10, 10, M_SQRT1_2) < 0);
    assert_true(mr_log_bayes_factor_t(0, 1e4, 1e4, M_SQRT1_2) < mr_log_bayes_factor_t(0, 10, 10, M_SQRT1_2));
    assert_true(isfinite(mr_log_bayes_factor_t(1e4, 1e5, 1e5, M_SQRT1_2)));
    assert_true(isnan(mr_log_bayes_factor_t(NAN, 5, 5, 1)) && isinf(mr_log_bayes_factor_t(1e200, 5, 5, 1)));
}

static void no_spread_and_too_few_rows_give_nan(void **state) {
    (void)state;
    double same[4] = {0.1, 0.1, 0.1, 0.1}, weights[4];
    mr_summary a = mr_summarise(same, 4), b = mr_summarise(same, 3), one = mr_summarise(same, 1);
    mr_test mw;
    assert_true(a.mean == 0.1 && a.var == 0);
    assert_true(isnan(mr_welch(&a, &b).p) && isnan(mr_student(&a, &b).p) && isnan(mr_welch(&one, &b).p));
    assert_true(isnan(mr_brown_forsythe(same, 4, same, 3).p));
    assert_true(isnan(mr_shapiro_wilk(same, 4, weights).p) && isnan(mr_dagostino_pearson(same, 4).p));
    assert_int_equal(mr_mann_whitney(same, 4, same, 3, NULL, &mw, NULL), MR_OK);
    assert_true(isnan(mw.p));
    assert_int_equal(mr_mann_whitney(same, 0, same, 3, NULL, &mw, NULL), MR_OK);
    assert_true(isnan(mw.p) && isnan(mr_effect_size(&a, &b, 0.95).d) && isnan(mr_summarise(same, 0).mean));
}

/* All 70 splits of 8 numbers: the share with a difference at least as large as the one seen is 4/70. */
static void permutation_tends_to_the_exact_share(void **state) {
    (void)state;
    double pool[8] = {1, 2, 3, 5, 4, 6, 7, 8};
    mr_rng rng;
    mr_test t;
    mr_rng_seed(&rng, 5);
    assert_int_equal(mr_permutation_test(pool, 4, 4, 99999, &rng, NULL, &t), MR_OK);
    assert_true(near(t.statistic, -3.5, 1e-15));
    assert_true(fabs(t.p - 4.0 / 70) < 0.003);
    assert_true(fabs(t.p * 100000 - round(t.p * 100000)) < 1e-6);
}

static mr_status stop(void *self) {
    (void)self;
    return MR_E_CANCELLED;
}

static void permutation_can_be_cancelled(void **state) {
    (void)state;
    double pool[4] = {1, 2, 3, 4};
    mr_rng rng;
    mr_test t;
    mr_ticker tick = {stop, NULL};
    mr_rng_seed(&rng, 1);
    assert_int_equal(mr_permutation_test(pool, 2, 2, 10, &rng, &tick, &t), MR_E_CANCELLED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_scipy_to_1e_10),
        cmocka_unit_test(shapiro_wilk_agrees_with_r),
        cmocka_unit_test(power_agrees_with_r),
        cmocka_unit_test(bayes_factor_behaves_at_the_ends),
        cmocka_unit_test(no_spread_and_too_few_rows_give_nan),
        cmocka_unit_test(permutation_tends_to_the_exact_share),
        cmocka_unit_test(permutation_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
