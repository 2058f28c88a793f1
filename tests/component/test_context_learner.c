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

/* ---- rows arrive ---- */

enum { BLOBS = 3, PER = 400, ALL = BLOBS * PER };

/* Rows of the groups in turn, and every twentieth far from all of them. */
static void blobs(double (*x)[2], int n, uint64_t seed) {
    mr_rng r;
    mr_rng_seed(&r, seed);
    for (int i = 0; i < n; i++) {
        bool stray = i % 20 == 19;
        for (int j = 0; j < 2; j++)
            x[i][j] = stray ? 400 * (mr_rng_unit(&r) - 0.5) : 20 * (i % BLOBS == j) + mr_rng_normal(&r);
    }
}

typedef struct left {
    mr_buf model, state;
} left;

static void keep(left *l, harness *h) {
    mr_span model = harness_artifact(h, 0, "model"), state = harness_artifact(h, 0, "state");
    mr_buf_clear(&l->model);
    mr_buf_put(&l->model, model.data, model.len);
    mr_buf_clear(&l->state);
    mr_buf_put(&l->state, state.data, state.len);
}

static void start_left(left *l) {
    mr_buf_init(&l->model, NULL, 1 << 24);
    mr_buf_init(&l->state, NULL, 1 << 24);
}

static void free_left(left *l) {
    mr_buf_free(&l->model);
    mr_buf_free(&l->state);
}

/* Runs over rows 0..to, or applies the state to rows from..to. */
static void take(harness *h, const mr_batch *all, uint32_t from, uint32_t to, left *l) {
    h->batch = mr_batch_slice(all, from, to - from);
    h->batch.first = 0; /* another data set, whose rows count from 0 */
    if (from == 0)
        harness_run(h, 64, 7);
    else
        harness_apply(h, mr_buf_span(&l->state), 37, from + 100); /* the state's seed counts, not the run's; nor does the batch size */
    keep(l, h);
}

static void same_artifacts(const left *a, const left *b) {
    assert_true(mr_span_eq(mr_buf_span(&a->model), mr_buf_span(&b->model)));
    assert_true(mr_span_eq(mr_buf_span(&a->state), mr_buf_span(&b->state)));
}

static void same_json(const mr_json *a, const mr_json *b, const char *name) {
    mr_buf x, y;
    assert_non_null(a);
    if (!b) fail_msg("there is no %s", name);
    mr_buf_init(&x, NULL, 1 << 24);
    mr_buf_init(&y, NULL, 1 << 24);
    mr_json_dump(a, &x);
    mr_json_dump(b, &y);
    if (!mr_span_eq(mr_buf_span(&x), mr_buf_span(&y))) fail_msg("%s differs", name);
    mr_buf_free(&x);
    mr_buf_free(&y);
}

/* Every field of the run over all rows is in the update (but `update` itself, nil in a run), and every finding, behind the one
 * that says what happened. */
static void same_result(harness *whole, harness *h) {
    void *at = NULL;
    const char *name;
    const mr_json *value;
    while (mr_json_next(harness_doc(whole, 0), &at, &name, &value)) {
        if (!strcmp(name, "update")) continue;
        if (strcmp(name, "findings") != 0) {
            same_json(value, harness_at(h, 0, name), name);
            continue;
        }
        assert_int_equal(mr_json_count(harness_at(h, 0, name)), mr_json_count(value) + 1);
        for (size_t i = 0; i < mr_json_count(value); i++)
            same_json(mr_json_item(value, i), mr_json_item(harness_at(h, 0, name), i + 1), name);
    }
}

static void test_a_refit_equals_a_run_over_all_rows_on_any_split(void **state) {
    (void)state;
    static double x[ALL][2];
    harness whole, h;
    left all, l;
    mr_rng r;
    mr_rng_seed(&r, 11);
    blobs(x, ALL, 5);
    start_left(&all);
    start_left(&l);
    harness_numbers(&whole, "context_learner", &x[0][0], ALL, 2);
    harness_numbers(&h, "context_learner", &x[0][0], ALL, 2);
    harness_set(&whole, "growth=0");
    harness_set(&h, "growth=0");
    mr_batch rows = h.batch;
    take(&whole, &rows, 0, ALL, &all);
    for (int k = 0; k < 4; k++) {
        uint32_t a = k ? 50 + (uint32_t)mr_rng_below(&r, 800) : ALL - 1;
        uint32_t b = k ? a + 1 + (uint32_t)mr_rng_below(&r, 300) : ALL;
        take(&h, &rows, 0, a, &l);
        take(&h, &rows, a, b, &l);
        if (b < ALL) take(&h, &rows, b, ALL, &l);
        assert_string_equal(harness_string(&h, 0, "update.reason"), "growth");
        same_artifacts(&all, &l);
        same_result(&whole, &h);
    }
    free_left(&all);
    free_left(&l);
    harness_free(&whole);
    harness_free(&h);
}

