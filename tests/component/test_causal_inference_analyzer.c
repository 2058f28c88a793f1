/* causal_inference_analyzer and the kit under it (independence, pc, glm, effects, refute), against
 * tests/vectors/causal.py, the true graphs in the shared data, and simulations with known effects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/component/harness.h"
#include "worker/kit/pc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NAME[] = "causal_inference_analyzer";
enum { COLUMNS_MAX = 40, ROWS_MAX = 10000, EDGES_MAX = 64 };

/* ---- data ---- */

static double table[ROWS_MAX * COLUMNS_MAX];
static uint32_t table_rows, table_width;

/* Numbers between blanks, under a header line. */
static void read_table(const char *name) {
    char path[4096], relative[128], line[8192];
    snprintf(relative, sizeof relative, "causal/%s", name);
    harness_data(relative, path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    table_width = 0;
    for (char *at = strtok(line, " \t\r\n"); at; at = strtok(NULL, " \t\r\n")) table_width++;
    size_t count = 0;
    while (count < (size_t)ROWS_MAX * table_width && fscanf(f, "%lf", &table[count]) == 1) count++;
    table_rows = (uint32_t)(count / table_width);
    fclose(f);
}

static FILE *open_vectors(void) {
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/causal.txt", "r");
    assert_non_null(f);
    return f;
}

/* ---- graphs ---- */

static mr_independence_kind kind_of(const char *name) {
    return strcmp(name, "z") == 0 ? MR_FISHER_Z : strcmp(name, "g") == 0 ? MR_G_TEST : MR_CHI_SQUARE;
}

/* Reads one `graph` line behind its name and compares. */
static void compare_graph(FILE *f) {
    char data[64], kind[8], undecided[16];
    double alpha;
    size_t edges;
    assert_int_equal(fscanf(f, "%63s %7s %lf %15s %zu", data, kind, &alpha, undecided, &edges), 5);
    read_table(data);
    mr_arena *arena = mr_arena_new(NULL, (size_t)1 << 28);
    mr_independence test;
    mr_pc g;
    mr_error err;
    double no_p = strcmp(undecided, "keep") == 0 ? NAN : 1;
    assert_int_equal(
        mr_independence_init(&test, kind_of(kind), no_p, table, table_rows, table_width, arena, &err), MR_OK);
    assert_int_equal(mr_pc_search(&test, alpha, -1, MR_PC_NO_SINK, arena, NULL, &g, &err), MR_OK);
    print_message("%s %s %g %s: %zu edges, %llu tests\n", data, kind, alpha, undecided, g.edges,
                  (unsigned long long)test.tests);
    assert_int_equal(g.edges, edges);
    for (size_t k = 0; k < edges; k++) {
        size_t a, b;
        char mark;
        assert_int_equal(fscanf(f, "%zu %zu %c", &a, &b, &mark), 3);
        assert_true(mr_pc_adjacent(&g, a, b));
        assert_int_equal(mr_pc_points(&g, a, b), mark == '>');
        assert_false(mr_pc_points(&g, b, a));
    }
    mr_arena_free(&arena);
}

static void graphs_are_those_of_the_python_implementation(void **state) {
    (void)state;
    FILE *f = open_vectors();
    char word[64];
    size_t graphs = 0;
    while (fscanf(f, "%63s", word) == 1 && strcmp(word, "graph") == 0) {
        compare_graph(f);
        graphs++;
    }
    fclose(f);
    assert_int_equal(graphs, 16);
}

/* Share of the true edges of the file that the component's result has. */
static double true_share(harness *h, const char *truth) {
    char path[4096], relative[128], line[512], a[64], b[64];
    size_t edges = 0, found = 0;
    snprintf(relative, sizeof relative, "causal/%s", truth);
    harness_data(relative, path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*d. %63s --> %63s", a, b) != 2) continue;
        edges++;
        for (size_t k = 0; k < harness_length(h, 0, "edges"); k++) {
            char at[64];
            snprintf(at, sizeof at, "edges[%zu].from", k);
            const char *from = harness_string(h, 0, at);
            snprintf(at, sizeof at, "edges[%zu].to", k);
            const char *to = harness_string(h, 0, at);
            found += (!strcmp(from, a) && !strcmp(to, b)) || (!strcmp(from, b) && !strcmp(to, a));
        }
    }
    fclose(f);
    print_message("%s: %zu of %zu true edges, %zu edges in all\n", truth, found, edges,
                  harness_length(h, 0, "edges"));
    return (double)found / (double)edges;
}

static double share_for(const char *data, const char *truth, const char *const *names) {
    harness h = {0};
    read_table(data);
    mr_batch batch = {.rows = table_rows,
                      .width = table_width,
                      .columns = MR_COL_FEATURES,
                      .features = table,
                      .feature_names = names};
    harness_batch(&h, NAME, &batch);
    harness_run(&h, 256, 7);
    double share = true_share(&h, truth);
    harness_free(&h);
    return share;
}

static void most_true_edges_are_found(void **state) {
    (void)state;
    static char text[COLUMNS_MAX][8];
    static const char *x[COLUMNS_MAX];
    static const char *const sachs[] = {"raf", "mek", "plc", "pip2", "pip3", "erk",
                                        "akt", "pka", "pkc", "p38",  "jnk"};
    for (int j = 0; j < COLUMNS_MAX; j++) {
        snprintf(text[j], sizeof text[j], "X%d", j + 1);
        x[j] = text[j];
    }
    assert_true(share_for("asia_discrete_10000.txt", "asia_true_dag.txt", x) > 0.75);
    assert_true(share_for("alarm_discrete_10000.txt", "alarm_true_dag.txt", x) > 0.75);
    assert_true(share_for("sachs_discrete.tsv", "sachs_true_graph.txt", sachs) > 0.75);
    /* Its ties are not linear, so partial correlations miss most of them: as many as the Python
     * implementation. */
    assert_true(share_for("sachs_logx_continuous.tsv", "sachs_true_graph.txt", sachs) == 0.4);
}

/* a -> c <- b, c -> d: everything has a direction, by the collider and Meek's first rule. */
static void a_collider_and_what_follows_are_directed(void **state) {
    (void)state;
    enum { N = 2000 };
    static double x[N * 4];
    mr_rng rng;
    mr_rng_seed(&rng, 3);
    for (size_t i = 0; i < N; i++) {
        double *v = x + i * 4;
        v[0] = mr_rng_normal(&rng), v[1] = mr_rng_normal(&rng);
        v[2] = v[0] + v[1] + mr_rng_normal(&rng);
        v[3] = v[2] + mr_rng_normal(&rng);
    }
    harness h = {0};
    harness_numbers(&h, NAME, x, N, 4);
    harness_run(&h, 256, 7);
    assert_string_equal(harness_string(&h, 0, "test"), "Fisher z");
    assert_int_equal(harness_length(&h, 0, "edges"), 3);
    for (int k = 0; k < 3; k++) {
        char at[64];
        snprintf(at, sizeof at, "edges[%d].directed", k);
        assert_true(harness_number(&h, 0, at) == 1);
        snprintf(at, sizeof at, "edges[%d].to", k);
        assert_string_equal(harness_string(&h, 0, at), k < 2 ? "x2" : "x3");
    }
    harness_free(&h);
}

/* ---- effects ---- */

enum { N_MAX = 4000, P = 3 };
static double features[N_MAX * P], treatment[N_MAX], outcome[N_MAX];
static const char *const feature_names[] = {"a", "b", "c"};

static void run_effects(harness *h, uint32_t n, const char *set) {
    mr_batch batch = {.rows = n,
                      .width = P,
                      .columns = MR_COL_FEATURES | MR_COL_TREATMENT | MR_COL_OUTCOME,
                      .features = features,
                      .feature_names = feature_names};
    batch.number[MR_NUM_TREATMENT] = treatment;
    batch.number[MR_NUM_OUTCOME] = outcome;
    harness_batch(h, NAME, &batch);
    harness_set(h, set);
    harness_run(h, 256, 7);
}

/* What a line of the vectors is called in the result; for the adjusters, found by their name. */
static double value_of(harness *h, const char *name) {
    static const char *const methods[] = {"difference.", "regression.", "weighting.", "robust."};
    static const struct {
        const char *vector, *field;
    } fields[] = {{"mean1", "mean_treated"},
                  {"mean0", "mean_untreated"},
                  {"effect", "effect"},
                  {"se", "standard_error"}};
    char at[96];
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < 4 && strncmp(name, methods[k], strlen(methods[k])) == 0; j++)
            if (strcmp(name + strlen(methods[k]), fields[j].vector) == 0) {
                snprintf(at, sizeof at, "effects[%d].%s", k, fields[j].field);
                return harness_number(h, 0, at);
            }
    if (strcmp(name, "least_propensity") == 0) return harness_number(h, 0, "positivity.least_propensity");
    const char *dot = strchr(name, '.');
    for (int k = 0; dot && k < P; k++) {
        snprintf(at, sizeof at, "adjusted_for[%d].column", k);
        if (strcmp(harness_string(h, 0, at), feature_names[dot[1] - '0']) != 0) continue;
        snprintf(at, sizeof at, "adjusted_for[%d].%s", k,
                 name[0] == 'b'   ? "bias"
                 : name[0] == 't' ? "treatment_p_welch_t"
                                  : "outcome_p_t");
        return harness_number(h, 0, at);
    }
    fail_msg("no such value: %s", name);
    return NAN;
}

