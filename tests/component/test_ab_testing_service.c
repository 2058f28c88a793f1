/* Reference values: tests/vectors/experiment.py (statsmodels and SciPy). Error rates by simulation here. */
#include "tests/component/harness.h"
#include "worker/kit/abtest.h"
#include "worker/kit/dist.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char NAME[] = "ab_testing_service";

static void vector(const char *name, int arm, double *v, int count) {
    char word[32];
    int of;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/experiment.txt", "r");
    static char line[2048];
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        int at;
        if (sscanf(line, "%31s %d%n", word, &of, &at) < 2 || strcmp(word, name) != 0 || of != arm) continue;
        char *rest = line + at;
        for (int i = 0; i < count; i++) v[i] = strtod(rest, &rest);
        fclose(f);
        return;
    }
    fail_msg("no line %s %d", name, arm);
}

static void close_to(double got, double expected, const char *what) {
    if (!(fabs(got - expected) <= 1e-9 * fmax(1, fabs(expected))))
        fail_msg("%s: %.17g, want %.17g", what, got, expected);
}

static void check(harness *h, int arm, const char *path, double expected) {
    char full[96];
    snprintf(full, sizeof full, "comparisons[%d].%s", arm - 1, path);
    close_to(harness_number(h, 0, full), expected, full);
}

static void load(harness *h, const char *roles, const char *set) {
    harness_file(h, NAME, MR_SOURCE_DIR "/tests/vectors/experiment.csv", roles);
    harness_set(h, set);
    harness_run(h, 64, 1);
}

static void test_proportions_are_compared_as_by_statsmodels(void **state) {
    (void)state;
    harness h;
    load(&h, "treatment=arm,success=ok,label=y", "strata=0");
    for (int arm = 1; arm <= 2; arm++) {
        double z[6], beta[3];
        char path[64];
        vector("z", arm, z, 6);
        vector("beta", arm, beta, 3);
        check(&h, arm, "statistic", z[0]);
        check(&h, arm, "p", z[1]);
        check(&h, arm, "interval[0]", z[4]);
        check(&h, arm, "interval[1]", z[5]);
        snprintf(path, sizeof path, "arms[%d].interval[0]", arm);
        close_to(harness_number(&h, 0, path), z[2], path);
        snprintf(path, sizeof path, "arms[%d].interval[1]", arm);
        close_to(harness_number(&h, 0, path), z[3], path);
        check(&h, arm, "bayes.better", beta[0]);
        check(&h, arm, "bayes.loss", beta[1]);
        check(&h, arm, "bayes.loss_control", beta[2]);
    }
    harness_free(&h);
}

static void test_means_cuped_and_split_are_those_of_statsmodels(void **state) {
    (void)state;
    harness h;
    double srm[2];
    load(&h, "treatment=arm,outcome=y,label=ok", "strata=0 first_look=10");
    vector("srm", -1, srm, 2);
    close_to(harness_number(&h, 0, "srm.statistic"), srm[0], "srm.statistic");
    close_to(harness_number(&h, 0, "srm.p"), srm[1], "srm.p");
    for (int arm = 1; arm <= 2; arm++) {
        double w[6], cuped[4];
        vector("welch", arm, w, 6);
        vector("cuped", arm, cuped, 4);
        check(&h, arm, "statistic", w[0]);
        check(&h, arm, "df", w[1]);
        check(&h, arm, "p", w[2]);
        check(&h, arm, "interval[0]", w[3]);
        check(&h, arm, "interval[1]", w[4]);
        check(&h, arm, "p_holm", w[5]);
        check(&h, arm, "cuped.theta", cuped[0]);
        check(&h, arm, "cuped.difference", cuped[1]);
        check(&h, arm, "cuped.p", cuped[2]);
        check(&h, arm, "cuped.variance_cut", cuped[3]);
    }
    harness_free(&h);
}

static void test_the_mixture_ratio_is_the_integral_over_its_prior(void **state) {
    (void)state;
    harness h;
    load(&h, "treatment=arm,outcome=y,label=ok", "strata=0");
    for (int arm = 1; arm <= 2; arm++) {
        char path[64];
        double want[2], s[2], m[2], n[2];
        vector("mix", arm, want, 2);
        for (int k = 0; k < 2; k++) {
            snprintf(path, sizeof path, "arms[%d].sd", k * arm);
            s[k] = harness_number(&h, 0, path);
            snprintf(path, sizeof path, "arms[%d].mean", k * arm);
            m[k] = harness_number(&h, 0, path);
            snprintf(path, sizeof path, "arms[%d].n", k * arm);
            n[k] = harness_number(&h, 0, path);
        }
        double v = s[0] * s[0] / n[0] + s[1] * s[1] / n[1], tau = 0.1 * sqrt(v / (1 / n[0] + 1 / n[1]));
        close_to(mr_mixture_log_ratio(m[1] - m[0], v, tau), want[0], "mixture");
        close_to(mr_mixture_margin(v, tau, 0.05), want[1], "margin");
    }
    harness_free(&h);
}