/* Of more rows than max_rows the state keeps the drawn ones: the clusters are still those of one run. */
static void test_a_refit_on_a_sample_has_the_model_of_a_run_over_all_rows(void **state) {
    (void)state;
    static double x[ALL][2];
    harness h;
    left all, l;
    blobs(x, ALL, 6);
    start_left(&all);
    start_left(&l);
    harness_numbers(&h, "context_learner", &x[0][0], ALL, 2);
    harness_set(&h, "max_rows=200 min_cluster_size=20 min_samples=5 growth=0.4");
    mr_batch rows = h.batch;
    take(&h, &rows, 0, ALL, &all);
    take(&h, &rows, 0, 700, &l);
    take(&h, &rows, 700, 800, &l); /* too few to search again */
    assert_true(harness_number(&h, 0, "update.refitted") == 0);
    assert_true(harness_number(&h, 0, "rows") == 800 && harness_number(&h, 0, "fitted") == 200);
    assert_int_equal(harness_length(&h, 0, "label_rows"), 300);
    assert_int_equal(harness_length(&h, 0, "labels"), 300);
    assert_true(harness_number(&h, 0, "label_rows[299]") == 799);
    assert_false(mr_span_eq(mr_buf_span(&all.model), mr_buf_span(&l.model)));
    take(&h, &rows, 800, ALL, &l);
    assert_true(harness_number(&h, 0, "update.refitted") == 1);
    assert_true(harness_number(&h, 0, "rows") == ALL && harness_number(&h, 0, "clusters") == 3);
    same_artifacts(&all, &l);
    h.batch = rows;
    free_left(&all);
    free_left(&l);
    harness_free(&h);
}

/* New rows of the same kind, in two parts: the old rows' clusters stay what they are, and the model too. */
static void test_rows_of_the_same_kind_are_put_into_the_clusters(void **state) {
    (void)state;
    static double x[2 * ALL][2];
    for (uint64_t seed = 1; seed <= 10; seed++) {
        harness h;
        left first, l;
        char path[32];
        static double before[ALL];
        blobs(x, 2 * ALL, seed);
        start_left(&first);
        start_left(&l);
        harness_numbers(&h, "context_learner", &x[0][0], 2 * ALL, 2);
        harness_set(&h, "min_cluster_size=20 growth=1.5");
        mr_batch rows = h.batch;
        take(&h, &rows, 0, ALL, &l);
        for (int i = 0; i < ALL; i++) {
            snprintf(path, sizeof path, "labels[%d]", i);
            before[i] = harness_number(&h, 0, path);
        }
        take(&h, &rows, 0, ALL, &first);
        take(&h, &rows, ALL, ALL + 100, &l);
        take(&h, &rows, ALL + 100, 2 * ALL, &l);
        assert_string_equal(harness_string(&h, 0, "update.reason"), "none");
        assert_true(harness_number(&h, 0, "update.new_rows") == ALL && harness_number(&h, 0, "rows") == 2 * ALL);
        assert_true(harness_number(&h, 0, "fitted") == ALL);
        assert_int_equal(harness_length(&h, 0, "labels"), 2 * ALL);
        assert_true(mr_span_eq(mr_buf_span(&first.model), mr_buf_span(&l.model)));
        assert_non_null(strstr(harness_string(&h, 0, "findings[0].text"), "are those found before: 1200 rows came since"));
        for (int i = 0; i < ALL; i++) {
            snprintf(path, sizeof path, "labels[%d]", i);
            assert_true(harness_number(&h, 0, path) == before[i]);
        }
        h.batch = rows;
        free_left(&first);
        free_left(&l);
        harness_free(&h);
    }
}

/* What comes, what it makes the search begin again for, and what it says of it. */
static void drifts(double (*x)[2], uint32_t n, const char *options, const char *reason, const char *word) {
    harness whole, h;
    left all, l;
    start_left(&all);
    start_left(&l);
    harness_numbers(&whole, "context_learner", &x[0][0], n, 2);
    harness_numbers(&h, "context_learner", &x[0][0], n, 2);
    harness_set(&whole, options);
    harness_set(&h, options);
    mr_batch rows = h.batch;
    take(&whole, &rows, 0, n, &all);
    take(&h, &rows, 0, ALL, &l);
    take(&h, &rows, ALL, n, &l);
    assert_string_equal(harness_string(&h, 0, "update.reason"), reason);
    if (!strstr(harness_string(&h, 0, "findings[0].text"), word))
        fail_msg("'%s' does not say '%s'", harness_string(&h, 0, "findings[0].text"), word);
    same_artifacts(&all, &l);
    same_result(&whole, &h);
    free_left(&all);
    free_left(&l);
    harness_free(&whole);
    harness_free(&h);
}

