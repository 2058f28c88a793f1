/* optimization_validator: values against SciPy (tests/vectors/optimization.py), coverage and error rates by
 * simulation, layouts and refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/component/harness.h"
#include "worker/kit/posterior.h"
#include "worker/kit/sensitivity.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char NAME[] = "optimization_validator";
enum { ROWS_MAX = 2000 };

static double treatment[ROWS_MAX], outcome[ROWS_MAX], earlier[ROWS_MAX];
static char names[ROWS_MAX][16];
static mr_span session[ROWS_MAX];
static const char *const pre_name[] = {"before"};

static void run_rows(harness *h, uint32_t n, bool sessions, bool pre, const char *set) {
    mr_batch batch = {.rows = n, .columns = MR_COL_TREATMENT | MR_COL_OUTCOME};
    batch.number[MR_NUM_TREATMENT] = treatment;
    batch.number[MR_NUM_OUTCOME] = outcome;
    if (sessions) {
        batch.columns |= MR_COL_SESSION;
        batch.text[MR_TEXT_SESSION] = session;
    }
    if (pre) {
        batch.columns |= MR_COL_FEATURES;
        batch.width = 1;
        batch.features = earlier;
        batch.feature_names = pre_name;
    }
    harness_batch(h, NAME, &batch);
    harness_set(h, set);
    harness_run(h, 256, 7);
}

static void values_agree_with_scipy(void **state) {
    (void)state;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/optimization.txt", "r");
    assert_non_null(f);
    char line[256], name[64];
    uint32_t n = 0;
    size_t checked = 0;
    double want;
    bool open = false;
    harness h = {0};
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "case", 4) == 0) {
            if (open) harness_free(&h);
            n = 0;
            open = false;
        }
        if (sscanf(line, "row %15s %lf %lf %lf", names[n], &treatment[n], &outcome[n], &earlier[n]) == 4) {
            session[n] = mr_span_of(names[n]);
            n++;
        }
        if (sscanf(line, "expect %63s %lf", name, &want) != 2) continue;
        if (!open) {
            h = (harness){0};
            run_rows(&h, n, names[0][0] == 's', isfinite(earlier[0]), "");
            open = true;
        }
        double got = harness_number(&h, 0, name);
        if (!(fabs(got - want) <= 1e-8 * fabs(want))) fail_msg("%s: %.17g, not %.17g", name, got, want);
        checked++;
    }
    if (open) harness_free(&h);
    fclose(f);
    assert_int_equal(checked, 29);
}

/* ---- coverage and error rates ---- */

typedef struct rates {
    double bca, boot, t, cuped, verdicts, wrong, bayes;
} rates;

static bool covers(harness *h, const char *name, double truth) {
    char low[64], high[64];
    snprintf(low, sizeof low, "%s[0]", name);
    snprintf(high, sizeof high, "%s[1]", name);
    return harness_number(h, 0, low) <= truth && truth <= harness_number(h, 0, high);
}

/* Pairs or groups of `n`, `shift` apart; `skewed`: exponential noise. */
static rates simulate(uint32_t n, bool pairs, bool skewed, double shift, int runs, uint64_t seed) {
    rates r = {0};
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    for (int k = 0; k < runs; k++) {
        for (uint32_t i = 0; i < 2 * n; i++) {
            double noise = skewed ? -log(1 - mr_rng_unit(&rng)) : mr_rng_normal(&rng);
            treatment[i] = i >= n;
            snprintf(names[i], sizeof names[i], "s%u", i % n);
            session[i] = mr_span_of(names[i]);
            earlier[i] = pairs && i >= n ? earlier[i - n] : mr_rng_normal(&rng);
            outcome[i] = earlier[i] + noise + (i >= n ? shift : 0);
        }
        harness h = {0};
        run_rows(&h, 2 * n, pairs, !pairs, "resamples=999");
        r.bca += covers(&h, "bca_interval", shift);
        r.boot += covers(&h, "bootstrap_t_interval", shift);
        r.t += covers(&h, "t_interval", shift);
        r.bayes += covers(&h, "bayes.interval", shift);
        if (!pairs) r.cuped += covers(&h, "cuped.bca_interval", shift);
        const char *verdict = harness_string(&h, 0, "verdict");
        r.verdicts += strcmp(verdict, "inconclusive") != 0;
        r.wrong += strcmp(verdict, shift > 0 ? "harmed" : "helped") == 0;
        harness_free(&h);
    }
    r.bca /= runs, r.boot /= runs, r.t /= runs, r.cuped /= runs, r.verdicts /= runs, r.wrong /= runs, r.bayes /= runs;
    print_message("%s of %u, %s noise, shift %.1f: cover bootstrap-t %.3f bca %.3f t %.3f bayes %.3f cuped %.3f; verdicts "
                  "%.3f wrong %.3f\n",
                  pairs ? "pairs" : "groups", n, skewed ? "skewed" : "normal", shift, r.boot, r.bca, r.t, r.bayes,
                  r.cuped, r.verdicts, r.wrong);
    return r;
}

static void intervals_cover_and_errors_are_as_stated(void **state) {
    (void)state;
    rates pairs = simulate(40, true, false, 0, 2000, 1), groups = simulate(50, false, false, 0, 2000, 2);
    rates moved = simulate(60, false, false, 0.5, 1000, 3), skewed = simulate(80, true, true, 0.3, 1000, 4);
    assert_true(pairs.bca > 0.92 && pairs.t > 0.93 && pairs.bayes > 0.93);
    assert_true(groups.bca > 0.92 && groups.cuped > 0.92 && groups.bayes > 0.93);
    assert_true(moved.bca > 0.91 && moved.cuped > 0.91);
    assert_true(skewed.bca > 0.9 && skewed.boot > 0.93);
    assert_true(pairs.boot > 0.93 && groups.boot > 0.93 && moved.boot > 0.93);
    assert_true(pairs.verdicts <= 0.06 && groups.verdicts <= 0.06); /* alpha is 0.05; 2 sd of 2000 runs */
    assert_true(moved.wrong <= 0.01 && moved.verdicts > 0.6);
}

