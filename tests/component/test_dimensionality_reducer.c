/* Reference values: tests/vectors/learners.py (numpy and scikit-learn), and LAPACK on the whole matrix in
 * this process. */
#include "tests/component/harness.h"
#include "worker/kit/linalg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { WIDTH_MAX = 40 };

/* Covariance (divisor n - 1) of the whole matrix in one pass over centred values, and its eigenvalues by
 * LAPACK. */
static void by_lapack(const mr_batch *b, bool scale, double *values, double *vectors) {
    size_t n = b->rows, w = b->width;
    double mean[WIDTH_MAX] = {0}, sd[WIDTH_MAX] = {0}, *cov = calloc(w * w, sizeof *cov);
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_error err;
    assert_non_null(cov);
    for (size_t i = 0; i < n * w; i++) mean[i % w] += b->features[i] / (double)n;
    for (size_t i = 0; i < n * w; i++) sd[i % w] += pow(b->features[i] - mean[i % w], 2) / (double)n;
    for (size_t j = 0; j < w; j++) sd[j] = scale ? sqrt(sd[j]) : 1;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < w; j++)
            for (size_t k = 0; k < w; k++)
                cov[j * w + k] += (b->features[i * w + j] - mean[j]) / sd[j] *
                                  (b->features[i * w + k] - mean[k]) / sd[k] / (double)(n - 1);
    assert_int_equal(mr_linalg_eigen(arena, cov, w, values, vectors, &err), MR_OK);
    mr_eigen_fix_signs(vectors, w, w);
    mr_arena_free(&arena);
    free(cov);
}

static double at(harness *h, const char *format, size_t i) {
    char path[64];
    snprintf(path, sizeof path, format, i);
    return harness_number(h, 0, path);
}

static void compare_with_lapack(harness *h, bool scale, uint32_t batch_rows) {
    double values[WIDTH_MAX], vectors[WIDTH_MAX * WIDTH_MAX];
    size_t w = h->batch.width;
    char set[64];
    snprintf(set, sizeof set, "components=%zu scale=%s", w, scale ? "true" : "false");
    harness_set(h, set);
    harness_run(h, batch_rows, 7);
    by_lapack(&h->batch, scale, values, vectors);
    for (size_t k = 0; k < w; k++) {
        /* LAPACK and the plain covariance are good to 1e-15 of the largest eigenvalue. */
        assert_true(fabs(at(h, "eigenvalues[%zu]", k) - values[k]) <= 1e-8 * values[k] + 1e-14 * values[0]);
        double dot = 0;
        for (size_t j = 0; j < w; j++) dot += at(h, "loadings.data[%zu]", k * w + j) * vectors[k * w + j];
        assert_true(fabs(fabs(dot) - 1) < 1e-8);
    }
}

static void test_wine_agrees_with_lapack_on_the_whole_matrix(void **state) {
    (void)state;
    harness h;
    harness_file(&h, "dimensionality_reducer", "tabular/wine.csv", "label=target");
    assert_int_equal(h.batch.width, 13);
    compare_with_lapack(&h, false, 7);
    compare_with_lapack(&h, true, 32);
    harness_free(&h);
}

static void test_breast_cancer_agrees_with_lapack_on_the_whole_matrix(void **state) {
    (void)state;
    harness h;
    harness_file(&h, "dimensionality_reducer", "tabular/breast_cancer.csv", "label=target");
    compare_with_lapack(&h, true, 50);
    compare_with_lapack(&h, false, 569);
    harness_free(&h);
}

