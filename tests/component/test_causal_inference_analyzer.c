/* causal_inference_analyzer and the kit under it (independence, pc, glm, effects, refute), against
 * tests/vectors/causal.py, the true graphs in the shared data, and simulations with known effects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/component/harness.h"
#include "worker/kit/columns.h"
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
    if (strcmp(name, "residuals") == 0) return MR_RESIDUALS;
    if (strcmp(name, "z") == 0 || strcmp(name, "scores") == 0) return MR_FISHER_Z;
    return strcmp(name, "g") == 0 ? MR_G_TEST : MR_CHI_SQUARE;
}

static void turn_into_scores(void) {
    static double room[ROWS_MAX];
    for (size_t j = 0; j < table_width; j++) mr_normal_scores(table, table_rows, table_width, j, room);
}

/* Reads one `graph` line behind its name and compares. */
static void compare_graph(FILE *f) {
    char data[64], kind[16], undecided[16];
    double alpha;
    size_t edges;
    assert_int_equal(fscanf(f, "%63s %15s %lf %15s %zu", data, kind, &alpha, undecided, &edges), 5);
    read_table(data);
    if (strcmp(kind, "scores") == 0 || strcmp(kind, "residuals") == 0) turn_into_scores();
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
    assert_int_equal(graphs, 19);
}

static void single_tests_agree_with_numpy(void **state) {
    (void)state;
    FILE *f = open_vectors();
    char line[8192];
    mr_arena *arena = mr_arena_new(NULL, (size_t)1 << 24);
    mr_residuals t = {0};
    mr_error err;
    size_t tests = 0, scored = 0;
    table_width = 4, table_rows = 0;
    while (fgets(line, sizeof line, f)) {
        double *x = table + table_rows * 4, want[4];
        size_t a, b, count;
        int used = 0;
        if (sscanf(line, "sample %lf %lf %lf %lf", x, x + 1, x + 2, x + 3) == 4) table_rows++;
        if (sscanf(line, "residuals %zu %zu %zu%n", &a, &b, &count, &used) == 3) {
            uint16_t given[4];
            char *at = line + used;
            for (size_t k = 0; k < count; k++) given[k] = (uint16_t)strtoul(at, &at, 10);
            if (!t.n) assert_int_equal(mr_residuals_init(&t, table, table_rows, 4, 4, arena, &err), MR_OK);
            mr_residuals_result r = mr_residuals_test(&t, a, b, given, count);
            assert_int_equal(sscanf(at, "%lf %lf %lf", &want[0], &want[1], &want[2]), 3);
            assert_true(fabs(r.statistic - want[0]) <= 1e-9 * want[0] && r.df == want[1]);
            assert_true(fabs(r.p - want[2]) <= 1e-8 * want[2]);
            tests++;
        }
        if (sscanf(line, "scores %lf %lf %lf %lf", want, want + 1, want + 2, want + 3) != 4) continue;
        if (scored == 0) turn_into_scores();
        for (size_t j = 0; j < 4; j++) assert_true(fabs(table[scored * 4 + j] - want[j]) <= 1e-12);
        scored++;
    }
    fclose(f);
    mr_arena_free(&arena);
    assert_int_equal(tests, 6);
    assert_int_equal(scored, 5);
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
    assert_true(share_for("sachs_logx_continuous.tsv", "sachs_true_graph.txt", sachs) > 0.75);
}

/* ---- graphs with a known truth ---- */

enum { GRAPHS = 12, GRAPH_WIDTH = 9, GRAPH_ROWS = 1000 };
typedef enum ties { LINES, STRETCHED, CURVES } ties;

static double curve(double z, size_t which) {
    return which == 0 ? z : which == 1 ? tanh(2 * z) : which == 2 ? (z * z - 1) / 1.4 : 1.2 * sin(2 * z);
}

static double stretch(double z, size_t which) {
    return which == 0 ? exp(z) : which == 1 ? z * z * z : which == 2 ? copysign(sqrt(fabs(z)), z) : exp(2 * z);
}