enum { SIMULATIONS = 400, ROWS = 3000 };

typedef struct rates {
    double any, sprt, group, peeking, coverage;
} rates;

/* One experiment through the component: rows of two arms, with `effect` standard deviations between them. */
static void simulate(mr_rng *rng, double effect, bool proportion, const char *set, rates *r) {
    static double x[ROWS], arm[ROWS], y[ROWS];
    const char *names[] = {"pre"};
    mr_batch b = {.rows = ROWS, .width = 1, .columns = MR_COL_FEATURES | MR_COL_TREATMENT | MR_COL_OUTCOME};
    harness h;
    for (int i = 0; i < ROWS; i++) {
        arm[i] = (double)(mr_rng_next(rng) & 1);
        x[i] = mr_rng_normal(rng);
        y[i] = 0.6 * x[i] + 0.8 * mr_rng_normal(rng) + effect * arm[i];
        if (proportion) y[i] = mr_rng_unit(rng) < 0.1;
    }
    b.features = x, b.feature_names = names;
    b.number[MR_NUM_TREATMENT] = arm, b.number[MR_NUM_OUTCOME] = y;
    harness_batch(&h, NAME, &b);
    harness_set(&h, set);
    harness_run(&h, 1000, 1);
    r->any += harness_number(&h, 0, "comparisons[0].sequential.p") <= 0.05;
    r->sprt += !strcmp(harness_string(&h, 0, "comparisons[0].sprt.decision"), "effect");
    r->group += !isnan(harness_number(&h, 0, "comparisons[0].group.decided_at"));
    bool peeked = false;
    char path[48];
    for (size_t k = 0; k < harness_length(&h, 0, "look_fixed_p"); k++) {
        snprintf(path, sizeof path, "look_fixed_p[%zu]", k);
        peeked |= harness_number(&h, 0, path) <= 0.05;
    }
    r->peeking += peeked;
    r->coverage += harness_number(&h, 0, "comparisons[0].interval[0]") <= effect &&
                   harness_number(&h, 0, "comparisons[0].interval[1]") >= effect;
    harness_free(&h);
}

static rates simulate_all(double effect, bool proportion, uint64_t seed) {
    rates r = {0};
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    for (int i = 0; i < SIMULATIONS; i++) simulate(&rng, effect, proportion, "strata=0 first_look=100", &r);
    r.any /= SIMULATIONS, r.sprt /= SIMULATIONS, r.group /= SIMULATIONS, r.peeking /= SIMULATIONS,
        r.coverage /= SIMULATIONS;
    print_message(
        "effect %.2f sd%s: always-valid test %.3f, SPRT %.3f, group sequential %.3f, peeking at the fixed "
        "test %.3f, coverage %.3f\n",
        effect, proportion ? " (rate 0.1)" : "", r.any, r.sprt, r.group, r.peeking, r.coverage);
    return r;
}

/* 0.0218 is two standard errors of a rate of 0.05 in 400. */
static void test_peeking_at_every_look_keeps_the_error_rate(void **state) {
    (void)state;
    rates none = simulate_all(0, false, 11), rate = simulate_all(0, true, 12);
    assert_true(none.any <= 0.05 && rate.any <= 0.05);
    assert_true(none.sprt <= 0.05 + 0.0218 && rate.sprt <= 0.05 + 0.0218);
    assert_true(none.group <= 0.05 + 0.0218 && rate.group <= 0.05 + 0.0218);
    assert_true(none.peeking > 0.15 && rate.peeking > 0.15);
    assert_true(fabs(none.coverage - 0.95) < 0.03);
}

static void test_a_real_effect_is_found(void **state) {
    (void)state;
    rates r = simulate_all(0.2, false, 13);
    assert_true(r.any >= 0.95 && r.sprt >= 0.8 && r.group >= 0.95);
}