static void check_line(FILE *f) {
    char name[64], path[96], set[64];
    int scaled, width;
    double expected;
    harness h;
    assert_int_equal(fscanf(f, "%63s %d %d", name, &scaled, &width), 3);
    snprintf(path, sizeof path, "tabular/%s.csv", name);
    snprintf(set, sizeof set, "components=3 scale=%s", scaled ? "true" : "false");
    harness_file(&h, "dimensionality_reducer", path, "label=target");
    harness_set(&h, set);
    harness_run(&h, 32, 7);
    double largest = harness_number(&h, 0, "eigenvalues[0]");
    for (int k = 0; k < width; k++) {
        assert_int_equal(fscanf(f, "%lf", &expected), 1);
        assert_true(fabs(at(&h, "eigenvalues[%zu]", (size_t)k) - expected) <=
                    1e-8 * expected + 1e-14 * largest);
    }
    for (int k = 0; k < width; k++) {
        assert_int_equal(fscanf(f, "%lf", &expected), 1);
        assert_true(fabs(at(&h, "loadings.data[%zu]", (size_t)k) - expected) < 1e-8);
    }
    assert_int_equal(fscanf(f, "%lf", &expected), 1);
    assert_true(fabs(harness_number(&h, 0, "reconstruction_error") / expected - 1) < 1e-8);
    harness_free(&h);
}

static void test_eigenvalues_loadings_and_error_are_those_of_sklearn(void **state) {
    (void)state;
    char word[64], there[4096];
    harness_data("tabular/wine.csv", there);
    harness_data("tabular/breast_cancer.csv", there);
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/learners.txt", "r");
    assert_non_null(f);
    for (int lines = 0; lines < 4; lines++) {
        assert_int_equal(fscanf(f, "%63s", word), 1);
        assert_string_equal(word, "pca");
        check_line(f);
    }
    fclose(f);
}

enum { ROWS = 1500, WIDTH = 9 };

/* Three hidden directions behind nine columns, the last constant, all far from 0. */
static void synthetic(double *x) {
    mr_rng r;
    mr_rng_seed(&r, 11);
    for (int i = 0; i < ROWS; i++) {
        double hidden[3] = {3 * mr_rng_normal(&r), 2 * mr_rng_normal(&r), mr_rng_normal(&r)};
        for (int j = 0; j < WIDTH; j++)
            x[i * WIDTH + j] = 1e7 + hidden[j % 3] * (1 + j) + 1e-3 * mr_rng_normal(&r);
        x[i * WIDTH + WIDTH - 1] = 4.5;
    }
}

/* A copy that outlives the next run. */
static mr_span kept(mr_span bytes) {
    uint8_t *copy = malloc(bytes.len);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    return (mr_span){copy, bytes.len};
}

static void forget(mr_span *bytes) {
    free((void *)bytes->data);
    *bytes = (mr_span){0};
}

static const char *const methods[] = {"pca", "autoencoder", "umap", "auto"};

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    static double x[ROWS * WIDTH];
    static const uint32_t sizes[] = {1, 7, 32, 1000, ROWS};
    harness h;
    synthetic(x);
    harness_numbers(&h, "dimensionality_reducer", x, ROWS, WIDTH);
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
        mr_span result = {0}, model = {0}, whole = {0};
        char set[96];
        snprintf(set, sizeof set, "method=%s components=2 sample=200 iterations=20", methods[m]);
        harness_set(&h, set);
        for (size_t i = m < 3 ? 1 : 0; i < sizeof sizes / sizeof *sizes; i++) {
            harness_run(&h, sizes[i], 7);
            mr_span got[] = {harness_bytes(&h, 0), harness_artifact(&h, 0, "model"), harness_artifact(&h, 0, "state")};
            if (!result.data) {
                result = kept(got[0]);
                model = kept(got[1]);
                whole = kept(got[2]);
            }
            assert_true(mr_span_eq(got[0], result) && mr_span_eq(got[1], model) && mr_span_eq(got[2], whole));
        }
        forget(&result);
        forget(&model);
        forget(&whole);
    }
    harness_free(&h);
}

static void test_hidden_directions_and_constant_columns_are_found(void **state) {
    (void)state;
    static double x[ROWS * WIDTH];
    harness h;
    synthetic(x);
    harness_numbers(&h, "dimensionality_reducer", x, ROWS, WIDTH);
    harness_set(&h, "scale=true variance=0.999");
    harness_run(&h, 32, 7);
    assert_true(harness_number(&h, 0, "components") == 3);
    assert_true(harness_number(&h, 0, "variance_kept") > 0.999);
    assert_int_equal(harness_length(&h, 0, "constant_columns"), 1);
    assert_string_equal(harness_string(&h, 0, "constant_columns[0]"), "x8");
    harness_set(&h, "");
    harness_run(&h, 32, 7);
    compare_with_lapack(&h, false, 100);
    harness_free(&h);
}

