/* The bootstrap: BCa against NumPy and SciPy on the same replicates, and coverage in simulation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/kit/hypothesis.h"
#include "worker/kit/power.h"
#include "worker/kit/resample.h"

#include <math.h>
#include <stdio.h>

static bool near(double got, double want, double relative) {
    return fabs(got - want) <= relative * fabs(want);
}

/* NumPy 1.24 and SciPy 1.10.1: z0 = norm.ppf(mean of the shares below and at most 0.3), alpha by Efron 1987,
 * np.percentile of the replicates, as scipy.stats.bootstrap does. */
static void bca_interval_agrees_with_scipy(void **state) {
    (void)state;
    double replicates[999], low, high;
    for (int i = 1; i < 1000; i++) {
        double v = (double)(i * 7919 % 1000) / 1000;
        replicates[i - 1] = v * v;
    }
    mr_bca_interval(replicates, 999, 0.30, 0.03, 0.9, &low, &high);
    assert_true(near(low, 0.0082951514396396257, 1e-10));
    assert_true(near(high, 0.95126841480105395, 1e-10));
}

static void closed_forms_agree_with_the_general_bootstrap(void **state) {
    (void)state;
    double x[7] = {1, 4, 2, 8, 5, 7, 1.5}, y[5] = {9, 3, 3.5, 12, 6}, scratch[12], slow[50], fast[50];
    mr_rng a, b;
    mr_rng_seed(&a, 3);
    mr_rng_seed(&b, 3);
    assert_int_equal(mr_bootstrap(mr_mean_difference, x, 7, y, 5, 50, &a, NULL, scratch, slow), MR_OK);
    assert_int_equal(mr_bootstrap_means(x, 7, y, 5, 50, &b, NULL, fast), MR_OK);
    for (int i = 0; i < 50; i++) assert_true(near(fast[i], slow[i], 1e-13));
    double want = mr_acceleration_means(x, 7, y, 5);
    assert_true(near(mr_acceleration(mr_mean_difference, x, 7, y, 5, scratch), want, 1e-10));
    want = mr_acceleration_means(x, 7, NULL, 0);
    assert_true(near(mr_acceleration(mr_mean_difference, x, 7, NULL, 0, scratch), want, 1e-10));
}

static void degenerate_samples_give_their_value(void **state) {
    (void)state;
    double same[6] = {2, 2, 2, 2, 2, 2}, replicates[99], low, high;
    mr_rng rng;
    mr_rng_seed(&rng, 1);
    assert_int_equal(mr_bootstrap_means(same, 6, same, 3, 99, &rng, NULL, replicates), MR_OK);
    mr_bca_interval(replicates, 99, 0, mr_acceleration_means(same, 6, same, 3), 0.95, &low, &high);
    assert_true(low == 0 && high == 0);
    mr_bca_interval(replicates, 0, 0, 0, 0.95, &low, &high);
    assert_true(isnan(low) && isnan(high));
}

/* ---- coverage ---- */

typedef struct design {
    const char *name;
    size_t n0, n1;
    double sd0, sd1;
    bool skewed; /* exponential instead of normal */
} design;

typedef struct covered {
    unsigned bca, welch, d;
} covered;

enum { SIMULATIONS = 2000, ROUNDS = 999 };

static double deviate(mr_rng *rng, double sd, bool skewed) {
    return sd * (skewed ? -log1p(-mr_rng_unit(rng)) - 1 : mr_rng_normal(rng));
}

static void simulate(const design *g, mr_rng *rng, covered *hits) {
    static double replicates[ROUNDS];
    double x[128], y[128], low, high, truth = 0.5;
    for (size_t i = 0; i < g->n0; i++) x[i] = truth + deviate(rng, g->sd0, g->skewed);
    for (size_t i = 0; i < g->n1; i++) y[i] = deviate(rng, g->sd1, g->skewed);
    mr_summary a = mr_summarise(x, g->n0), b = mr_summarise(y, g->n1);
    assert_int_equal(mr_bootstrap_means(x, g->n0, y, g->n1, ROUNDS, rng, NULL, replicates), MR_OK);
    mr_bca_interval(replicates, ROUNDS, a.mean - b.mean, mr_acceleration_means(x, g->n0, y, g->n1), 0.95,
                    &low, &high);
    hits->bca += low <= truth && truth <= high;
    mr_welch_interval(&a, &b, 0.95, &low, &high);
    hits->welch += low <= truth && truth <= high;
    mr_effect e = mr_effect_size(&a, &b, 0.95);
    hits->d += e.d_low <= truth && truth <= e.d_high;
}

static void intervals_cover_in_95_percent_of_simulations(void **state) {
    (void)state;
    static const design designs[] = {
        {"normal, equal", 40, 40, 1, 1, false},
        {"normal, unequal", 30, 45, 1, 2, false},
        {"exponential", 120, 120, 1, 1, true},
        {"exponential, small", 50, 50, 1, 1, true},
    };
    for (size_t k = 0; k < sizeof designs / sizeof *designs; k++) {
        covered hits = {0, 0, 0};
        mr_rng rng;
        mr_rng_seed(&rng, 100 + k);
        for (int i = 0; i < SIMULATIONS; i++) simulate(&designs[k], &rng, &hits);
        print_message("%s: BCa %.4f, Welch %.4f, d %.4f\n", designs[k].name, hits.bca / (double)SIMULATIONS,
                      hits.welch / (double)SIMULATIONS, hits.d / (double)SIMULATIONS);
        /* BCa is second-order accurate only: in small skewed groups it covers less than it says (page:
         * limits). */
        assert_true(fabs(hits.bca / (double)SIMULATIONS - 0.95) <= (k == 3 ? 0.03 : 0.02));
        assert_true(fabs(hits.welch / (double)SIMULATIONS - 0.95) <= 0.02);
        /* The noncentral t interval is exact for normal groups of one variance, and only there. */
        if (k == 0) assert_true(fabs(hits.d / (double)SIMULATIONS - 0.95) <= 0.02);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bca_interval_agrees_with_scipy),
        cmocka_unit_test(closed_forms_agree_with_the_general_bootstrap),
        cmocka_unit_test(degenerate_samples_give_their_value),
        cmocka_unit_test(intervals_cover_in_95_percent_of_simulations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