static void test_cuped_cuts_the_variance_as_predicted(void **state) {
    (void)state;
    static double x[ROWS], arm[ROWS], y[ROWS];
    const char *names[] = {"pre"};
    mr_rng rng;
    mr_rng_seed(&rng, 21);
    for (double rho = 0; rho < 0.95; rho += 0.3) {
        mr_batch b = {
            .rows = ROWS, .width = 1, .columns = MR_COL_FEATURES | MR_COL_TREATMENT | MR_COL_OUTCOME};
        harness h;
        for (int i = 0; i < ROWS; i++) {
            arm[i] = i % 2;
            x[i] = mr_rng_normal(&rng);
            y[i] = rho * x[i] + sqrt(1 - rho * rho) * mr_rng_normal(&rng);
        }
        b.features = x, b.feature_names = names;
        b.number[MR_NUM_TREATMENT] = arm, b.number[MR_NUM_OUTCOME] = y;
        harness_batch(&h, NAME, &b);
        harness_set(&h, "strata=8");
        harness_run(&h, 700, 1);
        double cut = harness_number(&h, 0, "comparisons[0].cuped.variance_cut");
        double predicted = harness_number(&h, 0, "comparisons[0].cuped.variance_cut_predicted");
        double strata = harness_number(&h, 0, "comparisons[0].strata.variance_cut");
        print_message("rho^2 %.2f: CUPED cuts %.3f (predicted %.3f), strata %.3f\n", rho * rho, cut,
                      predicted, strata);
        assert_true(fabs(cut - predicted) < 0.005 && fabs(cut - rho * rho) < 0.04);
        assert_true(strata > rho * rho * 0.75 - 0.03 && strata < rho * rho + 0.05);
        harness_free(&h);
    }
}

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    static const uint32_t sizes[] = {900, 1, 64, 333};
    harness h;
    uint8_t *first = NULL;
    size_t len = 0;
    load(&h, "treatment=arm,outcome=y,label=ok", "sample=500");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        harness_run(&h, sizes[i], 7);
        mr_span bytes = harness_bytes(&h, 0);
        if (i == 0) {
            first = malloc(len = bytes.len);
            assert_non_null(first);
            memcpy(first, bytes.data, len);
        }
        assert_true(mr_span_eq(bytes, (mr_span){first, len}));
    }
    free(first);
    harness_free(&h);
}

static void test_a_split_that_is_not_the_planned_one_is_invalid(void **state) {
    (void)state;
    harness h;
    load(&h, "treatment=arm,outcome=y,label=ok", "strata=0 split=1:1:4");
    assert_string_equal(harness_string(&h, 0, "comparisons[0].verdict"), "invalid");
    harness_free(&h);
}

static void refused(const char *text, const char *roles, const char *set, const char *word) {
    harness h;
    harness_text(&h, NAME, text, roles);
    harness_set(&h, set);
    assert_int_equal(harness_try(&h, 5, 7), MR_E_INVALID);
    if (!strstr(h.err.text, word)) fail_msg("'%s' does not say '%s'", h.err.text, word);
    harness_free(&h);
}

static void test_bad_input_is_refused_with_its_reason(void **state) {
    (void)state;
    static const char few[] = "arm,y\n0,1\n0,2\n1,1\n1,5\n";
    refused(few, "treatment=arm,outcome=y", "", "arm '0' has 2 rows");
    refused(few, "treatment=arm", "", "no outcome");
    refused(few, "outcome=y", "", "0 arms");
    refused(few, "treatment=arm,outcome=y", "pre=before", "no number column 'before'");
    char many[2048] = "arm,y\n";
    for (int i = 0; i < 40; i++) sprintf(many + strlen(many), "%d,%d\n", i % 2, i);
    refused(many, "treatment=arm,outcome=y", "split=1:2:3", "should give 2 shares");
    refused(many, "treatment=arm,outcome=y", "control=x", "no arm 'x'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proportions_are_compared_as_by_statsmodels),
        cmocka_unit_test(test_means_cuped_and_split_are_those_of_statsmodels),
        cmocka_unit_test(test_the_mixture_ratio_is_the_integral_over_its_prior),
        cmocka_unit_test(test_peeking_at_every_look_keeps_the_error_rate),
        cmocka_unit_test(test_a_real_effect_is_found),
        cmocka_unit_test(test_cuped_cuts_the_variance_as_predicted),
        cmocka_unit_test(test_any_batches_give_the_same_bytes),
        cmocka_unit_test(test_a_split_that_is_not_the_planned_one_is_invalid),
        cmocka_unit_test(test_bad_input_is_refused_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