static void test_a_stored_model_projects_new_rows(void **state) {
    (void)state;
    static double x[ROWS * WIDTH];
    harness h;
    synthetic(x);
    harness_numbers(&h, "dimensionality_reducer", x, ROWS, WIDTH);
    harness_set(&h, "method=pca components=3 scale=true");
    harness_run(&h, 32, 7);
    double error = harness_number(&h, 0, "reconstruction_error"),
           variance = harness_number(&h, 0, "eigenvalues[0]");
    mr_span model = kept(harness_artifact(&h, 0, "model"));
    harness_apply(&h, model, ROWS, 7);
    double sum = 0;
    for (size_t i = 0; i < ROWS; i++) sum += pow(at(&h, "scores.data[%zu]", 3 * i), 2);
    assert_true(fabs(sum / (ROWS - 1) / variance - 1) < 1e-9);
    assert_true(fabs(harness_number(&h, 0, "reconstruction_error") / error - 1) < 1e-6);
    assert_int_equal(harness_length(&h, 0, "row_errors"), ROWS);
    forget(&model);
    harness_free(&h);
}

/* The layout of the fit and that of the stored model are the same for the sampled rows, in batches of any size. */
static void test_every_kind_of_model_puts_fitted_rows_where_the_fit_put_them(void **state) {
    (void)state;
    harness h;
    harness_file(&h, "dimensionality_reducer", "tabular/breast_cancer.csv", "label=target");
    size_t n = h.batch.rows;
    for (size_t m = 0; m < 3; m++) {
        char set[96];
        snprintf(set, sizeof set, "method=%s components=3 scale=true iterations=50", methods[m]);
        harness_set(&h, set);
        harness_run(&h, 100, 3);
        assert_string_equal(harness_string(&h, 0, "method"), methods[m]);
        assert_int_equal(harness_number(&h, 0, "sampled"), n);
        double *fit = malloc(n * 3 * sizeof *fit);
        assert_non_null(fit);
        for (size_t i = 0; i < n * 3; i++) fit[i] = at(&h, "embedding.data[%zu]", i);
        mr_span model = kept(harness_artifact(&h, 0, "model"));
        harness_apply(&h, model, 200, 3);
        for (size_t i = 0; i < n * 3; i++) {
            char path[64];
            snprintf(path, sizeof path, "scores.data[%zu]", i % 600);
            assert_true(harness_number(&h, i / 600, path) == fit[i]);
        }
        forget(&model);
        free(fit);
    }
    harness_free(&h);
}

static size_t method_at(harness *h, const char *name) {
    char path[64];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "methods[%zu].method", i);
        if (strcmp(harness_string(h, 0, path), name) == 0) return i;
    }
    fail_msg("%s is not among the methods", name);
    return 0;
}

static double score(harness *h, const char *name, const char *field) {
    char path[64];
    snprintf(path, sizeof path, "methods[%zu].%s", method_at(h, name), field);
    return harness_number(h, 0, path);
}

/* The rule: the simplest within 0.005 of the best information, which is the least of the scores. */
static void check_choice(harness *h) {
    double best = 0;
    size_t choice = 3;
    for (size_t m = 0; m < 3; m++) {
        double least = fmin(score(h, methods[m], "trustworthiness"), score(h, methods[m], "continuity"));
        if (m != 2) least = fmin(least, score(h, methods[m], "variance_kept"));
        assert_true(score(h, methods[m], "information") == least);
        best = fmax(best, least);
    }
    for (size_t m = 3; m-- > 0;)
        if (score(h, methods[m], "information") >= best - 0.005) choice = m;
    assert_string_equal(harness_string(h, 0, "method"), methods[choice]);
    assert_true(score(h, methods[choice], "kept") == 1);
}