static void effects_agree_with_statsmodels(void **state) {
    (void)state;
    FILE *f = open_vectors();
    char line[8192], name[64];
    uint32_t n = 0;
    size_t checked = 0;
    double want;
    harness h = {0};
    while (fgets(line, sizeof line, f)) {
        double *x = features + (size_t)n * P;
        if (n < N_MAX &&
            sscanf(line, "row %lf %lf %lf %lf %lf", &treatment[n], &outcome[n], x, x + 1, x + 2) == 5)
            n++;
        if (sscanf(line, "expect %63s %lf", name, &want) != 2) continue;
        if (checked++ == 0) run_effects(&h, n, "graph=false");
        double got = value_of(&h, name), tolerance = strstr(name, ".se") ? 1e-7 : 1e-9;
        if (!(fabs(got - want) <= tolerance * fabs(want))) fail_msg("%s: %.17g, not %.17g", name, got, want);
    }
    fclose(f);
    assert_int_equal(checked, 26);
    harness_free(&h);
}

/* Rows whose treatment follows a and b, which also move the outcome; c is noise. */
static void confound(uint32_t n, double strength, double effect, mr_rng *rng) {
    for (uint32_t i = 0; i < n; i++) {
        double *x = features + (size_t)i * P;
        for (int j = 0; j < P; j++) x[j] = mr_rng_normal(rng);
        treatment[i] = mr_rng_unit(rng) < 1 / (1 + exp(-strength * (x[0] + 0.7 * x[1])));
        outcome[i] = 2 + effect * treatment[i] + strength * (x[0] + 0.5 * x[1]) + mr_rng_normal(rng);
    }
}