/* Every pair is tied with probability 0.3, by a coefficient of size 0.5 to 1.2. */
static void draw_graph(ties kind, mr_rng *rng, bool truth[GRAPH_WIDTH][GRAPH_WIDTH]) {
    static double column[GRAPH_WIDTH][GRAPH_ROWS];
    for (size_t j = 0; j < GRAPH_WIDTH; j++) {
        for (size_t i = 0; i < GRAPH_ROWS; i++) column[j][i] = mr_rng_normal(rng);
        for (size_t k = 0; k < j; k++) {
            double weight = (mr_rng_below(rng, 2) ? 1 : -1) * (0.5 + 0.7 * mr_rng_unit(rng)), mean, sd;
            size_t which = mr_rng_below(rng, 4);
            truth[k][j] = mr_rng_unit(rng) < 0.3;
            mr_mean_sd(column[k], GRAPH_ROWS, 1, &mean, &sd);
            for (size_t i = 0; truth[k][j] && i < GRAPH_ROWS; i++) {
                double z = (column[k][i] - mean) / sd;
                column[j][i] += weight * (kind == CURVES ? curve(z, which) : column[k][i]);
            }
        }
    }
    for (size_t j = 0; j < GRAPH_WIDTH; j++) {
        double mean, sd;
        size_t which = mr_rng_below(rng, 4);
        mr_mean_sd(column[j], GRAPH_ROWS, 1, &mean, &sd);
        for (size_t i = 0; i < GRAPH_ROWS; i++) {
            double v = column[j][i];
            table[i * GRAPH_WIDTH + j] = kind == STRETCHED ? stretch((v - mean) / sd, which) : v;
        }
    }
}

typedef struct score {
    double found, true_found, truth;
    int residuals, scores;
} score;

static void add_graph(harness *h, bool truth[GRAPH_WIDTH][GRAPH_WIDTH], score *s) {
    for (size_t a = 0; a < GRAPH_WIDTH; a++)
        for (size_t b = 0; b < a; b++) s->truth += truth[b][a];
    for (size_t k = 0; k < harness_length(h, 0, "edges"); k++) {
        char at[64];
        snprintf(at, sizeof at, "edges[%zu].from", k);
        int from = harness_string(h, 0, at)[1] - '0';
        snprintf(at, sizeof at, "edges[%zu].to", k);
        int to = harness_string(h, 0, at)[1] - '0';
        s->found++;
        s->true_found += truth[from < to ? from : to][from < to ? to : from];
    }
    s->residuals += strstr(harness_string(h, 0, "test"), "residuals") != NULL;
    s->scores += strcmp(harness_string(h, 0, "transform"), "normal scores") == 0;
}

static score score_graphs(ties kind, const char *set) {
    score s = {0};
    mr_rng rng;
    mr_rng_seed(&rng, 40 + kind);
    for (int g = 0; g < GRAPHS; g++) {
        bool truth[GRAPH_WIDTH][GRAPH_WIDTH] = {{0}};
        harness h = {0};
        draw_graph(kind, &rng, truth);
        harness_numbers(&h, NAME, table, GRAPH_ROWS, GRAPH_WIDTH);
        harness_set(&h, set);
        harness_run(&h, 4096, 7);
        add_graph(&h, truth, &s);
        harness_free(&h);
    }
    print_message("ties %d, %s: %.3f of the true edges, %.3f of the edges true; residuals %d, scores %d of %d\n", kind,
                  *set ? set : "auto", s.true_found / s.truth, s.true_found / s.found, s.residuals, s.scores, GRAPHS);
    return s;
}

/* Straight lines between normal columns keep the plain test; stretched scales want ranks; curves want residuals. */
static void the_test_follows_what_the_rows_show(void **state) {
    (void)state;
    score lines = score_graphs(LINES, ""), stretched = score_graphs(STRETCHED, ""), curves = score_graphs(CURVES, ""),
          plain = score_graphs(LINES, "test=fisher_z"), raw = score_graphs(STRETCHED, "test=fisher_z"),
          straight = score_graphs(CURVES, "test=fisher_z");
    assert_true(lines.residuals <= 1 && lines.true_found >= plain.true_found - 1);
    assert_true(lines.true_found > 0.95 * lines.found && lines.true_found > 0.75 * lines.truth);
    assert_int_equal(stretched.scores, GRAPHS);
    assert_true(stretched.residuals <= 1);
    assert_true(stretched.true_found > 0.95 * stretched.found && stretched.true_found > raw.true_found);
    assert_int_equal(curves.residuals, GRAPHS);
    assert_true(curves.true_found > 0.95 * curves.found && curves.true_found > 0.9 * curves.truth);
    assert_true(straight.true_found < 0.85 * straight.truth);
}

