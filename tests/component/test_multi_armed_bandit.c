/* Reference values: tests/vectors/bandit.py (policies and estimators written in NumPy from their papers). */
#include "tests/component/harness.h"
#include "worker/kit/off_policy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ARMS = 5, WIDTH = 4, LOGGED = 4000 };
static const uint64_t BILLION = 1000000000;
static const mr_bandit_options defaults = {.epsilon = 0.1, .alpha = 1, .lambda = 1, .noise = 0.5};

/* ---- the streams of bandit.py ---- */

static double unit(uint64_t i) { return (double)(mr_mix64(i) >> 11) * 0x1p-53; }

static void context(uint64_t stream, uint64_t t, double *x) {
    for (uint64_t f = 0; f < 3; f++) x[f] = 2 * unit(BILLION + (stream * 3000 + t) * 8 + f) - 1;
    x[3] = 1;
}

static double chance(int world, const double *x, size_t arm) {
    static const double fixed[2][ARMS] = {{0.1, 0.2, 0.3, 0.4, 0.5}, {0.03, 0.05, 0.02, 0.04, 0.08}};
    if (world < 2) return fixed[world][arm];
    double p = 0.5;
    for (uint64_t f = 0; f < 3; f++) p += 0.6 * (2 * unit(5 * BILLION + 8 * arm + f) - 1) * x[f];
    return fmin(1, fmax(0, p));
}

static double reward(int world, uint64_t stream, uint64_t t, const double *x, size_t arm) {
    return unit((stream * 3000 + t) * 8 + arm) < chance(world, x, arm);
}

/* ---- vectors ---- */

static FILE *vectors(void) {
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/bandit.txt", "r");
    assert_non_null(f);
    return f;
}

static mr_policy policy_named(const char *name) {
    for (int p = 0; p < MR_POLICIES; p++)
        if (!strcmp(name, mr_policy_names[p])) return (mr_policy)p;
    fail_msg("there is no policy %s", name);
    return MR_POLICIES;
}

static double play(int world, mr_policy policy, uint64_t stream, uint64_t rounds) {
    mr_bandit b;
    mr_error err;
    double regret = 0, x[WIDTH];
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_status status = mr_bandit_init(&b, policy, &defaults, ARMS, mr_policy_linear(policy) ? WIDTH : 0,
                                      stream + 1, arena, &err);
    assert_int_equal(status, MR_OK);
    for (uint64_t t = 0; t < rounds; t++) {
        double best = 0;
        context(stream, t, x);
        for (size_t a = 0; a < ARMS; a++) best = fmax(best, chance(world, x, a));
        size_t chosen = mr_bandit_choose(&b, x);
        regret += best - chance(world, x, chosen);
        mr_bandit_learn(&b, chosen, x, reward(world, stream, t, x, chosen));
    }
    mr_arena_free(&arena);
    return regret;
}

/* CATALOG: regret within 10 % of the reference policy on the same streams; the policies without chance are
 * the same. */
static void test_regret_is_that_of_the_reference_policies(void **state) {
    (void)state;
    char line[256], name[64];
    unsigned checked = 0;
    FILE *f = vectors();
    while (fgets(line, sizeof line, f)) {
        int world;
        unsigned long streams, rounds;
        double expected, sum = 0;
        if (sscanf(line, "regret %d %63s %lu %lu %lf", &world, name, &streams, &rounds, &expected) != 5)
            continue;
        mr_policy p = policy_named(name);
        for (uint64_t s = 0; s < streams; s++) sum += play(world, p, s, rounds);
        double regret = sum / (double)streams;
        bool exact = p == MR_POLICY_UCB1 || p == MR_POLICY_KL_UCB || p == MR_POLICY_LINUCB;
        print_message("world %d %-18s regret %.2f, reference %.2f\n", world, name, regret, expected);
        assert_true(fabs(regret / expected - 1) < (exact ? 1e-3 : 0.1));
        checked++;
    }
    fclose(f);
    assert_int_equal(checked, 12);
}

typedef struct logged {
    uint32_t arm[LOGGED];
    double reward[LOGGED], propensity[LOGGED], target[LOGGED], x[LOGGED * WIDTH];
    mr_choices log;
} logged;

static void make_log(logged *l) {
    for (uint64_t t = 0; t < LOGGED; t++) {
        l->arm[t] = (uint32_t)(ARMS * unit(7 * BILLION + t));
        context(999, t, l->x + t * WIDTH);
        l->reward[t] = reward(2, 999, t, l->x + t * WIDTH, l->arm[t]);
        l->propensity[t] = 0.1 + 0.2 * unit(8 * BILLION + t);
        l->target[t] = unit(9 * BILLION + t);
    }
    l->log = (mr_choices){LOGGED, ARMS, WIDTH, l->arm, l->reward, l->propensity, l->x};
}

