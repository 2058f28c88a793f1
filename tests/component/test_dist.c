/* Distributions and their inverses against SciPy (tests/vectors/dist.txt), R (quantiles.txt) and papers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/kit/dist.h"
#include "worker/kit/special.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct entry {
    const char *name;
    int args;
    double (*one)(double);
    double (*two)(double, double);
    double (*three)(double, double, double);
} entry;

static const entry entries[] = {
    {"normal_cdf", 1, mr_normal_cdf, NULL, NULL},
    {"normal_sf", 1, mr_normal_sf, NULL, NULL},
    {"normal_quantile", 1, mr_normal_quantile, NULL, NULL},
    {"t_cdf", 2, NULL, mr_t_cdf, NULL},
    {"t_sf", 2, NULL, mr_t_sf, NULL},
    {"t_quantile", 2, NULL, mr_t_quantile, NULL},
    {"chi2_cdf", 2, NULL, mr_chi2_cdf, NULL},
    {"chi2_sf", 2, NULL, mr_chi2_sf, NULL},
    {"chi2_quantile", 2, NULL, mr_chi2_quantile, NULL},
    {"poisson_pmf", 2, NULL, mr_poisson_pmf, NULL},
    {"poisson_cdf", 2, NULL, mr_poisson_cdf, NULL},
    {"poisson_sf", 2, NULL, mr_poisson_sf, NULL},
    {"f_cdf", 3, NULL, NULL, mr_f_cdf},
    {"f_sf", 3, NULL, NULL, mr_f_sf},
    {"f_quantile", 3, NULL, NULL, mr_f_quantile},
    {"beta_cdf", 3, NULL, NULL, mr_beta_cdf},
    {"beta_sf", 3, NULL, NULL, mr_beta_sf},
    {"beta_quantile", 3, NULL, NULL, mr_beta_quantile},
    {"binomial_pmf", 3, NULL, NULL, mr_binomial_pmf},
    {"binomial_cdf", 3, NULL, NULL, mr_binomial_cdf},
    {"binomial_sf", 3, NULL, NULL, mr_binomial_sf},
    {"binomial_quantile", 3, NULL, NULL, mr_binomial_quantile},
    {"nct_cdf", 3, NULL, NULL, mr_nct_cdf},
};

static bool near(double got, double want, double tolerance) { return fabs(got - want) <= tolerance; }

static const entry *entry_named(const char *name) {
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (!strcmp(entries[i].name, name)) return &entries[i];
    return NULL;
}

static double call(const entry *e, const double *v) {
    return e->args == 1 ? e->one(v[0]) : e->args == 2 ? e->two(v[0], v[1]) : e->three(v[0], v[1], v[2]);
}

static void check_file(const char *path, int at_least) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char line[256], name[64];
    int checked = 0, wrong = 0;
    while (fgets(line, sizeof line, f)) {
        double v[4] = {0};
        int n = sscanf(line, "%63s %lf %lf %lf %lf", name, v, v + 1, v + 2, v + 3) - 1;
        const entry *e = n > 0 ? entry_named(name) : NULL;
        if (!e) continue;
        assert_int_equal(n, e->args + 1);
        double got = call(e, v), want = v[n - 1];
        checked++;
        if (!(fabs(got - want) <= 1e-10 * fabs(want) + 1e-300)) {
            print_error("%s gives %.17g, off by %.3g relative\n", line, got, (got - want) / want);
            wrong++;
        }
    }
    fclose(f);
    assert_true(checked >= at_least);
    assert_int_equal(wrong, 0);
}

static void agrees_with_scipy_to_1e_10(void **state) {
    (void)state;
    check_file(MR_SOURCE_DIR "/tests/vectors/dist.txt", 500);
}

static void t_quantiles_agree_with_r_to_1e_10(void **state) {
    (void)state;
    check_file(MR_SOURCE_DIR "/tests/vectors/quantiles.txt", 40);
}

static void noncentral_t_shift_inverts_the_cdf(void **state) {
    (void)state;
    for (double df = 3; df < 1000; df *= 4)
        for (double t = -6; t <= 12; t += 1.5)
            for (double p = 0.025; p < 1; p += 0.475)
                assert_true(near(mr_nct_cdf(t, df, mr_nct_shift(p, t, df)), p, 1e-11));
}

/* The two ways of computing it meet at |t| = 1000, and far out it stays quick and a probability. */
static void noncentral_t_is_whole_for_large_t(void **state) {
    (void)state;
    for (double df = 2; df < 100; df *= 3) {
        for (double f = 0.7; f < 1.4; f += 0.2) {
            double inside = mr_nct_cdf(1000, df, 1000 * f),
                   outside = mr_nct_cdf(1000.0001, df, 1000.0001 * f);
            assert_true(near(inside, outside, 1e-4));
            assert_true(near(mr_nct_cdf(-1000, df, -1000 * f), mr_nct_cdf(-1001, df, -1001 * f), 1e-4));
        }
    }
    assert_true(near(mr_nct_cdf(1e8, 6, mr_nct_shift(0.025, 1e8, 6)), 0.025, 1e-9));
    assert_true(mr_nct_cdf(1e300, 3, 5) == 1 && mr_nct_sf(1e300, 3, 5) == 0 && mr_t_two_sided(1e200, 4) == 0);
}

