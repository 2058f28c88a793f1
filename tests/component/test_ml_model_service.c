/* Reference values: tests/vectors/models.py (scikit-learn). */
#include "tests/component/harness.h"
#include "worker/kit/columns.h"
#include "worker/kit/models.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char NAME[] = "ml_model_service";
enum { COLUMNS = 5, FIRST = 12 };

/* The rest of the line of models.txt that starts with `name`. */
static double *vector(const char *name, int count, int skip) {
    static double v[64];
    static char line[4096];
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/models.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char *at = line + strlen(name);
        if (strncmp(line, name, strlen(name)) != 0 || skip-- > 0) continue;
        for (int i = 0; i < count; i++) v[i] = strtod(at, &at);
        fclose(f);
        return v;
    }
    fail_msg("no line %s", name);
    return NULL;
}

static void load(harness *h, const char *roles, const char *set) {
    harness_file(h, NAME, MR_SOURCE_DIR "/tests/vectors/models.csv", roles);
    harness_set(h, set);
}

static double item(harness *h, const char *format, size_t i) {
    char path[96];
    snprintf(path, sizeof path, format, i);
    return harness_number(h, 0, path);
}

static void close_to(double got, double expected, double relative) {
    if (!(fabs(got - expected) <= relative * fmax(1, fabs(expected))))
        fail_msg("%.17g, want %.17g", got, expected);
}

/* Both targets of models.csv have roles, so that neither is a feature. */
static void test_ridge_is_that_of_sklearn(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        const double *want = vector("ridge ", 15, k);
        char set[64];
        harness h;
        snprintf(set, sizeof set, "model=ridge lambda=%g", want[0]);
        load(&h, "outcome=y,label=class", set);
        assert_int_equal(h.batch.width, COLUMNS);
        harness_run(&h, 37, 1);
        close_to(harness_number(&h, 0, "coefficients[0].intercept"), want[1], 1e-9);
        for (size_t j = 0; j < COLUMNS; j++) {
            close_to(item(&h, "coefficients[0].weights[%zu]", j), want[2 + j], 1e-9);
            close_to(item(&h, "ridge.error[%zu]", j), want[7 + j], 1e-9);
        }
        close_to(harness_number(&h, 0, "ridge.df"), want[12], 1e-9);
        close_to(harness_number(&h, 0, "ridge.rss"), want[13], 1e-9);
        harness_free(&h);
    }
}

typedef struct table {
    harness h;
    mr_arena *arena;
    mr_scratch scratch;
    mr_examples rows;
} table;

static void open_table(table *t, const char *path, const char *roles, int slot) {
    double *y, v;
    harness_file(&t->h, NAME, path, roles);
    size_t n = t->h.batch.rows;
    t->arena = mr_arena_new(NULL, (size_t)1 << 30);
    mr_scratch_init(&t->scratch, t->arena);
    y = mr_arena_alloc(t->arena, n, sizeof *y);
    t->rows = (mr_examples){t->h.batch.features, y, n, t->h.batch.width, 0};
    for (size_t i = 0; i < n; i++) {
        if (slot >= 0) {
            y[i] = t->h.batch.number[slot][i];
            continue;
        }
        mr_span label = t->h.batch.text[MR_TEXT_LABEL][i];
        v = label.data[0] - '0';
        y[i] = v;
        if (v >= (double)t->rows.classes) t->rows.classes = (size_t)v + 1;
    }
}

static void close_table(table *t) {
    mr_arena_free(&t->arena);
    harness_free(&t->h);
}

static const mr_model_options defaults = {
    .lambda = 1, .c = 1, .scale = true, .trees = {.rounds = 100, .leaves = 31, .leaf_rows = 20, .rate = 0.1}};

static void test_logistic_is_that_of_sklearn(void **state) {
    (void)state;
    table t;
    mr_error err = {0};
    open_table(&t, MR_SOURCE_DIR "/tests/vectors/models.csv", "label=class,outcome=y", -1);
    for (int k = 0; k < 2; k++) {
        const double *want = vector("logit ", 7, k);
        mr_model_options o = defaults;
        mr_model m;
        double mean[COLUMNS], sd[COLUMNS], intercept;
        o.c = want[0];
        assert_int_equal(mr_model_fit(MR_MODEL_LOGISTIC, &t.rows, &o, &t.scratch, NULL, &m, &err), MR_OK);
        mr_mean_sd(t.rows.x, t.rows.n, COLUMNS, mean, sd);
        intercept = m.weight[COLUMNS];
        for (size_t j = 0; j < COLUMNS; j++) {
            close_to(m.weight[j] * sd[j], want[2 + j], 1e-9);
            intercept += m.weight[j] * mean[j];
        }
        close_to(intercept, want[1], 1e-9);
    }
    close_table(&t);
}