static void check_replay(const logged *l, const char *name, double matched, double sum) {
    mr_bandit b;
    mr_replay r;
    mr_error err;
    mr_policy p = policy_named(name);
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    assert_int_equal(mr_bandit_init(&b, p, &defaults, ARMS, mr_policy_linear(p) ? WIDTH : 0, 1, arena, &err),
                     MR_OK);
    assert_int_equal(mr_replay_run(&b, &l->log, NULL, &r), MR_OK);
    assert_true((double)r.matched == matched && r.sum == sum);
    mr_arena_free(&arena);
}

static void check_values(const logged *l, double ips, double snips) {
    mr_off_policy v = mr_off_policy_value(&l->log, l->target, NULL, NULL, 0);
    assert_true(fabs(v.ips.value - ips) < 1e-12 && fabs(v.snips.value - snips) < 1e-12);
    assert_true(isnan(v.dr.value) && v.ips.low < ips && v.snips.high > snips);
    mr_off_policy cut = mr_off_policy_value(&l->log, l->target, NULL, NULL, 2);
    assert_true(cut.largest_weight == 2 && cut.effective > v.effective);
}

static void check_doubly_robust(const logged *l, double value) {
    static double target[LOGGED], half[LOGGED];
    for (size_t i = 0; i < LOGGED; i++) {
        target[i] = l->arm[i] == 1;
        half[i] = 0.5;
    }
    mr_off_policy v = mr_off_policy_value(&l->log, target, half, half, 0);
    assert_true(fabs(v.dr.value - value) < 1e-12);
}

static void test_replay_and_values_are_those_of_the_reference(void **state) {
    (void)state;
    static logged l;
    char line[256], name[64];
    unsigned checked = 0;
    FILE *f = vectors();
    make_log(&l);
    while (fgets(line, sizeof line, f)) {
        double a, b;
        if (sscanf(line, "replay %63s %lf %lf", name, &a, &b) == 3)
            check_replay(&l, name, a, b);
        else if (sscanf(line, "value %lf %lf", &a, &b) == 2)
            check_values(&l, a, b);
        else if (sscanf(line, "dr %lf", &a) == 1)
            check_doubly_robust(&l, a);
        else
            continue;
        checked++;
    }
    fclose(f);
    assert_int_equal(checked, 5);
}

static void test_probability_to_be_best_is_that_of_drawing(void **state) {
    (void)state;
    static const double sums[] = {3, 9, 30, 0, 12}, pulls[] = {10, 30, 100, 2, 50};
    mr_arm_belief belief[ARMS];
    double p[ARMS], total = 0;
    char line[256];
    mr_error err;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    for (size_t a = 0; a < ARMS; a++) belief[a] = (mr_arm_belief){1 + sums[a], 1 + pulls[a] - sums[a]};
    assert_int_equal(mr_probability_best(belief, ARMS, true, p, arena, NULL, &err), MR_OK);
    FILE *f = vectors();
    while (fgets(line, sizeof line, f)) {
        size_t i;
        double drawn;
        if (sscanf(line, "best %zu %lf", &i, &drawn) != 2) continue;
        assert_true(fabs(p[i] - drawn) < 5e-4);
        total += p[i];
    }
    fclose(f);
    assert_true(fabs(total - 1) < 1e-9);
    mr_arena_free(&arena);
}

/* On logs of a random policy, the doubly robust value of always taking arm 1 covers its true value in 95 % of
 * cases. */
static void test_intervals_of_values_cover(void **state) {
    (void)state;
    static double target[1000], model[1000];
    static uint32_t arm[1000];
    static double r[1000], p[1000];
    unsigned ips = 0, snips = 0, dr = 0, rounds = 1000;
    mr_rng rng;
    mr_rng_seed(&rng, 4);
    for (unsigned k = 0; k < rounds; k++) {
        for (size_t i = 0; i < 1000; i++) {
            arm[i] = (uint32_t)mr_rng_below(&rng, ARMS);
            r[i] = mr_rng_unit(&rng) < chance(0, NULL, arm[i]);
            p[i] = 0.2;
            target[i] = arm[i] == 1;
            model[i] = 0.3;
        }
        mr_choices log = {1000, ARMS, 0, arm, r, p, NULL};
        mr_off_policy v = mr_off_policy_value(&log, target, model, model, 0);
        ips += v.ips.low < 0.2 && v.ips.high > 0.2;
        snips += v.snips.low < 0.2 && v.snips.high > 0.2;
        dr += v.dr.low < 0.2 && v.dr.high > 0.2;
    }
    print_message("coverage of 95 %% intervals: ips %.3f snips %.3f dr %.3f\n", ips / (double)rounds,
                  snips / (double)rounds, dr / (double)rounds);
    assert_in_range(ips, 930, 970);
    assert_in_range(snips, 930, 970);
    assert_in_range(dr, 930, 970);
}