static void effects_are_recovered_from_confounded_rows(void **state) {
    (void)state;
    enum { SETS = 60, ROWS = 600 };
    mr_rng rng;
    mr_rng_seed(&rng, 11);
    for (int method = 1; method < 4; method++) {
        double mean = 0, total = 0, residual = 0, truth[SETS], naive = 0, adjusted = 0, covered = 0;
        for (int k = 0; k < SETS; k++) {
            harness h = {0};
            char at[64];
            truth[k] = k % 3 ? -1 + 2 * mr_rng_unit(&rng) : 0;
            confound(ROWS, 0.8, truth[k], &rng);
            run_effects(&h, ROWS, "graph=false placebos=0");
            snprintf(at, sizeof at, "effects[%d].effect", method);
            double got = harness_number(&h, 0, at);
            snprintf(at, sizeof at, "effects[%d].interval[0]", method);
            double low = harness_number(&h, 0, at);
            covered += low <= truth[k] && truth[k] <= 2 * got - low;
            naive += fabs(harness_number(&h, 0, "effects[0].effect") - truth[k]) / SETS;
            adjusted += fabs(got - truth[k]) / SETS;
            residual += (got - truth[k]) * (got - truth[k]);
            mean += truth[k] / SETS;
            harness_free(&h);
        }
        for (int k = 0; k < SETS; k++) total += (truth[k] - mean) * (truth[k] - mean);
        print_message("method %d: R2 %.3f, spurious %.3f naive, %.3f adjusted, 95 %% intervals cover %.3f\n",
                      method, 1 - residual / total, naive, adjusted, covered / SETS);
        assert_true(1 - residual / total > 0.7);
        assert_true(adjusted < 0.4 * naive);
        assert_true(covered / SETS > 0.88);
    }
}

static void confounders_are_named_and_refutations_pass(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 4);
    confound(3000, 0.6, 1, &rng);
    harness h = {0};
    run_effects(&h, 3000, "");
    assert_string_equal(harness_string(&h, 0, "adjusted_for[0].column"), "a");
    assert_true(harness_number(&h, 0, "adjusted_for[0].confounder") == 1);
    assert_true(harness_number(&h, 0, "adjusted_for[1].confounder") == 1);
    assert_true(harness_number(&h, 0, "adjusted_for[2].confounder") == 0);
    assert_true(fabs(harness_number(&h, 0, "adjusted_for[0].balance_before")) > 0.3);
    assert_true(fabs(harness_number(&h, 0, "adjusted_for[0].balance_after")) < 0.1);
    assert_true(harness_number(&h, 0, "refutations.placebo_centred") == 1);
    assert_true(harness_number(&h, 0, "refutations.placebo_p_permutation") == 0.05);
    assert_true(harness_number(&h, 0, "refutations.random_cause_harmless") == 1);
    assert_non_null(strstr(harness_string(&h, 0, "findings[0].text"), "the naive difference is"));
    assert_int_equal(harness_length(&h, 0, "warnings"), 0);
    harness_free(&h);
}