static void check_trees(const char *line, const char *roles, int slot) {
    table t;
    mr_model m;
    mr_error err = {0};
    const double *want = vector(line, FIRST, 0);
    open_table(&t, MR_SOURCE_DIR "/tests/vectors/models.csv", roles, slot);
    assert_int_equal(mr_model_fit(MR_MODEL_TREES, &t.rows, &defaults, &t.scratch, NULL, &m, &err), MR_OK);
    for (size_t i = 0; i < FIRST; i++) {
        double p[2];
        mr_model_at(&m, t.rows.x + i * COLUMNS, p);
        close_to(p[mr_model_width(&m) - 1], want[i], 0.02);
    }
    close_table(&t);
}

/* sklearn keeps gradients in single precision, so that near ties may fall the other way. */
static void test_trees_predict_as_those_of_sklearn(void **state) {
    (void)state;
    check_trees("trees number", "outcome=y,label=class", MR_NUM_OUTCOME);
    check_trees("trees class", "label=class,outcome=y", -1);
}

static void check_folds(const char *name) {
    char path[96], line[96];
    table t;
    mr_error err = {0};
    snprintf(path, sizeof path, "tabular/%s.csv", name);
    snprintf(line, sizeof line, "folds %s", name);
    const double *want = vector(line, 2, 0);
    open_table(&t, path, "label=target", -1);
    uint8_t *fold = mr_arena_alloc(t.arena, t.rows.n, 1);
    for (size_t i = 0; i < t.rows.n; i++) fold[i] = (uint8_t)(i % 5);
    for (mr_model_kind k = MR_MODEL_LOGISTIC; k <= MR_MODEL_TREES; k++) {
        mr_validation c;
        assert_int_equal(mr_cross_validate(k, &t.rows, fold, 5, &defaults, &t.scratch, NULL, &c, &err),
                         MR_OK);
        double tolerance = k == MR_MODEL_LOGISTIC ? 1e-4 : 0.005;
        print_message("%s %s: AUC %.5f, sklearn %.5f\n", name, mr_model_names[k], c.pooled.auc, want[k - 1]);
        assert_true(fabs(c.pooled.auc - want[k - 1]) < tolerance);
    }
    close_table(&t);
}

static void test_auc_in_the_same_folds_is_that_of_sklearn(void **state) {
    (void)state;
    check_folds("breast_cancer");
    check_folds("wine");
}

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1000, 1, 7, 333};
    static const char *const roles[] = {"outcome=y,label=class", "success=class,outcome=y"};
    static const char *const sets[] = {"target=outcome rounds=10 sample=300", "rounds=10 sample=300"};
    for (int r = 0; r < 2; r++) {
        harness h;
        uint8_t *first = NULL;
        size_t len = 0;
        load(&h, roles[r], sets[r]);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            harness_run(&h, sizes[i], 7);
            mr_span bytes = harness_bytes(&h, 0);
            if (i == 0) {
                first = malloc(len = bytes.len);
                assert_non_null(first);
                memcpy(first, bytes.data, len);
            }
            assert_true(mr_span_eq(bytes, (mr_span){first, len}));
        }
        assert_true(harness_number(&h, 0, "sampled") == 300 && harness_number(&h, 0, "rows") == 1000);
        free(first);
        harness_free(&h);
    }
}

static void serve(const char *set, const char *roles, const char *measure, double at_least) {
    harness h;
    load(&h, roles, set);
    harness_run(&h, 100, 7);
    mr_span bytes = harness_artifact(&h, 0, "model");
    uint8_t *model = malloc(bytes.len);
    size_t len = bytes.len;
    char path[64];
    assert_non_null(model);
    memcpy(model, bytes.data, len);
    harness_apply(&h, (mr_span){model, len}, 1000, 7);
    snprintf(path, sizeof path, "check.%s", measure);
    assert_true(harness_number(&h, 0, path) > at_least);
    assert_true(harness_number(&h, 0, "check.rows") == 1000);
    for (size_t cut = 1; cut < len; cut += 1 + len / 23) {
        mr_artifact broken = {"model", {model, cut}};
        mr_local_results results = {0};
        mr_local run = {.component = h.component, .config = h.config, .batch_rows = 1000, .model = &broken};
        mr_error err;
        assert_int_not_equal(mr_run_local(&run, &h.batch, &results, &err), MR_OK);
        mr_local_results_free(&results);
    }
    free(model);
    harness_free(&h);
}

static void test_a_stored_model_predicts_and_a_broken_one_is_refused(void **state) {
    (void)state;
    serve("model=ridge target=outcome", "outcome=y,label=class", "r2", 0.6);
    serve("model=trees target=outcome rounds=20", "outcome=y,label=class", "r2", 0.8);
    serve("model=logistic target=label", "outcome=y,label=class", "auc", 0.85);
    serve("model=trees target=label rounds=20", "outcome=y,label=class", "auc", 0.9);
}

static void refused(const char *text, const char *roles, const char *set, const char *word) {
    harness h;
    harness_text(&h, NAME, text, roles);
    harness_set(&h, set);
    assert_int_equal(harness_try(&h, 3, 7), MR_E_INVALID);
    if (!strstr(h.err.text, word)) fail_msg("'%s' does not say '%s'", h.err.text, word);
    harness_free(&h);
}

