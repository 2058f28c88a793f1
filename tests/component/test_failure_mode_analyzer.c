/* Reference values: tests/vectors/learners.py (scikit-learn's IsolationForest, mean of 10 seeds). */
#include "tests/component/harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static double reference_auc(const char *table) {
    char line[4096], name[64];
    double auc = NAN, sd;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/learners.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        double found;
        if (sscanf(line, "forest %63s %lf %lf", name, &found, &sd) == 3 && !strcmp(name, table)) auc = found;
    }
    fclose(f);
    assert_true(isnan(auc) == 0);
    return auc;
}

static void test_auc_on_breast_cancer_is_that_of_sklearn(void **state) {
    (void)state;
    double sum = 0;
    harness h;
    harness_file(&h, "failure_mode_analyzer", "tabular/breast_cancer.csv", "success=target");
    for (uint64_t seed = 1; seed <= 5; seed++) {
        harness_run(&h, 64, seed);
        double auc = harness_number(&h, 0, "anomaly_auc");
        assert_true(fabs(auc - reference_auc("breast_cancer")) < 0.03); /* sklearn's own seeds: sd 0.016 */
        sum += auc;
    }
    assert_true(fabs(sum / 5 - reference_auc("breast_cancer")) < 0.02);
    harness_free(&h);
}

/* The blobs' rows without a context are failures. */
static void test_auc_on_a_synthetic_set_is_that_of_sklearn(void **state) {
    (void)state;
    char line[256], *text = NULL;
    size_t len = 0;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/hdbscan_blobs.csv", "r"),
         *csv = open_memstream(&text, &len);
    harness h;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    fprintf(csv, "x,y,z,good\n");
    while (fgets(line, sizeof line, f)) {
        char *last = strrchr(line, ',');
        fprintf(csv, "%.*s,%d\n", (int)(last - line), line, strncmp(last, ",none", 5) != 0);
    }
    fclose(f);
    fclose(csv);
    harness_text(&h, "failure_mode_analyzer", text, "success=good");
    harness_run(&h, 32, 7);
    assert_true(harness_number(&h, 0, "failed") == 20);
    assert_true(fabs(harness_number(&h, 0, "anomaly_auc") - reference_auc("hdbscan_blobs")) < 0.02);
    harness_free(&h);
    free(text);
}

/* CATALOG: accuracy above 0.80 with false positives below 0.15 on held-out rows. */
static void test_failure_is_foreseen_on_held_out_rows(void **state) {
    (void)state;
    harness h;
    harness_file(&h, "failure_mode_analyzer", "tabular/breast_cancer.csv", "success=target");
    for (uint64_t seed = 1; seed <= 3; seed++) {
        harness_run(&h, 100, seed);
        assert_in_range((uint64_t)harness_number(&h, 0, "held_out.rows"), 100, 190);
        assert_true(harness_number(&h, 0, "held_out.accuracy") > 0.85);
        assert_true(harness_number(&h, 0, "held_out.false_positive_rate") < 0.15);
        assert_true(harness_number(&h, 0, "held_out.recall") > 0.75);
        assert_true(harness_number(&h, 0, "held_out.auc") > 0.93);
    }
    harness_free(&h);
}

enum { ROWS = 3000, WIDTH = 5 };

/* Successes around 0; two failure modes far apart, told by x1 and by x3, and a few scattered failures. */
static void synthetic(double *x, double *success) {
    mr_rng r;
    mr_rng_seed(&r, 21);
    for (int i = 0; i < ROWS; i++) {
        double *row = x + i * WIDTH;
        int kind = i % 20;
        for (int j = 0; j < WIDTH; j++) row[j] = mr_rng_normal(&r);
        if (kind == 3) row[1] += 12;
        if (kind == 11) row[3] -= 15;
        success[i] = kind != 3 && kind != 11;
        if (i % 500 == 250) {
            success[i] = 0;
            for (int j = 0; j < WIDTH; j++) row[j] = 40 * (mr_rng_unit(&r) - 0.5);
        }
    }
}

static void start_synthetic(harness *h, double *x, double *success) {
    static const char *const names[] = {"words", "length", "entropy", "depth", "questions"};
    synthetic(x, success);
    mr_batch batch = {.rows = ROWS,
                      .columns = MR_COL_FEATURES | MR_COL_SUCCESS,
                      .width = WIDTH,
                      .features = x,
                      .feature_names = names};
    batch.number[MR_NUM_SUCCESS] = success;
    harness_batch(h, "failure_mode_analyzer", &batch);
}

static void test_planted_failure_modes_are_found_and_named(void **state) {
    (void)state;
    static double x[ROWS * WIDTH], success[ROWS];
    harness h;
    start_synthetic(&h, x, success);
    harness_run(&h, 32, 7);
    assert_int_equal(harness_length(&h, 0, "modes"), 2);
    assert_true(harness_number(&h, 0, "modes[0].size") > 130 && harness_number(&h, 0, "modes[1].size") > 130);
    const char *first = harness_string(&h, 0, "modes[0].features[0].name");
    const char *second = harness_string(&h, 0, "modes[1].features[0].name");
    assert_true(!strcmp(first, "length") != !strcmp(second, "length"));
    assert_true(!strcmp(first, "depth") != !strcmp(second, "depth"));
    assert_true(harness_number(&h, 0, "held_out.accuracy") > 0.97);
    harness_free(&h);
}

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    static double x[ROWS * WIDTH], success[ROWS];
    static const uint32_t sizes[] = {7, 32, 1000, ROWS};
    harness h;
    mr_buf first, model;
    mr_buf_init(&first, NULL, 1 << 24);
    mr_buf_init(&model, NULL, 1 << 24);
    start_synthetic(&h, x, success);
    harness_set(&h, "sample=500 trees=50"); /* smaller than the rows: the sample must not depend on batches */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        harness_run(&h, sizes[i], 7);
        mr_span bytes = harness_bytes(&h, 0), artifact = harness_artifact(&h, 0, "model");
        if (i == 0) mr_buf_put(&first, bytes.data, bytes.len);
        if (i == 0) mr_buf_put(&model, artifact.data, artifact.len);
        assert_true(mr_span_eq(bytes, mr_buf_span(&first)));
        assert_true(mr_span_eq(artifact, mr_buf_span(&model)));
    }
    assert_true(harness_number(&h, 0, "rows") == ROWS);
    assert_true(harness_number(&h, 0, "sampled") == 500);
    mr_buf_free(&first);
    mr_buf_free(&model);
    harness_free(&h);
}

