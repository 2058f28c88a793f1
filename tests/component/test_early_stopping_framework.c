/* Reference values: Jennison and Turnbull 2000, Group Sequential Methods with Applications to Clinical
 * Trials, tables 2.1 to 2.4; tests/vectors/stopping.py (NumPy, SciPy). */
#include "tests/component/harness.h"
#include "worker/kit/stream.h"
#include "worker/kit/trials.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- bounds ---- */

typedef struct printed {
    mr_bound_kind kind;
    double alpha;
    size_t looks;
    double constant, ratio80, ratio90; /* the ratios for power 0.8 and 0.9, 0: not looked up */
} printed;

/* Two-sided tests: constants C_B and C_P, and ratios R_B and R_P of the largest to the fixed sample. */
static const printed tables[] = {
    {MR_BOUND_POCOCK, 0.05, 2, 2.178, 1.110, 1.100},
    {MR_BOUND_POCOCK, 0.05, 3, 2.289, 1.166, 1.151},
    {MR_BOUND_POCOCK, 0.05, 4, 2.361, 1.202, 1.183},
    {MR_BOUND_POCOCK, 0.05, 5, 2.413, 1.229, 1.207},
    {MR_BOUND_POCOCK, 0.05, 10, 2.555, 1.301, 1.271},
    {MR_BOUND_POCOCK, 0.01, 2, 2.772, 0, 0},
    {MR_BOUND_POCOCK, 0.01, 5, 2.986, 0, 0},
    {MR_BOUND_POCOCK, 0.1, 2, 1.875, 0, 0},
    {MR_BOUND_POCOCK, 0.1, 5, 2.122, 0, 0},
    {MR_BOUND_OBRIEN_FLEMING, 0.05, 2, 1.977, 1.008, 1.007},
    {MR_BOUND_OBRIEN_FLEMING, 0.05, 3, 2.004, 1.017, 1.016},
    {MR_BOUND_OBRIEN_FLEMING, 0.05, 4, 2.024, 1.024, 1.022},
    {MR_BOUND_OBRIEN_FLEMING, 0.05, 5, 2.040, 1.028, 1.026},
    {MR_BOUND_OBRIEN_FLEMING, 0.05, 10, 2.087, 1.040, 1.037},
    {MR_BOUND_OBRIEN_FLEMING, 0.01, 2, 2.580, 0, 0},
    {MR_BOUND_OBRIEN_FLEMING, 0.01, 5, 2.621, 0, 0},
    {MR_BOUND_OBRIEN_FLEMING, 0.1, 2, 1.678, 0, 0},
    {MR_BOUND_OBRIEN_FLEMING, 0.1, 5, 1.751, 0, 0},
};

static void as_printed(double got, double expected) {
    if (expected != 0 && fabs(got - expected) > 0.00051) fail_msg("%.6f is not %.3f", got, expected);
}

static void test_bounds_are_the_printed_ones(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const printed *t = &tables[i];
        mr_group_design d = mr_group_design_of(t->kind, t->looks, t->alpha, 0.8, true);
        as_printed(d.constant, t->constant);
        as_printed(d.inflation, t->ratio80);
        assert_true(fabs(d.spent[t->looks - 1] - t->alpha) < 1e-9);
        if (t->ratio90 == 0) continue;
        d = mr_group_design_of(t->kind, t->looks, t->alpha, 0.9, true);
        as_printed(d.inflation, t->ratio90);
    }
}