/* ---- the component ---- */

static const mr_json *replayed(harness *h, const char *policy) {
    for (size_t i = 0; i < harness_length(h, 0, "replay"); i++) {
        char path[64];
        snprintf(path, sizeof path, "replay[%zu].policy", i);
        if (strcmp(harness_string(h, 0, path), policy)) continue;
        snprintf(path, sizeof path, "replay[%zu]", i);
        return harness_at(h, 0, path);
    }
    fail_msg("%s was not replayed", policy);
    return NULL;
}

static double member(const mr_json *map, const char *name) {
    double v = NAN;
    mr_json_number(mr_json_member(map, name), &v);
    return v;
}

static void test_open_bandit_replays_as_the_reference(void **state) {
    (void)state;
    char line[256], part[32], name[64], file[128], last[32] = "";
    harness h;
    FILE *f = vectors();
    while (fgets(line, sizeof line, f)) {
        double matched, sum;
        if (sscanf(line, "obd %31s %63s %lf %lf", part, name, &matched, &sum) != 4) continue;
        if (strcmp(last, part)) {
            if (*last) harness_free(&h);
            snprintf(file, sizeof file, "bandit/open_bandit_men_%s.csv", part);
            harness_file(&h, "multi_armed_bandit", file,
                         "item=item_id outcome=click treatment=propensity_score");
            harness_run(&h, 1000, 7);
            snprintf(last, sizeof last, "%s", part);
        }
        const mr_json *got = replayed(&h, name);
        assert_true(member(got, "matched") == matched);
        assert_true(fabs(member(got, "mean") * matched - sum) < 1e-9);
    }
    fclose(f);
    if (*last) harness_free(&h);
}

static char *csv_of(const logged *l, size_t rows) {
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    fprintf(f, "arm,reward,p,target,x0,x1,x2,x3\n");
    for (size_t i = 0; i < rows; i++) {
        fprintf(f, "arm %u,%g,%.17g,%.17g", l->arm[i], l->reward[i], l->propensity[i], l->target[i]);
        for (size_t j = 0; j < WIDTH; j++) fprintf(f, ",%.17g", l->x[i * WIDTH + j]);
        fprintf(f, "\n");
    }
    fclose(f);
    return text;
}

static const char roles[] = "item=arm outcome=reward treatment=p score=target";

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    static logged l;
    static const uint32_t sizes[] = {1024, 1300, LOGGED};
    make_log(&l);
    char *text = csv_of(&l, LOGGED);
    harness h;
    mr_buf first;
    harness_text(&h, "multi_armed_bandit", text, roles);
    for (int sampled = 0; sampled < 2; sampled++) {
        mr_buf_init(&first, NULL, 1 << 24);
        harness_set(&h, sampled ? "sample=900" : "");
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            harness_run(&h, sizes[i], 7);
            mr_span bytes = harness_bytes(&h, 0);
            if (i == 0) mr_buf_put(&first, bytes.data, bytes.len);
            assert_true(mr_span_eq(bytes, mr_buf_span(&first)));
        }
        assert_true(harness_number(&h, 0, "rows") == LOGGED);
        assert_true(harness_number(&h, 0, "used") == (sampled ? 900 : LOGGED));
        mr_buf_free(&first);
    }
    harness_free(&h);
    free(text);
}

static void test_arms_and_the_given_policy_are_valued(void **state) {
    (void)state;
    static logged l;
    make_log(&l);
    char *text = csv_of(&l, LOGGED), path[64];
    harness h;
    harness_text(&h, "multi_armed_bandit", text, roles);
    harness_set(&h, "alpha=1.5");
    harness_run(&h, 1000, 7);
    mr_off_policy v = mr_off_policy_value(&l.log, l.target, NULL, NULL, 0);
    assert_string_equal(harness_string(&h, 0, "off_policy[0].policy"), "given");
    assert_true(fabs(harness_number(&h, 0, "off_policy[0].ips") - v.ips.value) < 1e-12);
    assert_true(fabs(harness_number(&h, 0, "off_policy[0].snips") - v.snips.value) < 1e-12);
    double chances = 0;
    for (uint32_t a = 0; a < ARMS; a++) {
        double pulls = 0, sum = 0, ips = 0;
        for (size_t i = 0; i < LOGGED; i++) {
            if (l.arm[i] != a) continue;
            pulls++;
            sum += l.reward[i];
            ips += l.reward[i] / l.propensity[i] / LOGGED;
        }
        snprintf(path, sizeof path, "arms[%u].ucb1", a);
        double ucb = sum / pulls + 1.5 * sqrt(2 * log(LOGGED) / pulls);
        assert_true(fabs(harness_number(&h, 0, path) - ucb) < 1e-12);
        snprintf(path, sizeof path, "arms[%u].ips", a);
        assert_true(fabs(harness_number(&h, 0, path) - ips) < 1e-12);
        snprintf(path, sizeof path, "arms[%u].beta[1]", a);
        assert_true(harness_number(&h, 0, path) == 1 + pulls - sum);
        snprintf(path, sizeof path, "arms[%u].probability_best", a);
        chances += harness_number(&h, 0, path);
    }
    assert_true(fabs(chances - 1) < 1e-9);
    assert_int_equal(harness_length(&h, 0, "linear"), ARMS);
    harness_free(&h);
    free(text);
}