static void test_auto_scores_each_way_and_keeps_the_best(void **state) {
    (void)state;
    harness h;
    harness_file(&h, "dimensionality_reducer", "tabular/breast_cancer.csv", "label=target");
    harness_set(&h, "scale=true");
    harness_run(&h, 64, 1);
    check_choice(&h);
    assert_string_equal(harness_string(&h, 0, "method"), "pca");
    assert_true(harness_number(&h, 0, "information_kept") >= 0.95);
    harness_set(&h, "scale=true components=2");
    harness_run(&h, 64, 1);
    check_choice(&h);
    assert_string_equal(harness_string(&h, 0, "method"), "umap");
    harness_free(&h);
}

/* A rolled sheet: two numbers tell a row, but no two straight directions do. */
enum { SHEET_ROWS = 800, SHEET_WIDTH = 12 };
static void rolled(double *x, size_t rows, uint64_t seed) {
    mr_rng r;
    mr_rng_seed(&r, seed);
    for (size_t i = 0; i < rows; i++) {
        double t = 1 + 2 * mr_rng_unit(&r), u = mr_rng_unit(&r);
        for (int j = 0; j < SHEET_WIDTH; j++)
            x[i * SHEET_WIDTH + (size_t)j] =
                sin(t * (1 + j % 4) + j) + 0.3 * u * (j % 3) + 0.01 * mr_rng_normal(&r);
    }
}

static void test_a_bent_sheet_goes_to_a_way_that_can_bend(void **state) {
    (void)state;
    static double x[SHEET_ROWS * SHEET_WIDTH];
    harness h;
    rolled(x, SHEET_ROWS, 5);
    harness_numbers(&h, "dimensionality_reducer", x, SHEET_ROWS, SHEET_WIDTH);
    harness_set(&h, "components=2");
    harness_run(&h, 100, 1);
    check_choice(&h);
    assert_string_not_equal(harness_string(&h, 0, "method"), "pca");
    assert_true(harness_number(&h, 0, "autoencoder.test_error") < 0.5 * harness_number(&h, 0, "autoencoder.pca_test_error"));
    assert_int_equal(harness_number(&h, 0, "autoencoder.test_rows"), SHEET_ROWS / 5);
    assert_true(harness_number(&h, 0, "information_kept") >= 0.95);
    harness_free(&h);
}

/* ---- rows arrive ---- */

/* Applies a state to rows from..to and leaves the new state (or `what`) in *out. */
static void update_with(harness *h, const mr_batch *all, uint32_t from, uint32_t to, mr_span state, const char *what,
                        mr_span *out) {
    mr_batch part = mr_batch_slice(all, from, to - from);
    part.first = 0; /* another data set, whose rows count from 0 */
    h->batch = part;
    harness_apply(h, state, 37, 7); /* a state takes all as one batch */
    if (what) *out = kept(harness_artifact(h, 0, what));
}

static void test_an_update_with_new_rows_equals_a_fit_on_all_of_them(void **state) {
    (void)state;
    static double x[ROWS * WIDTH];
    harness h;
    mr_span first, second;
    synthetic(x);
    harness_numbers(&h, "dimensionality_reducer", x, ROWS, WIDTH);
    mr_batch all = h.batch;
    harness_set(&h, "method=pca components=3 scale=true sample=200");
    harness_run(&h, 64, 7);
    mr_span whole = kept(harness_artifact(&h, 0, "state")), model = kept(harness_artifact(&h, 0, "model"));
    h.batch = mr_batch_slice(&all, 0, 600);
    harness_run(&h, 64, 7);
    first = kept(harness_artifact(&h, 0, "state"));
    update_with(&h, &all, 600, 601, first, "state", &second);
    assert_true(harness_number(&h, 0, "rows") == 601);
    forget(&first);
    update_with(&h, &all, 601, ROWS, second, "state", &first);
    assert_true(mr_span_eq(first, whole));
    assert_true(mr_span_eq(harness_artifact(&h, 0, "model"), model));
    assert_true(harness_number(&h, 0, "refitted") == 1);
    h.batch = all;
    forget(&first);
    forget(&second);
    forget(&whole);
    forget(&model);
    harness_free(&h);
}

