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

/* The same draws, by copies and summaries. */
static double studentise_again(const double *x, size_t n0, const double *y, size_t n1, mr_rng *rng) {
    double a[8], b[8];
    for (size_t i = 0; i < n0; i++) a[i] = x[mr_rng_below(rng, n0)];
    for (size_t i = 0; i < n1; i++) b[i] = y[mr_rng_below(rng, n1)];
    mr_summary s = mr_summarise(a, n0), t = mr_summarise(b, n1);
    double off = s.mean - t.mean - mr_mean_difference(x, n0, y, n1);
    return fabs(off) / sqrt(s.var / (double)n0 + t.var / (double)n1);
}

/* tests/vectors/bootstrap.py: SciPy's own resamples, its BCa interval, and the studentised one by NumPy on them. */
static void intervals_agree_with_scipy_on_the_same_resamples(void **state) {
    (void)state;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/bootstrap.txt", "r");
    assert_non_null(f);
    size_t n0, n1, rounds, cases = 0;
    while (fscanf(f, " case %zu %zu %zu", &n0, &n1, &rounds) == 3) {
        double x[64], y[64], replicates[999], studentised[999], want[6], low, high;
        for (size_t i = 0; i < n0; i++) assert_int_equal(fscanf(f, "%lf", &x[i]), 1);
        for (size_t i = 0; i < n1; i++) assert_int_equal(fscanf(f, "%lf", &y[i]), 1);
        for (size_t i = 0; i < rounds; i++) assert_int_equal(fscanf(f, "%lf", &replicates[i]), 1);
        for (size_t i = 0; i < rounds; i++) assert_int_equal(fscanf(f, "%lf", &studentised[i]), 1);
        for (int i = 0; i < 6; i++) assert_int_equal(fscanf(f, "%lf", &want[i]), 1);
        mr_bca_interval(replicates, (unsigned)rounds, want[0], mr_acceleration_means(x, n0, y, n1), 0.95, &low, &high);
        assert_true(near(low, want[2], 1e-9) && near(high, want[3], 1e-9));
        assert_true(mr_studentised_interval(studentised, (unsigned)rounds, want[0], want[1], 0.95, &low, &high));
        assert_true(near(low, want[4], 1e-10) && near(high, want[5], 1e-10));
        cases++;
    }
    fclose(f);
    assert_int_equal(cases, 3);
}

/* Two successes in forty rows: a draw in seven has none, so the studentised end is not finite and BCa stands in. */
static void an_infinite_end_gives_way_to_bca(void **state) {
    (void)state;
    double x[40] = {1, 1}, y[40] = {0};
    mr_rng rng;
    mr_boot_intervals b;
    mr_error err;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_rng_seed(&rng, 2);
    assert_int_equal(mr_boot_means(x, 40, y, 40, 999, 0.95, MR_BOOT_T, &rng, arena, NULL, &b, &err), MR_OK);
    assert_true(isnan(b.t_low) && b.low == b.bca_low && b.high == b.bca_high && isfinite(b.low));
    assert_string_equal(b.name, "BCa");
    y[3] = y[4] = y[5] = y[6] = y[7] = y[8] = y[9] = 1;
    assert_int_equal(mr_boot_means(x, 40, y, 40, 999, 0.95, MR_BOOT_T, &rng, arena, NULL, &b, &err), MR_OK);
    assert_string_equal(b.name, "bootstrap-t");
    assert_true(b.low == b.t_low && b.high == b.t_high && isfinite(b.high));
    assert_int_equal(mr_boot_means(x, 40, NULL, 0, 99, 0.999, MR_BOOT_T, &rng, arena, NULL, &b, &err), MR_OK);
    assert_string_equal(b.name, "BCa");
    mr_arena_free(&arena);
}

static void closed_forms_agree_with_the_general_bootstrap(void **state) {
    (void)state;
    double x[7] = {1, 4, 2, 8, 5, 7, 1.5}, y[5] = {9, 3, 3.5, 12, 6}, scratch[12], slow[50], fast[50], studentised[50];
    mr_rng a, b;
    mr_rng_seed(&a, 3);
    mr_rng_seed(&b, 3);
    assert_int_equal(mr_bootstrap(mr_mean_difference, x, 7, y, 5, 50, &a, NULL, scratch, slow), MR_OK);
    assert_int_equal(mr_bootstrap_means(x, 7, y, 5, 50, &b, NULL, fast, studentised), MR_OK);
    for (int i = 0; i < 50; i++) assert_true(near(fast[i], slow[i], 1e-13));
    mr_rng_seed(&a, 3);
    for (int i = 0; i < 50; i++) assert_true(near(studentised[i], studentise_again(x, 7, y, 5, &a), 1e-12));
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
    assert_int_equal(mr_bootstrap_means(same, 6, same, 3, 99, &rng, NULL, replicates, NULL), MR_OK);
    mr_bca_interval(replicates, 99, 0, mr_acceleration_means(same, 6, same, 3), 0.95, &low, &high);
    assert_true(low == 0 && high == 0);
    mr_bca_interval(replicates, 0, 0, 0, 0.95, &low, &high);
    assert_true(isnan(low) && isnan(high));
}