/* ---- what cannot be done, or only in part ---- */

static void separation_is_told_and_no_weights_are_given(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 5);
    confound(500, 0.5, 1, &rng);
    for (size_t i = 0; i < 500; i++) treatment[i] = features[i * P] > 0;
    harness h = {0};
    run_effects(&h, 500, "");
    assert_true(harness_number(&h, 0, "positivity.separated") == 1);
    assert_true(isnan(harness_number(&h, 0, "effects[3].effect")));
    assert_true(isfinite(harness_number(&h, 0, "effects[1].effect")));
    assert_non_null(strstr(harness_string(&h, 0, "warnings[0]"), "separation"));
    harness_free(&h);
}

static void poor_overlap_is_told_and_can_be_trimmed(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 6);
    confound(2000, 3, 1, &rng);
    harness h = {0};
    run_effects(&h, 2000, "placebos=0");
    assert_true(harness_number(&h, 0, "positivity.rows_outside") > 100);
    assert_non_null(strstr(harness_string(&h, 0, "warnings[0]"), "positivity"));
    harness_free(&h);
    h = (harness){0};
    run_effects(&h, 2000, "placebos=0 trim=0.05");
    double trimmed = harness_number(&h, 0, "positivity.trimmed");
    assert_true(trimmed > 100);
    assert_true(harness_number(&h, 0, "treated") + harness_number(&h, 0, "untreated") == 2000 - trimmed);
    assert_true(fabs(harness_number(&h, 0, "effects[3].effect") - 1) < 0.3);
    harness_free(&h);
}

static void constant_and_doubled_columns_are_told(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 7);
    confound(400, 0.5, 1, &rng);
    for (size_t i = 0; i < 400; i++) features[i * P + 1] = 4;
    for (size_t i = 0; i < 400; i++) features[i * P + 2] = 3 - 2 * features[i * P];
    harness h = {0};
    run_effects(&h, 400, "placebos=0");
    assert_string_equal(harness_string(&h, 0, "constant_columns[0]"), "b");
    assert_non_null(strstr(harness_string(&h, 0, "warnings[0]"), "linear combinations"));
    assert_true(isfinite(harness_number(&h, 0, "effects[3].effect")));
    harness_free(&h);
}

static void refusals_say_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *rows, *words;
    } cases[] = {
        {"x,t,y\n1,0,1\n2,1,2\n3,2,3\n4,1,4\n", "beside"},
        {"x,t,y\n1,1,1\n2,1,2\n3,1,3\n4,1,4\n", "nothing can be compared"},
        {"x,t,y\n1,0,1\n2,1,2\n3,1,3\n4,1,4\n5,1,5\n", "too few"},
        {"x,t,y\n1,0,1\n2,1,2\n", "too few"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        harness h = {0};
        harness_text(&h, NAME, cases[k].rows, "treatment=t outcome=y");
        harness_expect(&h, harness_try(&h, 32, 7), MR_E_INVALID);
        assert_non_null(strstr(h.err.text, cases[k].words));
        harness_free(&h);
    }
}

static void rows_without_treatment_or_outcome_are_left_out(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 8);
    confound(300, 0.5, 1, &rng);
    treatment[3] = outcome[7] = outcome[8] = NAN;
    harness h = {0};
    run_effects(&h, 300, "placebos=0 graph=false");
    assert_true(harness_number(&h, 0, "missing") == 3);
    assert_true(harness_number(&h, 0, "rows") == 297);
    assert_int_equal(harness_length(&h, 0, "edges"), 0);
    harness_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_are_those_of_the_python_implementation),
        cmocka_unit_test(most_true_edges_are_found),
        cmocka_unit_test(a_collider_and_what_follows_are_directed),
        cmocka_unit_test(effects_agree_with_statsmodels),
        cmocka_unit_test(effects_are_recovered_from_confounded_rows),
        cmocka_unit_test(confounders_are_named_and_refutations_pass),
        cmocka_unit_test(separation_is_told_and_no_weights_are_given),
        cmocka_unit_test(poor_overlap_is_told_and_can_be_trimmed),
        cmocka_unit_test(constant_and_doubled_columns_are_told),
        cmocka_unit_test(refusals_say_what_is_wrong),
        cmocka_unit_test(rows_without_treatment_or_outcome_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