/* A column that decides the outcome alone is more likely its record than its cause: the person is told to look. */
static void test_a_perfect_prediction_is_doubted(void **state) {
    (void)state;
    char text[4096] = "a,b,ok\n";
    for (int i = 0; i < 80; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d,%d\n", i, i * 37 % 11, i >= 40);
    harness h = {0};
    bool told = false;
    harness_text(&h, "ml_model_service", text, "success=ok");
    harness_set(&h, "model=logistic");
    harness_run(&h, 4096, 1);
    for (size_t k = 0; k < harness_length(&h, 0, "findings"); k++) {
        char at[64];
        snprintf(at, sizeof at, "findings[%zu].text", k);
        told |= strstr(harness_string(&h, 0, at), "was written after it") != NULL;
    }
    assert_true(told);
    harness_free(&h);
}

static void test_bad_input_is_refused_with_its_reason(void **state) {
    (void)state;
    static const char ten[] =
        "x,z,y\n1,2,1\n2,4,2\n3,6,3\n4,8,4\n5,10,5\n6,12,6\n7,14,7\n8,16,8\n9,18,9\n10,20,1\n";
    static const char one[] = "x,k\n1,a\n2,a\n3,a\n4,a\n5,a\n6,a\n7,a\n8,a\n9,a\n10,a\n";
    refused("x,k\n1,a\n2,b\n", "label=k", "", "2 rows with a label are too few");
    refused(one, "label=k", "", "all rows are of one class, 'a'");
    refused(one, "label=k", "model=ridge", "row 0: the label is not a number");
    refused(ten, "success=y", "", "success is 2");
    refused(ten, "outcome=y", "model=logistic", "wants classes");
    refused(ten, "outcome=y", "model=ridge lambda=0", "collinear");
    refused(ten, "outcome=y", "target=score", "no row has a score");
}

/* Trained on what the reducer makes of the rows: the same as on a table of its scores, and without a dependence on how the
 * rows were cut. */
static void test_reduced_features_take_the_place_of_the_columns(void **state) {
    (void)state;
    enum { ROWS = 60, WIDTH = 5 };
    double x[ROWS * WIDTH], y[ROWS];
    mr_rng rng;
    mr_rng_seed(&rng, 11);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < WIDTH; j++) x[i * WIDTH + j] = mr_rng_normal(&rng) + (j ? x[i * WIDTH] : 0);
        y[i] = 2 * x[i * WIDTH] + 0.1 * mr_rng_normal(&rng);
    }
    harness reducer, h, direct;
    harness_numbers(&reducer, "dimensionality_reducer", x, ROWS, WIDTH);
    harness_set(&reducer, "components=2");
    harness_run(&reducer, 4096, 1);
    mr_buf model;
    mr_buf_init(&model, NULL, 1 << 20);
    mr_span bytes = harness_artifact(&reducer, 0, "model");
    mr_buf_put(&model, bytes.data, bytes.len);
    harness_numbers(&h, "ml_model_service", x, ROWS, WIDTH);
    h.batch.columns |= MR_COL_OUTCOME;
    h.batch.number[MR_NUM_OUTCOME] = y;
    harness_set(&h, "model=ridge");
    harness_give(&h, MR_USE_FEATURES, "dimensionality_reducer", "model", mr_buf_span(&model));
    harness_run(&h, 4096, 1);
    assert_int_equal(mr_json_count(mr_json_member(harness_doc(&h, 0), "columns")), 2);
    harness_apply(&reducer, mr_buf_span(&model), 4096, 1);
    double scores[ROWS * 2];
    const mr_json *data = mr_json_member(mr_json_member(harness_doc(&reducer, 0), "scores"), "data");
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++)
        assert_true(mr_json_number(mr_json_item(data, i), &scores[i]));
    static const char *const names[] = {"scores_1", "scores_2"};
    mr_batch same = h.batch;
    same.features = scores;
    same.width = 2;
    same.feature_names = names;
    harness_batch(&direct, "ml_model_service", &same);
    harness_set(&direct, "model=ridge");
    harness_run(&direct, 4096, 1);
    assert_true(mr_span_eq(harness_bytes(&h, 0), harness_bytes(&direct, 0)));
    harness_free(&direct);
    harness_free(&h);
    harness_free(&reducer);
    mr_buf_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ridge_is_that_of_sklearn),
        cmocka_unit_test(test_logistic_is_that_of_sklearn),
        cmocka_unit_test(test_trees_predict_as_those_of_sklearn),
        cmocka_unit_test(test_auc_in_the_same_folds_is_that_of_sklearn),
        cmocka_unit_test(test_any_batches_give_the_same_bytes),
        cmocka_unit_test(test_a_stored_model_predicts_and_a_broken_one_is_refused),
        cmocka_unit_test(test_a_perfect_prediction_is_doubted),
        cmocka_unit_test(test_bad_input_is_refused_with_its_reason),
        cmocka_unit_test(test_reduced_features_take_the_place_of_the_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