/* The same data judged with and without the earlier measure: the noise falls by the squared correlation. */
static void cuped_takes_the_noise_away(void **state) {
    (void)state;
    simulate(400, false, false, 0.2, 1, 9);
    harness h = {0};
    run_rows(&h, 800, false, true, "resamples=999");
    double r = harness_number(&h, 0, "cuped.correlation");
    assert_true(fabs(harness_number(&h, 0, "cuped.variance_reduction") - r * r) < 0.02);
    assert_true(harness_number(&h, 0, "cuped.standard_error") <
                0.8 * harness_number(&h, 0, "standard_error"));
    harness_free(&h);
}

/* ---- kit ---- */

/* The example of VanderWeele and Ding 2017: RR 3.9 (interval 1.8 to 8.7) has E-values 7.26 and 3.0. */
static void e_values_are_those_of_the_paper(void **state) {
    (void)state;
    assert_true(fabs(mr_e_value(3.9) - 7.26) < 0.005);
    assert_true(fabs(mr_e_value_limit(1.8, 8.7) - 3.0) < 0.005);
    assert_true(fabs(mr_e_value(1 / 3.9) - mr_e_value(3.9)) < 1e-12);
    assert_true(mr_e_value_limit(0.9, 2) == 1);
}

static void posteriors_of_two_samples_are_symmetric(void **state) {
    (void)state;
    mr_summary a = {12, 3.2, 1.7, 0, 0}, b = {4, 2.5, 0.2, 0, 0};
    mr_posterior p = mr_posterior_means(&a, &b, 0.9), q = mr_posterior_means(&b, &a, 0.9);
    assert_true(fabs(p.above + q.above - 1) < 1e-12);
    assert_true(fabs(p.low + q.high) < 1e-8);
    assert_true(fabs(q.loss - p.loss - 0.7) < 1e-10);
    p = mr_posterior_rates(30, 100, 45, 90, 0.9);
    q = mr_posterior_rates(45, 90, 30, 100, 0.9);
    assert_true(fabs(p.above + q.above - 1) < 1e-10);
    assert_true(fabs(p.low + q.high) < 1e-8);
    p = mr_posterior_rates(0, 5, 100000, 200000, 0.9);
    assert_true(p.above > 0 && p.above < 0.05 && isfinite(p.loss));
}

/* ---- layouts and refusals ---- */

static void an_earlier_measure_alone_makes_pairs_of_rows(void **state) {
    (void)state;
    harness h = {0};
    harness_text(&h, NAME, "before,y\n1,2\n2,4\n3,4\n4,7\n5,6\n6,8\n", "outcome=y");
    harness_run(&h, 32, 7);
    assert_string_equal(harness_string(&h, 0, "layout"), "pairs by row");
    assert_true(fabs(harness_number(&h, 0, "difference") - 10.0 / 6) < 1e-12);
    assert_true(harness_number(&h, 0, "mean_control") == 3.5);
    harness_free(&h);
}

static void lower_may_be_better(void **state) {
    (void)state;
    simulate(60, true, false, 1, 1, 5);
    harness h = {0};
    run_rows(&h, 120, true, false, "better=lower");
    assert_string_equal(harness_string(&h, 0, "verdict"), "harmed");
    assert_true(harness_number(&h, 0, "bayes.probability_helped") < 0.01);
    assert_true(harness_number(&h, 0, "bayes.expected_loss") > 0.5);
    harness_free(&h);
}

static void a_margin_can_rule_a_change_out(void **state) {
    (void)state;
    simulate(500, true, false, 0, 1, 6);
    harness h = {0};
    run_rows(&h, 1000, true, false, "margin=0.3");
    assert_string_equal(harness_string(&h, 0, "verdict"), "no change that matters");
    harness_free(&h);
}

static void what_cannot_be_judged_is_said(void **state) {
    (void)state;
    harness h = {0};
    harness_text(&h, NAME, "t,y\n0,1\n1,2\n2,3\n", "treatment=t outcome=y");
    harness_expect(&h, harness_try(&h, 32, 7), MR_E_INVALID);
    assert_non_null(strstr(h.err.text, "two values"));
    harness_free(&h);
    h = (harness){0};
    harness_text(&h, NAME, "t,y,x\n0,1,1\n1,2,1\n", "treatment=t outcome=y");
    harness_set(&h, "pre=old");
    harness_expect(&h, harness_try(&h, 32, 7), MR_E_INVALID);
    harness_set(&h, "");
    harness_run(&h, 32, 7);
    assert_string_equal(harness_string(&h, 0, "reason"), "a group has fewer than two rows");
    harness_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_agree_with_scipy),
        cmocka_unit_test(intervals_cover_and_errors_are_as_stated),
        cmocka_unit_test(cuped_takes_the_noise_away),
        cmocka_unit_test(e_values_are_those_of_the_paper),
        cmocka_unit_test(posteriors_of_two_samples_are_symmetric),
        cmocka_unit_test(an_earlier_measure_alone_makes_pairs_of_rows),
        cmocka_unit_test(lower_may_be_better),
        cmocka_unit_test(a_margin_can_rule_a_change_out),
        cmocka_unit_test(what_cannot_be_judged_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