/* What the Lan-DeMets program and R's ldbounds print for five looks at 0.05. */
static void test_spending_bounds_are_the_known_ones(void **state) {
    (void)state;
    static const double obrien[] = {4.8769, 3.3570, 2.6803, 2.2898, 2.0310};
    static const double pocock[] = {2.4380, 2.4268, 2.4101, 2.3966, 2.3859};
    mr_group_design o = mr_group_design_of(MR_BOUND_SPEND_OBRIEN, 5, 0.05, 0.8, true);
    mr_group_design p = mr_group_design_of(MR_BOUND_SPEND_POCOCK, 5, 0.05, 0.8, true);
    for (size_t k = 0; k < 5; k++) {
        assert_true(fabs(o.z[k] - obrien[k]) < 2e-4);
        assert_true(fabs(p.z[k] - pocock[k]) < 2e-4);
        double t = (double)(k + 1) / 5;
        assert_true(fabs(p.spent[k] - 0.05 * log(1 + (M_E - 1) * t)) < 1e-9);
    }
    assert_true(fabs(o.spent[4] - 0.05) < 1e-9);
    mr_group_design one = mr_group_design_of(MR_BOUND_POCOCK, 1, 0.05, 0.8, false);
    assert_true(fabs(one.z[0] - 1.6448536269514722) < 1e-8 && fabs(one.inflation - 1) < 1e-8);
}

static FILE *vectors(void) {
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/stopping.txt", "r");
    assert_non_null(f);
    return f;
}

/* The designs whose printed digits are above, to more digits. */
static void check_exact_design(FILE *f) {
    int kind;
    double alpha, constant, ratio[2];
    size_t looks;
    assert_int_equal(fscanf(f, "%d %lf %zu %lf %lf %lf", &kind, &alpha, &looks, &constant, &ratio[0], &ratio[1]), 6);
    for (int i = 0; i < 2; i++) {
        mr_group_design d = mr_group_design_of(kind ? MR_BOUND_OBRIEN_FLEMING : MR_BOUND_POCOCK, looks, alpha,
                                               i ? 0.9 : 0.8, true);
        assert_true(fabs(d.constant - constant) < 1e-7);
        assert_true(fabs(d.inflation - ratio[i]) < 1e-7);
    }
}

static void test_crossing_designs_and_predictive_power_are_those_of_scipy(void **state) {
    (void)state;
    char word[32];
    unsigned crossed = 0, predicted = 0, solved = 0;
    FILE *f = vectors();
    while (fscanf(f, "%31s", word) == 1) {
        if (!strcmp(word, "cross")) {
            size_t looks;
            int two;
            double drift, v[30], upper[10], lower[10];
            assert_int_equal(fscanf(f, "%zu %d %lf", &looks, &two, &drift), 3);
            for (size_t i = 0; i < 3 * looks; i++) assert_int_equal(fscanf(f, "%lf", &v[i]), 1);
            mr_crossing(v, looks, two, drift, upper, lower);
            for (size_t k = 0; k < looks; k++) {
                assert_true(fabs(upper[k] - v[looks + k]) < 1e-9);
                assert_true(fabs(lower[k] - v[2 * looks + k]) < 1e-9);
            }
            crossed++;
        } else if (!strcmp(word, "predictive")) {
            double z, t, bound, p;
            int two;
            assert_int_equal(fscanf(f, "%lf %lf %lf %d %lf", &z, &t, &bound, &two, &p), 5);
            assert_true(fabs(mr_predictive_power(z, t, bound, two) - p) < 1e-9);
            predicted++;
        } else if (!strcmp(word, "constant")) {
            check_exact_design(f);
            solved++;
        }
    }
    fclose(f);
    assert_true(crossed == 5 && predicted == 4 && solved == 18);
}

/* ---- error rates and savings, by simulation ---- */

typedef struct tally {
    unsigned rounds, effects;
    double rows;
} tally;

enum { FIXED = 385 }; /* rows at which one test of 0.5 against 0.5714 has power 0.8 at 0.05, two-sided */

static tally simulate(double p, const mr_group_design *d, size_t planned, unsigned rounds, uint64_t seed) {
    tally t = {.rounds = rounds};
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    for (unsigned i = 0; i < rounds; i++) {
        double hits = 0;
        size_t row = 0, k = 0;
        bool stop = false;
        for (; k < d->looks && !stop; k++) {
            for (size_t until = (k + 1) * planned / d->looks; row < until; row++)
                hits += mr_rng_unit(&rng) < p;
            double z = (hits - 0.5 * (double)row) / sqrt(0.25 * (double)row);
            stop = fabs(z) >= d->z[k];
        }
        t.effects += stop;
        t.rows += (double)row / rounds;
    }
    return t;
}