static void test_a_stored_model_chooses_arms_for_new_rows(void **state) {
    (void)state;
    static logged l;
    make_log(&l);
    char *text = csv_of(&l, LOGGED), path[64];
    harness h;
    mr_buf model;
    mr_error err;
    mr_bandit b;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_buf_init(&model, NULL, 1 << 24);
    assert_int_equal(mr_bandit_init(&b, MR_POLICY_LINUCB, &defaults, ARMS, WIDTH, 1, arena, &err), MR_OK);
    for (size_t i = 0; i < LOGGED; i++) mr_bandit_learn(&b, l.arm[i], l.x + i * WIDTH, l.reward[i]);
    harness_text(&h, "multi_armed_bandit", text, roles);
    harness_run(&h, 1000, 7);
    mr_span bytes = harness_artifact(&h, 0, "model");
    mr_buf_put(&model, bytes.data, bytes.len);
    harness_set(&h, "policy=linucb");
    h.batch.rows = 200;
    harness_apply(&h, mr_buf_span(&model), 2000, 7);
    for (size_t i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "arm %zu", mr_bandit_choose(&b, l.x + i * WIDTH));
        snprintf(path, sizeof path, "choices[%zu]", i);
        assert_string_equal(harness_string(&h, 0, path), name);
    }
    mr_rng r;
    mr_rng_seed(&r, 31);
    for (int i = 0; i < 300; i++) {
        uint8_t *at = model.data + mr_rng_below(&r, model.len), kept = *at;
        *at = (uint8_t)mr_rng_next(&r);
        mr_artifact broken = {"model", {model.data, i % 10 ? model.len : mr_rng_below(&r, model.len)}};
        mr_local run = {.component = h.component, .config = h.config, .batch_rows = 2000, .model = &broken};
        mr_local_results results = {0};
        mr_status status = mr_run_local(&run, &h.batch, &results, &h.err);
        assert_true(status == MR_OK || *h.err.text);
        mr_local_results_free(&results);
        *at = kept;
    }
    mr_buf_free(&model);
    mr_arena_free(&arena);
    harness_free(&h);
    free(text);
}

static void refused(const char *text, const char *bound, const char *word) {
    harness h;
    harness_text(&h, "multi_armed_bandit", text, bound);
    assert_int_equal(harness_try(&h, 4, 7), MR_E_INVALID);
    if (!strstr(h.err.text, word)) fail_msg("'%s' does not say '%s'", h.err.text, word);
    harness_free(&h);
}

static void test_bad_input_is_refused_with_its_place(void **state) {
    (void)state;
    refused("a,y,p\nx,1,0.5\ny,0,0\n", "item=a outcome=y treatment=p", "row 1: the propensity");
    refused("a,y,p\nx,1,0.5\ny,0,1.5\n", "item=a outcome=y treatment=p", "row 1: the propensity");
    refused("a,y\nx,1\nx,0\n", "item=a outcome=y", "one arm");
    refused("a,y\n,1\n,0\n", "item=a outcome=y", "none of 2 rows");
    refused("a,z\nx,1\ny,2\n", "item=a", "outcome");
    refused("a,y,f\nx,1,1\ny,0,\n", "item=a outcome=y", "column 'f'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regret_is_that_of_the_reference_policies),
        cmocka_unit_test(test_replay_and_values_are_those_of_the_reference),
        cmocka_unit_test(test_probability_to_be_best_is_that_of_drawing),
        cmocka_unit_test(test_intervals_of_values_cover),
        cmocka_unit_test(test_open_bandit_replays_as_the_reference),
        cmocka_unit_test(test_any_batches_give_the_same_bytes),
        cmocka_unit_test(test_arms_and_the_given_policy_are_valued),
        cmocka_unit_test(test_a_stored_model_chooses_arms_for_new_rows),
        cmocka_unit_test(test_bad_input_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