/* R 4.2.2: pwilcox(u, n0, n1) */
static void mann_whitney_exact_agrees_with_r(void **state) {
    (void)state;
    double cdf, sf;
    static const struct {
        unsigned n0, n1;
        double u, cdf;
    } rows[] = {
        {7, 9, 10, 0.011451048951048953}, {7, 9, 30, 0.45909090909090911},
        {7, 9, 50, 0.97910839160839158},  {49, 49, 1000, 0.077968162023427587},
        {3, 3, 0, 0.050000000000000003},  {1, 1, 0, 0.5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(mr_mann_whitney_exact(rows[i].n0, rows[i].n1, rows[i].u, NULL, &cdf, &sf, NULL),
                         MR_OK);
        assert_true(near(cdf, rows[i].cdf, 1e-12 * rows[i].cdf));
    }
    assert_int_equal(mr_mann_whitney_exact(65, 2, 1, NULL, &cdf, &sf, NULL), MR_E_LIMIT);
    assert_int_equal(mr_mann_whitney_exact(0, 2, 1, NULL, &cdf, &sf, NULL), MR_E_LIMIT);
}

/* Newcombe 1998 (Statistics in Medicine 17, 873-890), table II, method 10: 56/70 - 48/80. */
static void newcombe_agrees_with_the_paper(void **state) {
    (void)state;
    double low, high;
    mr_newcombe(48, 80, 56, 70, 0.95, &low, &high);
    assert_true(near(low, 0.0524, 5e-5));
    assert_true(near(high, 0.3339, 5e-5));
}

static void wrong_parameters_give_nan(void **state) {
    (void)state;
    assert_true(isnan(mr_t_cdf(1, -1)));
    assert_true(isnan(mr_normal_quantile(1.5)));
    assert_true(isnan(mr_chi2_sf(1, 0)));
    assert_true(isnan(mr_f_quantile(0.5, 0, 3)));
    assert_true(isnan(mr_binomial_cdf(1, 3, 2)));
    assert_true(isnan(mr_nct_cdf(NAN, 3, 1)));
    assert_true(mr_t_quantile(0, 4) == -INFINITY && mr_t_quantile(1, 4) == INFINITY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_scipy_to_1e_10),
        cmocka_unit_test(t_quantiles_agree_with_r_to_1e_10),
        cmocka_unit_test(noncentral_t_shift_inverts_the_cdf),
        cmocka_unit_test(noncentral_t_is_whole_for_large_t),
        cmocka_unit_test(mann_whitney_exact_agrees_with_r),
        cmocka_unit_test(newcombe_agrees_with_the_paper),
        cmocka_unit_test(wrong_parameters_give_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