static void test_other_models_are_kept_until_new_rows_drift_away(void **state) {
    (void)state;
    static double x[2 * SHEET_ROWS * SHEET_WIDTH];
    rolled(x, 2 * SHEET_ROWS, 5);
    for (size_t m = 1; m < 3; m++) {
        harness h;
        char set[96];
        mr_span none = {0};
        harness_numbers(&h, "dimensionality_reducer", x, 2 * SHEET_ROWS, SHEET_WIDTH);
        mr_batch all = h.batch;
        snprintf(set, sizeof set, "method=%s components=2", methods[m]);
        harness_set(&h, set);
        h.batch = mr_batch_slice(&all, 0, SHEET_ROWS);
        harness_run(&h, 100, 7);
        mr_span stored = kept(harness_artifact(&h, 0, "state")), model = kept(harness_artifact(&h, 0, "model"));
        update_with(&h, &all, SHEET_ROWS, 2 * SHEET_ROWS, stored, NULL, &none);
        assert_true(fabs(harness_number(&h, 0, "drift")) < 0.25);
        assert_true(harness_number(&h, 0, "refitted") == 0 && harness_number(&h, 0, "rows") == 2 * SHEET_ROWS);
        assert_true(mr_span_eq(harness_artifact(&h, 0, "model"), model));
        assert_true(harness_number(&h, 0, "trustworthiness") > 0.9);
        double *moved = malloc(SHEET_ROWS * SHEET_WIDTH * sizeof *moved);
        assert_non_null(moved);
        for (size_t i = 0; i < SHEET_ROWS * SHEET_WIDTH; i++) moved[i] = x[i] + (i % 2 ? 2 : 0);
        mr_batch away = all;
        away.features = moved;
        update_with(&h, &away, 0, SHEET_ROWS, stored, NULL, &none);
        assert_true(harness_number(&h, 0, "drift") > 0.25 && harness_number(&h, 0, "refitted") == 1);
        assert_false(mr_span_eq(harness_artifact(&h, 0, "model"), model));
        h.batch = all;
        free(moved);
        forget(&stored);
        forget(&model);
        harness_free(&h);
    }
}

/* ---- wide tables ---- */

enum { WIDE_ROWS = 300, WIDE = 700, HIDDEN = 6 };

static void test_a_wide_table_goes_by_random_projection_and_agrees_with_the_narrow_way(void **state) {
    (void)state;
    double *x = malloc(WIDE_ROWS * WIDE * sizeof *x), values[HIDDEN + 1];
    harness h;
    mr_rng r;
    assert_non_null(x);
    mr_rng_seed(&r, 8);
    for (size_t i = 0; i < WIDE_ROWS; i++) {
        double hidden[HIDDEN];
        for (int k = 0; k < HIDDEN; k++) hidden[k] = (HIDDEN - k) * mr_rng_normal(&r);
        for (size_t j = 0; j < WIDE; j++)
            x[i * WIDE + j] = hidden[j % HIDDEN] + 0.2 * hidden[(j + 1) % HIDDEN] + 0.1 * mr_rng_normal(&r) + 5;
    }
    for (int batch = 0; batch < 2; batch++) {
        harness_numbers(&h, "dimensionality_reducer", x, WIDE_ROWS, WIDE);
        harness_set(&h, "method=pca sample=10000");
        harness_run(&h, batch ? 37 : WIDE_ROWS, 7);
        assert_true(harness_number(&h, 0, "components") <= HIDDEN);
        assert_true(harness_number(&h, 0, "variance_kept") >= 0.95);
        assert_true(harness_number(&h, 0, "information_kept") >= 0.95);
        for (int k = 0; k < HIDDEN; k++) {
            double got = at(&h, "eigenvalues[%zu]", (size_t)k);
            assert_true(batch == 0 || got == values[k]);
            values[k] = got;
        }
        harness_free(&h);
    }
    /* The eigenvalues of x'x are those of xx', which is small. */
    double *gram = malloc(WIDE_ROWS * WIDE_ROWS * sizeof *gram), *v = malloc(WIDE_ROWS * WIDE_ROWS * sizeof *v);
    double exact[WIDE_ROWS];
    mr_arena *arena = mr_arena_new(NULL, 16 << 20);
    mr_error err;
    assert_true(gram && v);
    for (size_t j = 0; j < WIDE; j++) {
        double mean = 0;
        for (size_t i = 0; i < WIDE_ROWS; i++) mean += x[i * WIDE + j] / WIDE_ROWS;
        for (size_t i = 0; i < WIDE_ROWS; i++) x[i * WIDE + j] -= mean;
    }
    for (size_t i = 0; i < WIDE_ROWS * WIDE_ROWS; i++) {
        gram[i] = 0;
        for (size_t j = 0; j < WIDE; j++)
            gram[i] += x[i / WIDE_ROWS * WIDE + j] * x[i % WIDE_ROWS * WIDE + j] / (WIDE_ROWS - 1);
    }
    assert_int_equal(mr_linalg_eigen(arena, gram, WIDE_ROWS, exact, v, &err), MR_OK);
    for (int k = 0; k < HIDDEN; k++) assert_true(fabs(values[k] / exact[k] - 1) < 1e-8);
    mr_arena_free(&arena);
    free(gram);
    free(v);
    free(x);
}