static void test_group_sequential_errors_hold_and_rows_are_saved(void **state) {
    (void)state;
    for (int kind = 0; kind < MR_BOUNDS; kind++) {
        mr_group_design d = mr_group_design_of((mr_bound_kind)kind, 5, 0.05, 0.8, true);
        size_t planned = (size_t)ceil(d.inflation * FIXED);
        tally null = simulate(0.5, &d, planned, 20000, 1), large = simulate(0.65, &d, planned, 2000, 2);
        tally there = simulate(0.5714, &d, planned, 5000, 3);
        print_message("%-26s type I %.4f, power %.3f, mean rows: %.0f with the effect, %.0f with twice it, "
                      "one look %d\n",
                      mr_bound_names[kind], null.effects / 20000.0, there.effects / 5000.0, there.rows,
                      large.rows, FIXED);
        assert_true(null.effects / 20000.0 <=
                    0.05 + 3 * sqrt(0.05 * 0.95 / 20000)); /* of Monte Carlo noise */
        assert_true(there.effects / 5000.0 > 0.78);
        assert_true(large.rows < 0.7 * FIXED);
    }
}

static tally simulate_sprt(double p, double effect, unsigned rounds, bool two_groups, uint64_t seed) {
    enum { MOST = 6000 };
    static double outcome[MOST];
    static uint8_t group[MOST];
    tally t = {.rounds = rounds};
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    for (unsigned i = 0; i < rounds; i++) {
        for (size_t r = 0; r < MOST; r++) {
            group[r] = mr_rng_below(&rng, 2) != 0;
            outcome[r] = mr_rng_unit(&rng) < (two_groups ? 0.4 + (group[r] ? p : 0) : p);
        }
        mr_stream s = {MOST, outcome, two_groups ? group : NULL, true, 0.5};
        mr_sprt got = mr_sprt_run(&s, effect, 0.05, 0.2);
        t.effects += got.decision > 0;
        t.rows += (double)got.rows / rounds;
    }
    return t;
}

/* A test of one look of 0.5 against 0.6, one-sided at 0.05 with power 0.8, takes 153 rows. */
static void test_sprt_keeps_its_errors_with_half_the_rows(void **state) {
    (void)state;
    mr_sprt_bounds b = mr_sprt_bounds_of(0.05, 0.2);
    assert_true(fabs(b.high - log(16)) < 1e-12 && fabs(b.low - log(0.2 / 0.95)) < 1e-12);
    tally null = simulate_sprt(0.5, 0.1, 3000, false, 5), there = simulate_sprt(0.6, 0.1, 3000, false, 6);
    print_message("sprt, one group: type I %.4f, power %.3f, mean rows %.0f and %.0f; one look 153\n",
                  null.effects / 3000.0, there.effects / 3000.0, null.rows, there.rows);
    assert_true(null.effects <= 150 + 36 && there.effects >= 2400 - 66);
    assert_true(null.rows < 0.7 * 153 && there.rows < 0.7 * 153);
    tally same = simulate_sprt(0, 0.15, 2000, true, 7), differ = simulate_sprt(0.15, 0.15, 2000, true, 8);
    print_message("sprt, two groups: type I %.4f, power %.3f, mean rows %.0f and %.0f\n",
                  same.effects / 2000.0, differ.effects / 2000.0, same.rows, differ.rows);
    assert_true(same.effects <= 100 + 30 && differ.effects >= 1600 - 54);
}

/* ---- trials ---- */

static double unit(uint64_t i) { return (double)(mr_mix64(i) >> 11) * 0x1p-53; }

enum { TRIALS = 30, STEPS = 27 };

static size_t steps_of(size_t trial) { return trial % 7 == 3 ? 10 : STEPS; }

static mr_report report_of(uint64_t pool, size_t trial, size_t step) {
    double level = unit(1000000 * (pool + 1) + trial),
           speed = 0.05 + 0.3 * unit(2000000 * (pool + 1) + trial);
    double noise = 0.05 * unit(1000000000 * (pool + 1) + 100 * trial + step);
    return (mr_report){(uint32_t)trial, (double)step, level * (1 - exp(-speed * (double)step)) + noise};
}

