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

/* Flips bytes of what the run left under `name`, and applies it to four rows. */
static void break_and_apply(const char *name, int rounds) {
    static double x[ROWS * WIDTH], success[ROWS];
    harness h;
    mr_buf model;
    mr_rng r;
    mr_rng_seed(&r, 31);
    mr_buf_init(&model, NULL, 1 << 24);
    start_synthetic(&h, x, success);
    harness_set(&h, "sample=64 trees=10");
    harness_run(&h, 100, 7);
    mr_span bytes = harness_artifact(&h, 0, name);
    mr_buf_put(&model, bytes.data, bytes.len);
    mr_batch some = mr_batch_slice(&h.batch, 0, 4);
    for (int i = 0; i < rounds; i++) {
        uint8_t *at = model.data + mr_rng_below(&r, i % 2 ? 400 : model.len), kept = *at;
        *at = (uint8_t)mr_rng_next(&r);
        mr_artifact broken = {name, {model.data, i % 10 ? model.len : mr_rng_below(&r, model.len)}};
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

static void test_a_broken_model_is_refused_or_harmless(void **state) {
    (void)state;
    break_and_apply("model", 500);
}

static void test_a_broken_state_is_refused_or_harmless(void **state) {
    (void)state;
    break_and_apply("state", 500);
}

/* ---- rows arrive ---- */

typedef struct left {
    mr_buf result, model, state;
} left;

static void keep(mr_buf *to, mr_span bytes) {
    mr_buf_clear(to);
    mr_buf_put(to, bytes.data, bytes.len);
}

static void keep_all(left *l, harness *h) {
    keep(&l->result, harness_bytes(h, 0));
    keep(&l->model, harness_artifact(h, 0, "model"));
    keep(&l->state, harness_artifact(h, 0, "state"));
}

static void start_left(left *l) {
    mr_buf_init(&l->result, NULL, 1 << 24);
    mr_buf_init(&l->model, NULL, 1 << 24);
    mr_buf_init(&l->state, NULL, 1 << 24);
}

static void free_left(left *l) {
    mr_buf_free(&l->result);
    mr_buf_free(&l->model);
    mr_buf_free(&l->state);
}

static void add_rows(harness *h, const mr_batch *all, uint32_t from, uint32_t to, left *l) {
    h->batch = mr_batch_slice(all, from, to - from);
    h->batch.first = 0; /* another data set, whose rows count from 0 */
    if (from == 0)
        harness_run(h, 64, 7);
    else
        harness_apply(h, mr_buf_span(&l->state), 37, from + 100); /* the state's seed counts, not the run's; nor does the batch size */
    keep_all(l, h);
}

static void check_split(harness *h, const mr_batch *all, const left *whole, uint32_t a, uint32_t b) {
    left l;
    start_left(&l);
    add_rows(h, all, 0, a, &l);
    if (b > a) add_rows(h, all, a, b, &l);
    add_rows(h, all, b, ROWS, &l);
    assert_true(mr_span_eq(mr_buf_span(&l.result), mr_buf_span(&whole->result)));
    assert_true(mr_span_eq(mr_buf_span(&l.model), mr_buf_span(&whole->model)));
    assert_true(mr_span_eq(mr_buf_span(&l.state), mr_buf_span(&whole->state)));
    free_left(&l);
}

static void test_an_update_gives_the_bytes_of_a_run_over_all_rows(void **state) {
    (void)state;
    static double x[ROWS * WIDTH], success[ROWS];
    static const char *const sets[] = {"sample=300 trees=20", "sample=4000 trees=20"}; /* drawn, and all kept */
    mr_rng r;
    mr_rng_seed(&r, 3);
    for (size_t i = 0; i < 2; i++) {
        harness h;
        left whole;
        start_left(&whole);
        start_synthetic(&h, x, success);
        harness_set(&h, sets[i]);
        mr_batch all = h.batch;
        add_rows(&h, &all, 0, ROWS, &whole);
        check_split(&h, &all, &whole, 8, 9);
        check_split(&h, &all, &whole, ROWS - 1, ROWS - 1);
        for (int k = 0; k < 3; k++) {
            uint32_t a = 100 + (uint32_t)mr_rng_below(&r, 1000), b = a + (uint32_t)mr_rng_below(&r, 1000);
            check_split(&h, &all, &whole, a, b);
        }
        h.batch = all;
        free_left(&whole);
        harness_free(&h);
    }
}

static void apply_refused(harness *h, const left *l, uint32_t batch_rows, const char *word) {
    mr_artifact artifact = {"state", mr_buf_span(&l->state)};
    mr_local run = {.component = h->component, .config = h->config, .batch_rows = batch_rows, .model = &artifact};
    mr_local_results results = {0};
    assert_int_equal(mr_run_local(&run, &h->batch, &results, &h->err), MR_E_INVALID);
    if (!strstr(h->err.text, word)) fail_msg("'%s' does not say '%s'", h->err.text, word);
    mr_local_results_free(&results);
}

static void test_a_state_of_other_columns_or_options_is_refused(void **state) {
    (void)state;
    static double x[ROWS * WIDTH], success[ROWS];
    static const char *const others[] = {"words", "length", "entropy", "depth", "answers"};
    harness h;
    left l;
    start_left(&l);
    start_synthetic(&h, x, success);
    harness_set(&h, "sample=100 trees=20");
    harness_run(&h, 64, 7);
    keep_all(&l, &h);
    h.batch.first = 1000; /* as a broker would cut it */
    apply_refused(&h, &l, ROWS, "row 1000 begins a second batch");
    h.batch.first = 0;
    h.batch.feature_names = others;
    apply_refused(&h, &l, ROWS, "answers");
    harness_free(&h);
    start_synthetic(&h, x, success);
    harness_set(&h, "sample=100 trees=30");
    apply_refused(&h, &l, ROWS, "trees=20, and this one has 30");
    harness_set(&h, "sample=100 trees=20 nearest=5"); /* of the model alone */
    harness_apply(&h, mr_buf_span(&l.state), ROWS, 7);
    free_left(&l);
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
        cmocka_unit_test(test_a_broken_state_is_refused_or_harmless),
        cmocka_unit_test(test_an_update_gives_the_bytes_of_a_run_over_all_rows),
        cmocka_unit_test(test_a_state_of_other_columns_or_options_is_refused),
        cmocka_unit_test(test_without_outcomes_only_anomalies_are_reported),
        cmocka_unit_test(test_bad_input_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