/* ---- what it is for ---- */

enum { LEARN_ROWS = 1500, LEARN_WIDTH = 120, CAUSES = 8 };

/* 120 columns that repeat 8 hidden causes with a little noise; success follows four of the causes. */
static void repeated(double *x, double *success) {
    mr_rng r;
    double mix[CAUSES][LEARN_WIDTH];
    mr_rng_seed(&r, 21);
    for (int k = 0; k < CAUSES; k++)
        for (int j = 0; j < LEARN_WIDTH; j++) mix[k][j] = mr_rng_normal(&r);
    for (size_t i = 0; i < LEARN_ROWS; i++) {
        double cause[CAUSES], odds;
        for (int k = 0; k < CAUSES; k++) cause[k] = mr_rng_normal(&r);
        odds = 2 * cause[0] - 1.5 * cause[1] + cause[2] * cause[3];
        success[i] = mr_rng_unit(&r) < 1 / (1 + exp(-odds));
        for (int j = 0; j < LEARN_WIDTH; j++) {
            x[i * LEARN_WIDTH + (size_t)j] = 0.4 * mr_rng_normal(&r);
            for (int k = 0; k < CAUSES; k++) x[i * LEARN_WIDTH + (size_t)j] += cause[k] * mix[k][j];
        }
    }
}

typedef struct lesson {
    double auc, seconds; /* cross-validated; of this process */
} lesson;

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static lesson learn(const char *model, const mr_batch *rows, const double *success) {
    harness h;
    char set[64];
    mr_batch labelled = *rows;
    labelled.number[MR_NUM_SUCCESS] = success;
    labelled.columns |= MR_COL_SUCCESS;
    snprintf(set, sizeof set, "model=%s", model);
    harness_batch(&h, "ml_model_service", &labelled);
    harness_set(&h, set);
    double start = cpu_seconds();
    harness_run(&h, LEARN_ROWS, 1);
    lesson l = {harness_number(&h, 0, "validation[0].pooled.auc"), cpu_seconds() - start};
    harness_free(&h);
    return l;
}

/* At least 0.95 of the information kept; training on what is left takes at least 30 % less time, and its cross-validated AUC is
 * at most 0.02 lower, two standard errors at this many rows (Hanley and McNeil 1982). */
static void test_training_on_reduced_columns_is_faster_and_as_good(void **state) {
    (void)state;
    double *x = malloc(LEARN_ROWS * LEARN_WIDTH * sizeof *x), *success = malloc(LEARN_ROWS * sizeof *success);
    harness all, few;
    assert_true(x && success);
    repeated(x, success);
    harness_numbers(&all, "dimensionality_reducer", x, LEARN_ROWS, LEARN_WIDTH);
    harness_run(&all, 500, 1);
    assert_true(harness_number(&all, 0, "information_kept") >= 0.95);
    size_t dims = (size_t)harness_number(&all, 0, "components");
    mr_span model = kept(harness_artifact(&all, 0, "model"));
    harness_apply(&all, model, LEARN_ROWS, 1);
    double *scores = malloc(LEARN_ROWS * dims * sizeof *scores);
    assert_non_null(scores);
    for (size_t i = 0; i < LEARN_ROWS * dims; i++) scores[i] = at(&all, "scores.data[%zu]", i);
    harness_numbers(&few, "dimensionality_reducer", scores, LEARN_ROWS, (uint32_t)dims);
    static const char *const models[] = {"logistic", "trees"};
    for (size_t m = 0; m < 2; m++) {
        lesson on_all = learn(models[m], &all.batch, success), on_few = learn(models[m], &few.batch, success);
        print_message("%s: AUC %.4f in %.3f s on %d columns, %.4f in %.3f s on %zu\n", models[m], on_all.auc, on_all.seconds,
                      LEARN_WIDTH, on_few.auc, on_few.seconds, dims);
        assert_true(on_few.auc >= on_all.auc - 0.02);
        assert_true(on_few.seconds <= 0.7 * on_all.seconds);
    }
    forget(&model);
    harness_free(&all);
    harness_free(&few);
    free(scores);
    free(success);
    free(x);
}