static void test_contexts_are_sought_anew_when_rows_drift_or_grow(void **state) {
    (void)state;
    enum { MORE = 300 };
    static double x[ALL + MORE][2];
    mr_rng r;
    mr_rng_seed(&r, 8);
    blobs(x, ALL + MORE, 5);
    drifts(x, ALL + MORE, "min_cluster_size=20", "growth", "grown by 25 %");
    for (int i = ALL; i < ALL + 40; i++) { /* a place where no row was */
        x[i][0] = -60 + mr_rng_normal(&r);
        x[i][1] = 60 + mr_rng_normal(&r);
    }
    drifts(x, ALL + 40, "min_cluster_size=20", "noise", "100 % of the 40 new rows belonged to none");
    blobs(x, ALL + MORE, 5);
    for (int i = ALL; i < ALL + MORE; i++) /* at the edges of the groups; strays as before */
        for (int j = 0; j < 2 && i % 20 != 19; j++)
            x[i][j] = 20 * (i % BLOBS == j) + (i % 2 ? 1.8 : -1.8) + 0.4 * mr_rng_normal(&r);
    drifts(x, ALL + 200, "min_cluster_size=20 min_samples=5", "strength", "belonged less strongly");
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
    static double x[ALL][2];
    static const char *const others[] = {"x0", "y"};
    harness h;
    left l;
    blobs(x, ALL, 5);
    start_left(&l);
    harness_numbers(&h, "context_learner", &x[0][0], 200, 2);
    harness_run(&h, 64, 7);
    keep(&l, &h);
    h.batch.first = 150; /* as a broker would cut it */
    apply_refused(&h, &l, 200, "row 150 begins a second batch");
    h.batch.first = 0;
    harness_set(&h, "standardise=false");
    apply_refused(&h, &l, 200, "standardise=1, and this one has 0");
    harness_set(&h, "max_rows=300");
    apply_refused(&h, &l, 200, "max_rows=20000, and this one has 300");
    harness_set(&h, "growth=2 drift=0"); /* of the update alone */
    harness_apply(&h, mr_buf_span(&l.state), 200, 7);
    h.batch.feature_names = others;
    apply_refused(&h, &l, 200, "y");
    free_left(&l);
    harness_free(&h);
}

/* The model takes 15.7 of the 31 MiB that both may have, and the state would take as much. */
static void test_a_state_that_does_not_fit_beside_the_model_is_left_out(void **state) {
    (void)state;
    enum { N = 4000, WIDE = 512 };
    mr_rng r;
    harness h;
    double *x = malloc((size_t)N * WIDE * sizeof *x);
    assert_non_null(x);
    mr_rng_seed(&r, 4);
    for (size_t i = 0; i < (size_t)N * WIDE; i++) x[i] = mr_rng_unit(&r) + (double)(i / WIDE % 2);
    harness_numbers(&h, "context_learner", x, N, WIDE);
    harness_run(&h, N, 7);
    bool said = false;
    for (size_t i = 0; i < harness_length(&h, 0, "findings"); i++) {
        char path[40];
        snprintf(path, sizeof path, "findings[%zu].text", i);
        said |= strstr(harness_string(&h, 0, path), "no state was kept: 4000 rows of 512 columns are over 15 MiB") != NULL;
    }
    assert_true(said);
    assert_true(harness_artifact(&h, 0, "model").len > (size_t)15 << 20);
    assert_int_equal(h.results.items[0].outcome.artifact_count, 1);
    harness_free(&h);
    free(x);
}

/* Bytes of a model and of a state are changed, and the rest is applied to four rows. */
static void test_broken_artifacts_are_refused_or_harmless(void **state) {
    (void)state;
    static double x[ALL][2];
    static const char *const options[] = {"growth=0", "growth=100 drift=0", "growth=100 max_rows=100"};
    harness h;
    left l;
    mr_rng r;
    mr_rng_seed(&r, 31);
    blobs(x, ALL, 5);
    start_left(&l);
    harness_numbers(&h, "context_learner", &x[0][0], 110, 2);
    mr_batch rows = h.batch;
    for (size_t k = 0; k < 3; k++) {
        harness_set(&h, options[k]);
        take(&h, &rows, 0, 110, &l);
        mr_batch some = mr_batch_slice(&rows, 0, 4);
        for (int i = 0; i < 1000; i++) {
            mr_buf *b = i % 4 ? &l.state : &l.model;
            uint8_t *at = b->data + mr_rng_below(&r, i % 3 ? b->len : 120), kept = *at;
            *at = (uint8_t)mr_rng_next(&r);
            mr_artifact broken = {"any", {b->data, i % 10 ? b->len : mr_rng_below(&r, b->len)}};
            mr_local run = {.component = h.component, .config = h.config, .batch_rows = 4, .model = &broken};
            mr_local_results results = {0};
            mr_status status = mr_run_local(&run, &some, &results, &h.err);
            assert_true(status == MR_OK || *h.err.text);
            assert_true(status != MR_E_INTERNAL);
            mr_local_results_free(&results);
            *at = kept;
        }
        h.batch = rows;
    }
    free_left(&l);
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
        cmocka_unit_test(test_a_refit_equals_a_run_over_all_rows_on_any_split),
        cmocka_unit_test(test_a_refit_on_a_sample_has_the_model_of_a_run_over_all_rows),
        cmocka_unit_test(test_rows_of_the_same_kind_are_put_into_the_clusters),
        cmocka_unit_test(test_contexts_are_sought_anew_when_rows_drift_or_grow),
        cmocka_unit_test(test_a_state_of_other_columns_or_options_is_refused),
        cmocka_unit_test(test_a_state_that_does_not_fit_beside_the_model_is_left_out),
        cmocka_unit_test(test_broken_artifacts_are_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