/* The reports of stopping.py: pool 0 trial by trial, pool 1 step by step. */
static size_t make_pool(uint64_t pool, mr_report *row) {
    size_t n = 0, outer = pool ? STEPS : TRIALS;
    for (size_t i = 0; i < outer; i++)
        for (size_t j = 0; j < (pool ? TRIALS : STEPS); j++) {
            size_t trial = pool ? j : i, step = (pool ? i : j) + 1;
            if (step <= steps_of(trial)) row[n++] = report_of(pool, trial, step);
        }
    return n;
}

static void play(const mr_trials *t, const char *rule, mr_arena *arena, mr_stopping *s) {
    mr_error err = {0};
    mr_status status = !strcmp(rule, "median")      ? mr_median_rule(t, 3, 5, arena, NULL, s, &err)
                       : !strcmp(rule, "asha")      ? mr_asha(t, 1, 3, arena, NULL, s, &err)
                       : !strcmp(rule, "hyperband") ? mr_hyperband(t, 1, 3, arena, NULL, s, &err)
                                                    : mr_successive_halving(t, 1, 3, arena, NULL, s, &err);
    assert_int_equal(status, MR_OK);
}

static void test_rules_stop_where_the_reference_stops(void **state) {
    (void)state;
    static mr_report row[TRIALS * STEPS];
    char line[512], rule[32];
    unsigned checked = 0;
    FILE *f = vectors();
    while (fgets(line, sizeof line, f)) {
        unsigned pool;
        size_t used, finished;
        int at;
        if (sscanf(line, "played %u %31s %zu %zu%n", &pool, rule, &used, &finished, &at) != 4) continue;
        mr_arena *arena = mr_arena_new(NULL, 1 << 22);
        mr_trials t;
        mr_stopping s;
        mr_error err;
        assert_int_equal(mr_trials_init(&t, row, make_pool(pool, row), TRIALS, arena, &err), MR_OK);
        play(&t, rule, arena, &s);
        char *rest = line + at;
        for (size_t k = 0; k < TRIALS; k++) assert_int_equal(s.kept[k], strtoul(rest, &rest, 10));
        assert_true(s.used == used && s.finished == finished);
        mr_arena_free(&arena);
        checked++;
    }
    fclose(f);
    assert_int_equal(checked, 8);
}

static void test_hyperband_brackets_are_those_of_the_paper(void **state) {
    (void)state;
    static const size_t n[] = {81, 34, 15, 8, 5}; /* Li et al. 2018, table 1: R = 81, eta = 3 */
    mr_bracket b[MR_BRACKETS_MAX];
    assert_int_equal(mr_hyperband_brackets(1, 3, 81, b), 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(b[i].n, n[i]);
        assert_int_equal(b[i].s, 4 - i);
        assert_true(fabs(b[i].r - pow(3, (double)i)) < 1e-9);
    }
}

/* Learning curves whose levels differ: what a rule's best trial would reach at its end, beside the best trial
 * of all. The quality is equal when the mean shortfall is under 1 % of the level; at least 30 % of the
 * reports are saved. */