static void refused(const char *text, const char *options, const char *word) {
    harness h;
    harness_text(&h, "dimensionality_reducer", text, NULL);
    harness_set(&h, options);
    assert_int_equal(harness_try(&h, 2, 7), MR_E_INVALID);
    if (!strstr(h.err.text, word)) fail_msg("'%s' does not say '%s'", h.err.text, word);
    harness_free(&h);
}

static void test_bad_input_is_refused_with_its_place(void **state) {
    (void)state;
    refused("a,b\n1,2\n3,\n4,5\n", "", "row 1, column 'b'");
    refused("a,b\n1,2\n", "", "1 rows are too few");
    refused("a,b\n1,2\n1,2\n1,2\n", "", "one value only");
    refused("a,b\n1,2\n2,3\n1,2\n", "components=3", "components is 3");
    refused("a,b\n1,2\n2,3\n1,2\n", "method=umap components=1", "too few rows");
}

static void test_a_foreign_model_is_refused(void **state) {
    (void)state;
    static double x[ROWS * WIDTH];
    harness h, other;
    synthetic(x);
    harness_numbers(&h, "dimensionality_reducer", x, ROWS, WIDTH);
    harness_run(&h, 100, 7);
    mr_artifact model = {"model", harness_artifact(&h, 0, "model")}, cut = {"model", {model.bytes.data, 40}};
    harness_numbers(&other, "dimensionality_reducer", x, 100, 5);
    mr_local_results results = {0};
    mr_local run = {.component = other.component, .config = other.config, .batch_rows = 100, .model = &model};
    mr_error err;
    assert_int_equal(mr_run_local(&run, &other.batch, &results, &err), MR_E_INVALID);
    mr_local_results_free(&results);
    run.model = &cut;
    assert_int_equal(mr_run_local(&run, &h.batch, &results, &err), MR_E_CORRUPT);
    mr_local_results_free(&results);
    harness_free(&other);
    harness_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wine_agrees_with_lapack_on_the_whole_matrix),
        cmocka_unit_test(test_breast_cancer_agrees_with_lapack_on_the_whole_matrix),
        cmocka_unit_test(test_eigenvalues_loadings_and_error_are_those_of_sklearn),
        cmocka_unit_test(test_any_batches_give_the_same_bytes),
        cmocka_unit_test(test_hidden_directions_and_constant_columns_are_found),
        cmocka_unit_test(test_a_stored_model_projects_new_rows),
        cmocka_unit_test(test_every_kind_of_model_puts_fitted_rows_where_the_fit_put_them),
        cmocka_unit_test(test_auto_scores_each_way_and_keeps_the_best),
        cmocka_unit_test(test_a_bent_sheet_goes_to_a_way_that_can_bend),
        cmocka_unit_test(test_an_update_with_new_rows_equals_a_fit_on_all_of_them),
        cmocka_unit_test(test_other_models_are_kept_until_new_rows_drift_away),
        cmocka_unit_test(test_a_wide_table_goes_by_random_projection_and_agrees_with_the_narrow_way),
        cmocka_unit_test(test_training_on_reduced_columns_is_faster_and_as_good),
        cmocka_unit_test(test_bad_input_is_refused_with_its_place),
        cmocka_unit_test(test_a_foreign_model_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
