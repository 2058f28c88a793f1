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

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    static double x[ROWS * WIDTH];
    static const uint32_t sizes[] = {1, 7, 32, 1000, ROWS};
    harness h;
    uint8_t first[65536], model[65536];
    size_t len = 0, model_len = 0;
    synthetic(x);
    harness_numbers(&h, "dimensionality_reducer", x, ROWS, WIDTH);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        harness_run(&h, sizes[i], 7);
        mr_span bytes = harness_bytes(&h, 0), artifact = harness_artifact(&h, 0, "model");
        if (i == 0) {
            assert_true(bytes.len < sizeof first && artifact.len < sizeof model);
            memcpy(first, bytes.data, len = bytes.len);
            memcpy(model, artifact.data, model_len = artifact.len);
        }
        assert_true(mr_span_eq(bytes, (mr_span){first, len}));
        assert_true(mr_span_eq(artifact, (mr_span){model, model_len}));
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
    uint8_t model[65536];
    harness h;
    synthetic(x);
    harness_numbers(&h, "dimensionality_reducer", x, ROWS, WIDTH);
    harness_set(&h, "components=3 scale=true");
    harness_run(&h, 32, 7);
    double error = harness_number(&h, 0, "reconstruction_error"),
           variance = harness_number(&h, 0, "eigenvalues[0]");
    mr_span bytes = harness_artifact(&h, 0, "model");
    assert_true(bytes.len < sizeof model);
    memcpy(model, bytes.data, bytes.len);
    harness_apply(&h, (mr_span){model, bytes.len}, ROWS, 7);
    double sum = 0;
    for (size_t i = 0; i < ROWS; i++) sum += pow(at(&h, "scores.data[%zu]", 3 * i), 2);
    assert_true(fabs(sum / (ROWS - 1) / variance - 1) < 1e-9);
    assert_true(fabs(harness_number(&h, 0, "reconstruction_error") / error - 1) < 1e-6);
    assert_int_equal(harness_length(&h, 0, "row_errors"), ROWS);
    harness_free(&h);
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
        cmocka_unit_test(test_bad_input_is_refused_with_its_place),
        cmocka_unit_test(test_a_foreign_model_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