/* ---- coverage ---- */

typedef enum shape { NORMAL, EXPONENTIAL, LOGNORMAL } shape;
typedef struct design {
    shape shape;
    size_t n0, n1; /* n1 = 0: one mean */
    double sd0, sd1;
    double lowest, highest; /* what the bootstrap-t may cover */
} design;

typedef struct covered {
    unsigned bca, t, welch, d;
} covered;

enum { SIMULATIONS = 1000, ROUNDS = 999 };

/* Mean 0. */
static double deviate(mr_rng *rng, double sd, shape of) {
    if (of == NORMAL) return sd * mr_rng_normal(rng);
    if (of == EXPONENTIAL) return sd * (-log1p(-mr_rng_unit(rng)) - 1);
    return sd * (exp(mr_rng_normal(rng)) - exp(0.5));
}

static bool holds(double low, double high, double truth) { return low <= truth && truth <= high; }

static void simulate(const design *g, mr_rng *rng, covered *hits) {
    double x[200], y[200], low, high, truth = 0.5;
    mr_arena *arena = mr_arena_new(NULL, 1 << 16);
    mr_boot_intervals boot;
    mr_error err;
    for (size_t i = 0; i < g->n0; i++) x[i] = truth + deviate(rng, g->sd0, g->shape);
    for (size_t i = 0; i < g->n1; i++) y[i] = deviate(rng, g->sd1, g->shape);
    assert_int_equal(mr_boot_means(x, g->n0, y, g->n1, ROUNDS, 0.95, MR_BOOT_T, rng, arena, NULL, &boot, &err), MR_OK);
    hits->bca += holds(boot.bca_low, boot.bca_high, truth);
    hits->t += holds(boot.low, boot.high, truth);
    mr_arena_free(&arena);
    if (!g->n1) return;
    mr_summary a = mr_summarise(x, g->n0), b = mr_summarise(y, g->n1);
    mr_welch_interval(&a, &b, 0.95, &low, &high);
    hits->welch += holds(low, high, truth);
    mr_effect e = mr_effect_size(&a, &b, 0.95);
    hits->d += holds(e.d_low, e.d_high, truth);
}

static void intervals_cover_in_95_percent_of_simulations(void **state) {
    (void)state;
    static const char *const shapes[] = {"normal", "exponential", "lognormal"};
    static const design designs[] = {
        {NORMAL, 20, 20, 1, 1, 0.93, 0.97},       {NORMAL, 50, 50, 1, 1, 0.93, 0.97},
        {NORMAL, 30, 45, 1, 2, 0.93, 0.97},       {EXPONENTIAL, 20, 20, 1, 1, 0.93, 0.98},
        {EXPONENTIAL, 50, 50, 1, 1, 0.93, 0.98},  {EXPONENTIAL, 200, 200, 1, 1, 0.93, 0.97},
        {LOGNORMAL, 20, 20, 1, 1, 0.93, 0.99},    {LOGNORMAL, 50, 50, 1, 1, 0.93, 0.99},
        {LOGNORMAL, 200, 200, 1, 1, 0.93, 0.98},  {EXPONENTIAL, 20, 60, 1, 1, 0.93, 0.98},
        {LOGNORMAL, 20, 60, 1, 1, 0.92, 0.98},    {EXPONENTIAL, 20, 0, 1, 1, 0.92, 0.97},
        {EXPONENTIAL, 50, 0, 1, 1, 0.92, 0.97},   {LOGNORMAL, 20, 0, 1, 1, 0.87, 0.97},
        {LOGNORMAL, 50, 0, 1, 1, 0.90, 0.97},
    };
    for (size_t k = 0; k < sizeof designs / sizeof *designs; k++) {
        const design *g = &designs[k];
        covered hits = {0};
        mr_rng rng;
        mr_rng_seed(&rng, 100 + k);
        for (int i = 0; i < SIMULATIONS; i++) simulate(g, &rng, &hits);
        double all = SIMULATIONS, t = hits.t / all;
        print_message("%s, %zu and %zu rows: bootstrap-t %.3f, BCa %.3f", shapes[g->shape], g->n0, g->n1, t, hits.bca / all);
        if (g->n1) print_message(", Welch %.3f", hits.welch / all);
        if (g->shape == NORMAL) print_message(", d %.3f", hits.d / all);
        print_message("\n");
        assert_true(t >= g->lowest && t <= g->highest);
        assert_true(t >= hits.bca / all - 0.005);
        /* Welch's wants normal means, which two equally skewed groups nearly have; the noncentral t interval wants normal
         * groups of one variance. */
        if (g->n1) assert_true(hits.welch / all > 0.92);
        if (g->shape == NORMAL && g->sd0 == g->sd1) assert_true(fabs(hits.d / all - 0.95) <= 0.02);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bca_interval_agrees_with_scipy),
        cmocka_unit_test(intervals_agree_with_scipy_on_the_same_resamples),
        cmocka_unit_test(an_infinite_end_gives_way_to_bca),
        cmocka_unit_test(closed_forms_agree_with_the_general_bootstrap),
        cmocka_unit_test(degenerate_samples_give_their_value),
        cmocka_unit_test(intervals_cover_in_95_percent_of_simulations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