static void test_a_stored_model_scores_new_rows(void **state) {
    (void)state;
    static double x[ROWS * WIDTH], success[ROWS];
    double rows[2 * WIDTH] = {0, 0, 0, 0, 0, 0, 12, 0, 0, 0};
    harness h;
    mr_buf model;
    mr_buf_init(&model, NULL, 1 << 24);
    start_synthetic(&h, x, success);
    harness_set(&h, "nearest=2");
    harness_run(&h, 32, 7);
    mr_span bytes = harness_artifact(&h, 0, "model");
    mr_buf_put(&model, bytes.data, bytes.len);
    h.batch.rows = 2;
    h.batch.features = rows;
    h.batch.columns = MR_COL_FEATURES;
    harness_apply(&h, mr_buf_span(&model), 32, 7);
    assert_true(harness_number(&h, 0, "probabilities[0]") < 0.05);
    assert_true(harness_number(&h, 0, "probabilities[1]") > 0.95);
    assert_true(harness_number(&h, 0, "scores[1]") > harness_number(&h, 0, "scores[0]"));
    assert_int_equal(harness_length(&h, 0, "nearest_failures[1]"), 2);
    assert_int_equal((int)harness_number(&h, 0, "nearest_failures[1][0].row") % 20, 3);
    assert_true(harness_number(&h, 0, "nearest_failures[1][0].mode") >= 0);
    mr_buf_free(&model);
    harness_free(&h);
}

static void test_a_broken_model_is_refused_or_harmless(void **state) {
    (void)state;
    static double x[ROWS * WIDTH], success[ROWS];
    harness h;
    mr_buf model;
    mr_rng r;
    mr_rng_seed(&r, 31);
    mr_buf_init(&model, NULL, 1 << 24);
    start_synthetic(&h, x, success);
    harness_set(&h, "sample=64 trees=10");
    harness_run(&h, 100, 7);
    mr_span bytes = harness_artifact(&h, 0, "model");
    mr_buf_put(&model, bytes.data, bytes.len);
    mr_batch some = mr_batch_slice(&h.batch, 0, 4);
    for (int i = 0; i < 500; i++) {
        uint8_t *at = model.data + mr_rng_below(&r, i % 2 ? 400 : model.len), kept = *at;
        *at = (uint8_t)mr_rng_next(&r);
        mr_artifact broken = {"model", {model.data, i % 10 ? model.len : mr_rng_below(&r, model.len)}};
        mr_local run = {.component = h.component, .config = h.config, .batch_rows = 4, .model = &broken};
        mr_local_results results = {0};
        mr_status status = mr_run_local(&run, &some, &results, &h.err);
        assert_true(status == MR_OK || *h.err.text);
        mr_local_results_free(&results);
        *at = kept;
    }
    mr_buf_free(&model);
    harness_free(&h);
}

static void test_without_outcomes_only_anomalies_are_reported(void **state) {
    (void)state;
    static double x[ROWS * WIDTH], success[ROWS];
    harness h;
    synthetic(x, success);
    harness_numbers(&h, "failure_mode_analyzer", x, ROWS, WIDTH);
    harness_run(&h, 100, 7);
    assert_true(isnan(harness_number(&h, 0, "anomaly_auc")) != 0);
    assert_int_equal(harness_length(&h, 0, "modes"), 0);
    assert_int_equal(harness_length(&h, 0, "top_anomalies"), 10);
    assert_non_null(strstr(harness_string(&h, 0, "findings[0].text"), "only anomalies"));
    harness_free(&h);
}

static void refused(const char *text, const char *roles, const char *word) {
    harness h;
    harness_text(&h, "failure_mode_analyzer", text, roles);
    assert_int_equal(harness_try(&h, 4, 7), MR_E_INVALID);
    if (!strstr(h.err.text, word)) fail_msg("'%s' does not say '%s'", h.err.text, word);
    harness_free(&h);
}

static void test_bad_input_is_refused_with_its_place(void **state) {
    (void)state;
    refused("a,b\n1,2\n3,4\n5,\n", NULL, "row 2, column 'b'");
    refused("a\n1\n2\n3\n", NULL, "too few");
    refused("a\n1\n1\n1\n1\n1\n1\n1\n1\n1\n", NULL, "one value only");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auc_on_breast_cancer_is_that_of_sklearn),
        cmocka_unit_test(test_auc_on_a_synthetic_set_is_that_of_sklearn),
        cmocka_unit_test(test_failure_is_foreseen_on_held_out_rows),
        cmocka_unit_test(test_planted_failure_modes_are_found_and_named),
        cmocka_unit_test(test_any_batches_give_the_same_bytes),
        cmocka_unit_test(test_a_stored_model_scores_new_rows),
        cmocka_unit_test(test_a_broken_model_is_refused_or_harmless),
        cmocka_unit_test(test_without_outcomes_only_anomalies_are_reported),
        cmocka_unit_test(test_bad_input_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