static void test_reports_are_saved_at_equal_quality(void **state) {
    (void)state;
    static const char *const rules[] = {"median", "asha", "successive_halving"};
    enum { POOLS = 60, RUNS = 60, LENGTH = 81 };
    static mr_report row[RUNS * LENGTH];
    double reached[3] = {0}, used[3] = {0}, best = 0;
    mr_rng rng;
    mr_rng_seed(&rng, 9);
    for (unsigned pool = 0; pool < POOLS; pool++) {
        mr_arena *arena = mr_arena_new(NULL, 1 << 24);
        mr_trials t;
        mr_error err;
        double level[RUNS], top = 0;
        size_t n = 0;
        for (uint32_t i = 0; i < RUNS; i++) {
            double speed = 0.15 + 0.1 * mr_rng_unit(&rng);
            level[i] = 0.5 + 0.4 * mr_rng_unit(&rng);
            top = fmax(top, level[i]);
            for (unsigned s = 1; s <= LENGTH; s++)
                row[n++] = (mr_report){i, s, level[i] * (1 - exp(-speed * s)) + 0.005 * mr_rng_normal(&rng)};
        }
        assert_int_equal(mr_trials_init(&t, row, n, RUNS, arena, &err), MR_OK);
        for (size_t r = 0; r < 3; r++) {
            mr_stopping s;
            play(&t, rules[r], arena, &s);
            reached[r] += level[s.best_trial] / POOLS;
            used[r] += (double)s.used / (double)n / POOLS;
        }
        best += top / POOLS;
        mr_arena_free(&arena);
    }
    for (size_t r = 0; r < 3; r++)
        print_message("%-20s %.0f %% of the reports saved, level reached %.4f, best %.4f\n", rules[r],
                      100 * (1 - used[r]), reached[r], best);
    for (size_t r = 0; r < 2; r++) assert_true(used[r] < 0.7 && reached[r] > 0.99 * best);
    assert_true(used[2] < 0.2 && reached[2] > 0.9 * best);
}

/* ---- the component ---- */

static char *pool_csv(uint64_t pool, bool steps) {
    static mr_report row[TRIALS * STEPS];
    size_t n = make_pool(pool, row), len = 0;
    char *text = NULL;
    FILE *f = open_memstream(&text, &len);
    fprintf(f, "run,step,value\n");
    for (size_t i = 0; i < n; i++)
        fprintf(f, "run%u,%g,%.17g\n", row[i].trial, steps ? row[i].step : 0.0, row[i].value);
    fclose(f);
    return text;
}

static void test_trials_are_played_from_rows(void **state) {
    (void)state;
    char *text = pool_csv(1, true), path[64];
    static mr_report row[TRIALS * STEPS];
    static const char *const rules[] = {"median", "successive_halving", "asha", "hyperband"};
    mr_arena *arena = mr_arena_new(NULL, 1 << 22);
    mr_trials t;
    mr_error err;
    harness h;
    assert_int_equal(mr_trials_init(&t, row, make_pool(1, row), TRIALS, arena, &err), MR_OK);
    harness_text(&h, "early_stopping_framework", text, "item=run time=step outcome=value");
    harness_run(&h, 100, 7);
    assert_string_equal(harness_string(&h, 0, "kind"), "trials");
    for (size_t r = 0; r < 4; r++) {
        mr_stopping s;
        play(&t, rules[r], arena, &s);
        snprintf(path, sizeof path, "rules[%zu].rule", r);
        assert_string_equal(harness_string(&h, 0, path), rules[r]);
        snprintf(path, sizeof path, "rules[%zu].used", r);
        assert_true(harness_number(&h, 0, path) == (double)s.used);
        snprintf(path, sizeof path, "stops[4].%s", rules[r]);
        assert_true(harness_number(&h, 0, path) == (double)s.kept[4]);
    }
    harness_free(&h);
    mr_arena_free(&arena);
    free(text);
}

/* Coin throws with 0.5 and 0.62, drawn for the test: what the kit says of the same rows. */
static char *groups_csv(size_t n, double *outcome, uint8_t *group) {
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    fprintf(f, "arm,ok,value\n");
    for (size_t i = 0; i < n; i++) {
        group[i] = unit(4 * i) < 0.5;
        outcome[i] = unit(4 * i + 1) < (group[i] ? 0.62 : 0.5);
        fprintf(f, "%d,%g,%.17g\n", group[i] ? 7 : 3, outcome[i], outcome[i] + unit(4 * i + 2));
    }
    fclose(f);
    return text;
}

