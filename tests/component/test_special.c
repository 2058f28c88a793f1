/* Special functions against SciPy (tests/vectors/dist.txt) and identities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/kit/special.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool near(double got, double want, double relative) {
    return fabs(got - want) <= relative * fabs(want);
}

static bool value_of(const char *name, const double *v, double *out) {
    if (!strcmp(name, "log_gamma"))
        *out = mr_log_gamma(v[0]);
    else if (!strcmp(name, "log_beta"))
        *out = mr_log_beta(v[0], v[1]);
    else if (!strcmp(name, "gamma_p"))
        *out = mr_gamma_p(v[0], v[1]);
    else if (!strcmp(name, "gamma_q"))
        *out = mr_gamma_q(v[0], v[1]);
    else
        return false;
    return true;
}

static void agrees_with_scipy_to_1e_10(void **state) {
    (void)state;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/dist.txt", "r");
    assert_non_null(f);
    char line[256], name[64];
    int checked = 0, wrong = 0;
    while (fgets(line, sizeof line, f)) {
        double v[3] = {0}, got;
        int n = sscanf(line, "%63s %lf %lf %lf", name, v, v + 1, v + 2) - 1;
        if (n < 2 || !value_of(name, v, &got)) continue;
        checked++;
        if (near(got, v[n - 1], 1e-10)) continue;
        print_error("%s gives %.17g\n", line, got);
        wrong++;
    }
    fclose(f);
    assert_true(checked > 80);
    assert_int_equal(wrong, 0);
}

static void stirling_error_is_what_the_formula_leaves(void **state) {
    (void)state;
    for (double n = 0.5; n < 15; n += 0.5) {
        double leaves = mr_log_gamma(n + 1) - ((n + 0.5) * log(n) - n + 0.5 * log(2 * M_PI));
        assert_true(fabs(mr_stirling_error(n) - leaves) < 1e-13);
    }
    /* The series takes over at 16 without a step: log gamma(17) - log gamma(16) = log 16. */
    double step = 16.5 * log(16) - 16 - 15.5 * log(15) + 15 + mr_stirling_error(16) - mr_stirling_error(15);
    assert_true(near(step, log(16), 1e-14));
}

static void deviance_keeps_its_digits_near_equality(void **state) {
    (void)state;
    double x = 1e6, d = 1e-3; /* x log(x/m) + m - x = d^2/(2x) - d^3/(3 x^2) ... with sign of d = m - x */
    double want = d * d / (2 * x) * (1 - 2 * d / (3 * x));
    assert_true(near(mr_deviance(x, x + d), want, 1e-6));
    assert_true(near(mr_deviance(3, 7), 3 * log(3.0 / 7) + 4, 1e-15));
    assert_true(mr_deviance(0, 2) == 2);
}

static void tails_add_up_to_one(void **state) {
    (void)state;
    for (double a = 0.2; a < 1e5; a *= 7) {
        for (double x = 0.05; x < 1; x += 0.1)
            assert_true(fabs(mr_beta_p(a, 3, x, 1 - x) + mr_beta_q(a, 3, x, 1 - x) - 1) < 1e-12);
        for (double f = 0.2; f < 3; f += 0.3)
            assert_true(fabs(mr_gamma_p(a, a * f) + mr_gamma_q(a, a * f) - 1) < 1e-12);
    }
}

static void arguments_outside_give_nan(void **state) {
    (void)state;
    assert_true(isnan(mr_beta_p(0, 1, 0.5, 0.5)));
    assert_true(isnan(mr_beta_p(1, 1, 1.5, -0.5)));
    assert_true(isnan(mr_gamma_p(-1, 2)));
    assert_true(isnan(mr_log_choose(3, 4)));
    assert_true(near(mr_log_choose(50, 3), log(19600), 1e-12));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_scipy_to_1e_10),
        cmocka_unit_test(stirling_error_is_what_the_formula_leaves),
        cmocka_unit_test(deviance_keeps_its_digits_near_equality),
        cmocka_unit_test(tails_add_up_to_one),
        cmocka_unit_test(arguments_outside_give_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
