/* Reference labels: tests/vectors/hdbscan.txt, by R's dbscan (see hdbscan.R). */
#include "common/rng.h"
#include "tests/component/harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void check_labels(const char *file, const char *role, int zscore, int size, const int *label, size_t n,
                         size_t clusters, double weight) {
    char set[128], path[32];
    harness h;
    harness_file(&h, "context_learner", file, role);
    assert_int_equal(h.batch.rows, n);
    snprintf(set, sizeof set, "min_cluster_size=%d min_samples=%d standardise=%s", size, size - 1,
             zscore ? "true" : "false");
    harness_set(&h, set);
    harness_run(&h, 32, 7);
    assert_true(harness_number(&h, 0, "clusters") == (double)clusters);
    assert_int_equal(harness_length(&h, 0, "labels"), n);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "labels[%zu]", i);
        assert_true(harness_number(&h, 0, path) == label[i]);
    }
    assert_true(fabs(harness_number(&h, 0, "tree_weight") / weight - 1) < 1e-9);
    harness_free(&h);
}

/* Every setting of the table in the reference file. */
static void check_table(const char *wanted, const char *file, const char *role) {
    static int label[1000];
    char name[64], there[4096];
    int zscore, size;
    size_t n, clusters, checked = 0;
    double weight, skipped;
    harness_data(file, there);
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/hdbscan.txt", "r");
    assert_non_null(f);
    while (fscanf(f, "%63s %d %d %zu %zu %lf", name, &zscore, &size, &n, &clusters, &weight) == 6) {
        for (size_t i = 0; i < clusters; i++) assert_int_equal(fscanf(f, "%lf", &skipped), 1);
        assert_true(n <= 1000);
        for (size_t i = 0; i < n; i++) assert_int_equal(fscanf(f, "%d", &label[i]), 1);
        if (strcmp(name, wanted) != 0) continue;
        check_labels(file, role, zscore, size, label, n, clusters, weight);
        checked++;
    }
    fclose(f);
    assert_in_range(checked, 4, 6);
}

static void test_labels_on_blobs_are_those_of_r_dbscan(void **state) {
    (void)state;
    check_table("hdbscan_blobs", MR_SOURCE_DIR "/tests/vectors/hdbscan_blobs.csv", "label=context");
}

static void test_labels_on_wine_are_those_of_r_dbscan(void **state) {
    (void)state;
    check_table("wine", "tabular/wine.csv", "label=target");
}

static void test_labels_on_breast_cancer_are_those_of_r_dbscan(void **state) {
    (void)state;
    check_table("breast_cancer", "tabular/breast_cancer.csv", "label=target");
}

static void test_planted_contexts_are_found_and_described(void **state) {
    (void)state;
    harness h;
    harness_file(&h, "context_learner", MR_SOURCE_DIR "/tests/vectors/hdbscan_blobs.csv", "label=context");
    harness_set(&h, "min_cluster_size=8");
    harness_run(&h, 32, 7);
    assert_true(harness_number(&h, 0, "clusters") == 4);
    assert_int_equal(harness_length(&h, 0, "cluster_list"), 4);
    assert_true(harness_number(&h, 0, "adjusted_rand") >= 0.85);
    assert_true(harness_number(&h, 0, "purity") > 0.95);
    assert_int_equal(harness_length(&h, 0, "stabilities"), 4);
    assert_in_range(harness_length(&h, 0, "cluster_list[0].features"), 1, 3);
    assert_true(harness_number(&h, 0, "strengths[0]") >= 0);
    assert_in_range(harness_length(&h, 0, "findings"), 5, 8);
    harness_free(&h);
}

static void test_the_same_rows_give_the_same_bytes_for_any_batch_size(void **state) {
    (void)state;
    harness h;
    mr_buf first;
    mr_buf_init(&first, NULL, 1 << 20);
    harness_file(&h, "context_learner", MR_SOURCE_DIR "/tests/vectors/hdbscan_blobs.csv", "label=context");
    harness_run(&h, 1, 7);
    mr_span bytes = harness_bytes(&h, 0);
    mr_buf_put(&first, bytes.data, bytes.len);
    harness_run(&h, 1000, 7);
    assert_true(mr_span_eq(mr_buf_span(&first), harness_bytes(&h, 0)));
    mr_buf_free(&first);
    harness_free(&h);
}