/* Under independence given the others, p is uniform: its share under 0.05 and 0.01, with curves and few values about. */
static void residuals_keep_their_level(void **state) {
    (void)state;
    enum { RUNS = 2000, N = 200 };
    static double x[N * 4];
    mr_rng rng;
    mr_rng_seed(&rng, 12);
    int hits[3][2] = {{0}};
    for (int run = 0; run < RUNS; run++) {
        mr_arena *arena = mr_arena_new(NULL, (size_t)1 << 22);
        mr_residuals t;
        mr_error err;
        for (size_t i = 0; i < N; i++) {
            double *v = x + i * 4, s = mr_rng_normal(&rng);
            v[0] = s;
            v[1] = s * s + mr_rng_normal(&rng);
            v[2] = tanh(s) + mr_rng_normal(&rng);
            v[3] = mr_rng_unit(&rng) < 1 / (1 + exp(-s));
        }
        assert_int_equal(mr_residuals_init(&t, x, N, 4, 4, arena, &err), MR_OK);
        const uint16_t given[] = {0};
        double p[3] = {mr_residuals_test(&t, 1, 2, given, 1).p, mr_residuals_test(&t, 1, 3, given, 1).p,
                       mr_residuals_test(&t, 3, 2, given, 1).p};
        for (int k = 0; k < 3; k++) {
            hits[k][0] += p[k] < 0.05;
            hits[k][1] += p[k] < 0.01;
        }
        mr_arena_free(&arena);
    }
    for (int k = 0; k < 3; k++) {
        print_message("level 0.05: %.4f, 0.01: %.4f\n", hits[k][0] / (double)RUNS, hits[k][1] / (double)RUNS);
        assert_true(fabs(hits[k][0] / (double)RUNS - 0.05) < 0.02 && hits[k][1] / (double)RUNS < 0.02);
    }
}

static void a_column_of_too_many_values_is_named(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 3);
    for (size_t i = 0; i < 200; i++) {
        for (size_t j = 0; j < 3; j++) table[i * 3 + j] = j == 2 ? mr_rng_normal(&rng) : (double)mr_rng_below(&rng, 3);
    }
    harness h = {0};
    harness_numbers(&h, NAME, table, 200, 3);
    harness_set(&h, "test=g");
    harness_expect(&h, harness_try(&h, 4096, 7), MR_E_INVALID);
    assert_non_null(strstr(h.err.text, "column 'x2'"));
    harness_set(&h, "");
    harness_run(&h, 4096, 7);
    assert_int_equal(harness_length(&h, 0, "edges"), 0);
    assert_non_null(strstr(harness_string(&h, 0, "findings[0].text"), "no two of the 3 columns are tied directly"));
    harness_free(&h);
}

static void options_of_the_test_are_kept(void **state) {
    (void)state;
    static const char *const cases[][3] = {{"test=fisher_z", "Fisher z", "none"},
                                           {"test=fisher_z transform=normal_scores", "Fisher z of normal scores", "normal scores"},
                                           {"test=residuals transform=none", "cubic residuals", "none"},
                                           {"test=residuals", "cubic residuals of normal scores", "normal scores"},
                                           {"transform=none", "cubic residuals", "none"}};
    mr_rng rng;
    mr_rng_seed(&rng, 44);
    bool truth[GRAPH_WIDTH][GRAPH_WIDTH] = {{0}};
    draw_graph(STRETCHED, &rng, truth);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        harness h = {0};
        harness_numbers(&h, NAME, table, GRAPH_ROWS, GRAPH_WIDTH);
        harness_set(&h, cases[k][0]);
        harness_run(&h, 4096, 7);
        assert_string_equal(harness_string(&h, 0, "test"), cases[k][1]);
        assert_string_equal(harness_string(&h, 0, "transform"), cases[k][2]);
        harness_free(&h);
    }
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
        cmocka_unit_test(single_tests_agree_with_numpy),
        cmocka_unit_test(most_true_edges_are_found),
        cmocka_unit_test(the_test_follows_what_the_rows_show),
        cmocka_unit_test(residuals_keep_their_level),
        cmocka_unit_test(a_column_of_too_many_values_is_named),
        cmocka_unit_test(options_of_the_test_are_kept),
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