static void test_groups_are_tested_at_the_looks(void **state) {
    (void)state;
    enum { N = 2600 };
    static double outcome[N];
    static uint8_t group[N];
    char *text = groups_csv(N, outcome, group), path[64];
    harness h;
    harness_text(&h, "early_stopping_framework", text, "treatment=arm outcome=ok");
    harness_set(&h, "looks=4 effect=0.12");
    harness_run(&h, 100, 7);
    assert_string_equal(harness_string(&h, 0, "kind"), "two groups");
    assert_int_equal(harness_length(&h, 0, "looks"), 4);
    for (size_t k = 0; k < 4; k++) {
        double n[2] = {0}, hits[2] = {0};
        for (size_t i = 0; i < (k + 1) * N / 4; i++) {
            n[group[i]]++;
            hits[group[i]] += outcome[i];
        }
        double p = (hits[0] + hits[1]) / (n[0] + n[1]);
        double z = (hits[1] / n[1] - hits[0] / n[0]) / sqrt(p * (1 - p) * (1 / n[0] + 1 / n[1]));
        snprintf(path, sizeof path, "looks[%zu].z", k);
        assert_true(fabs(harness_number(&h, 0, path) - z) < 1e-9);
    }
    mr_stream s = {N, outcome, group, true, 0.5};
    mr_sprt t = mr_sprt_run(&s, 0.12, 0.05, 0.2);
    assert_true(harness_number(&h, 0, "sprt.rows") == (double)t.rows && t.decision == 1);
    assert_string_equal(harness_string(&h, 0, "sprt.decision"), "effect");
    assert_string_equal(harness_string(&h, 0, "decisions[1].decision"), "effect");
    harness_free(&h);
    free(text);
}

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    enum { N = 2600 };
    static double outcome[N];
    static uint8_t group[N];
    static const uint32_t sizes[] = {1024, 1500, N};
    char *text[] = {groups_csv(N, outcome, group), pool_csv(1, true)};
    static const char *const roles[] = {"treatment=arm outcome=value", "item=run time=step outcome=value"};
    for (int i = 0; i < 2; i++) {
        harness h;
        mr_buf first;
        mr_buf_init(&first, NULL, 1 << 24);
        harness_text(&h, "early_stopping_framework", text[i], roles[i]);
        for (size_t k = 0; k < 3; k++) {
            harness_run(&h, sizes[k], 7);
            mr_span bytes = harness_bytes(&h, 0);
            if (k == 0) mr_buf_put(&first, bytes.data, bytes.len);
            assert_true(mr_span_eq(bytes, mr_buf_span(&first)));
        }
        mr_buf_free(&first);
        harness_free(&h);
        free(text[i]);
    }
}

static void refused(const char *text, const char *roles, const char *options, const char *word) {
    harness h;
    harness_text(&h, "early_stopping_framework", text, roles);
    if (options) harness_set(&h, options);
    assert_int_equal(harness_try(&h, 4, 7), MR_E_INVALID);
    if (!strstr(h.err.text, word)) fail_msg("'%s' does not say '%s'", h.err.text, word);
    harness_free(&h);
}

static void test_bad_input_is_refused_with_its_place(void **state) {
    (void)state;
    refused("a\n1\n2\n", NULL, NULL, "no column holds outcomes");
    refused("t,y\n0,1\n0,0\n", "treatment=t outcome=y", NULL, "same treatment");
    refused("t,y\n0,1\n2,0\n1,1\n", "treatment=t outcome=y", NULL, "row 2");
    refused("r,s,y\na,1,1\na,1,2\n", "item=r time=s outcome=y", NULL, "row 1: trial 'a'");
    refused("y\n0\n1\n", "outcome=y", "null=0.95", "between");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_are_the_printed_ones),
        cmocka_unit_test(test_spending_bounds_are_the_known_ones),
        cmocka_unit_test(test_crossing_designs_and_predictive_power_are_those_of_scipy),
        cmocka_unit_test(test_group_sequential_errors_hold_and_rows_are_saved),
        cmocka_unit_test(test_sprt_keeps_its_errors_with_half_the_rows),
        cmocka_unit_test(test_rules_stop_where_the_reference_stops),
        cmocka_unit_test(test_hyperband_brackets_are_those_of_the_paper),
        cmocka_unit_test(test_reports_are_saved_at_equal_quality),
        cmocka_unit_test(test_trials_are_played_from_rows),
        cmocka_unit_test(test_groups_are_tested_at_the_looks),
        cmocka_unit_test(test_any_batches_give_the_same_bytes),
        cmocka_unit_test(test_bad_input_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