static void test_new_rows_are_assigned_without_refitting(void **state) {
    (void)state;
    harness h;
    mr_buf model;
    char path[32];
    int fitted[210], kept = 0, same = 0;
    mr_buf_init(&model, NULL, 1 << 20);
    harness_file(&h, "context_learner", MR_SOURCE_DIR "/tests/vectors/hdbscan_blobs.csv", "label=context");
    harness_run(&h, 32, 7);
    for (int i = 0; i < 210; i++) {
        snprintf(path, sizeof path, "labels[%d]", i);
        fitted[i] = (int)harness_number(&h, 0, path);
    }
    mr_span bytes = harness_artifact(&h, 0, "model");
    mr_buf_put(&model, bytes.data, bytes.len);
    harness_apply(&h, mr_buf_span(&model), 210, 7);
    for (int i = 0; i < 210; i++) {
        if (fitted[i] < 0) continue;
        snprintf(path, sizeof path, "labels[%d]", i);
        kept++;
        same += harness_number(&h, 0, path) == fitted[i];
    }
    assert_int_equal(same, kept);
    mr_buf_free(&model);
    harness_free(&h);
}

static void refused(const char *text, const char *options, const char *word) {
    harness h;
    harness_text(&h, "context_learner", text, NULL);
    harness_set(&h, options);
    assert_int_equal(harness_try(&h, 2, 7), MR_E_INVALID);
    if (!strstr(h.err.text, word)) fail_msg("'%s' does not say '%s'", h.err.text, word);
    harness_free(&h);
}

static void test_bad_input_is_refused_with_its_place(void **state) {
    (void)state;
    refused("a,b\n1,2\n3,\n4,5\n", "min_cluster_size=2 min_samples=1", "row 1, column 'b'");
    refused("a,b\n1,2\n3,4\n", "", "too few");
    refused("a,b\n1,2\n1,2\n1,2\n", "min_cluster_size=2 min_samples=1", "equal");
}

/* Three groups, far apart, row after row: what is sought in 200 rows holds for all 1,200. */
static void test_more_rows_than_max_rows_are_drawn_from_and_placed(void **state) {
    (void)state;
    enum { N = 1200 };
    static double x[N][2];
    mr_rng r;
    harness h;
    mr_rng_seed(&r, 5);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < 2; j++) x[i][j] = 20 * (i % 3 == j) + mr_rng_normal(&r);
    harness_numbers(&h, "context_learner", &x[0][0], N, 2);
    harness_set(&h, "max_rows=200 min_cluster_size=20 min_samples=5");
    harness_run(&h, 32, 7);
    assert_true(harness_number(&h, 0, "rows") == N && harness_number(&h, 0, "fitted") == 200);
    assert_true(harness_number(&h, 0, "clusters") == 3);
    double label[3] = {-1, -1, -1};
    for (int i = 0; i < N; i++) {
        char path[32];
        snprintf(path, sizeof path, "labels[%d]", i);
        double got = harness_number(&h, 0, path);
        if (got >= 0 && label[i % 3] < 0) label[i % 3] = got;
        assert_true(got == label[i % 3] || got == -1);
    }
    assert_true(harness_number(&h, 0, "noise") < 0.2 * N);
    assert_non_null(strstr(harness_string(&h, 0, "findings[0].text"), "drawn evenly from 1200"));
    harness_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_on_blobs_are_those_of_r_dbscan),
        cmocka_unit_test(test_labels_on_wine_are_those_of_r_dbscan),
        cmocka_unit_test(test_labels_on_breast_cancer_are_those_of_r_dbscan),
        cmocka_unit_test(test_planted_contexts_are_found_and_described),
        cmocka_unit_test(test_the_same_rows_give_the_same_bytes_for_any_batch_size),
        cmocka_unit_test(test_new_rows_are_assigned_without_refitting),
        cmocka_unit_test(test_bad_input_is_refused_with_its_place),
        cmocka_unit_test(test_more_rows_than_max_rows_are_drawn_from_and_placed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
