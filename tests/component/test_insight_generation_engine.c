/* insight_generation_engine and the kit under it (trend, outliers), against SciPy and statsmodels
 * (tests/vectors/insight.py), and on rows with planted trends, anomalies and effects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/component/harness.h"
#include "worker/kit/outliers.h"
#include "worker/kit/trend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NAME[] = "insight_generation_engine";
enum { SERIES_MAX = 200, ROWS = 3000, WIDTH = 8 };

static void check(const char *name, double got, double want, double relative) {
    if (!(fabs(got - want) <= relative * fabs(want) + 1e-14))
        fail_msg("%s: %.17g, not %.17g", name, got, want);
}

static void read_numbers(FILE *f, double *v, size_t n) {
    for (size_t i = 0; i < n; i++) assert_int_equal(fscanf(f, "%lf", &v[i]), 1);
}

static double read_expected(FILE *f, const char *name) {
    char word[64];
    double v;
    assert_int_equal(fscanf(f, " expect %63s %lf", word, &v), 2);
    assert_string_equal(word, name);
    return v;
}

/* ---- the kit against SciPy ---- */

static void compare_series(FILE *f) {
    double t[SERIES_MAX], x[SERIES_MAX], slope, intercept;
    size_t n;
    mr_trend r;
    mr_error err;
    mr_arena *arena = mr_arena_new(NULL, (size_t)1 << 28);
    assert_int_equal(fscanf(f, "%zu", &n), 1);
    read_numbers(f, t, n);
    read_numbers(f, x, n);
    assert_int_equal(mr_mann_kendall(t, x, n, arena, &r, &err), MR_OK);
    assert_int_equal(mr_theil_sen(t, x, n, arena, NULL, &slope, &intercept, &err), MR_OK);
    check("s", r.s, read_expected(f, "s"), 0);
    check("tau", r.tau, read_expected(f, "tau"), 1e-12);
    check("z", r.z, read_expected(f, "z"), 1e-12);
    check("p", r.p, read_expected(f, "p"), 1e-10);
    check("slope", slope, read_expected(f, "slope"), 1e-12);
    check("intercept", intercept, read_expected(f, "intercept"), 1e-12);
    assert_int_equal(mr_hamed_rao(x, n, arena, NULL, &r, &err), MR_OK);
    check("factor", r.factor, read_expected(f, "factor"), 1e-10);
    check("corrected_p", r.p, read_expected(f, "corrected_p"), 1e-10);
    mr_arena_free(&arena);
}

static void compare_esd(FILE *f) {
    static mr_extremes e;
    double x[SERIES_MAX], alpha;
    size_t n, most;
    mr_outlier out[MR_EXTREMES];
    assert_int_equal(fscanf(f, "%zu %zu %lf", &n, &most, &alpha), 3);
    read_numbers(f, x, n);
    e = (mr_extremes){0};
    for (size_t i = 0; i < n; i++) mr_extremes_add(&e, x[i], i);
    size_t outliers = mr_generalised_esd(&e, alpha, most, out);
    for (size_t i = 0; i < most; i++) {
        check("distance", out[i].distance, read_expected(f, "distance"), 1e-10);
        check("critical", out[i].critical, read_expected(f, "critical"), 1e-10);
    }
    check("outliers", (double)outliers, read_expected(f, "outliers"), 0);
}

static void trends_and_outliers_agree_with_scipy(void **state) {
    (void)state;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/insight.txt", "r");
    assert_non_null(f);
    char word[16];
    int found = 0;
    while (fscanf(f, "%15s", word) == 1 && strcmp(word, "row") != 0) {
        if (strcmp(word, "series") == 0)
            compare_series(f);
        else
            compare_esd(f);
        found++;
    }
    fclose(f);
    assert_int_equal(found, 5);
}

static double columns[ROWS * WIDTH], score[ROWS], when[ROWS];
static const char *const names[WIDTH] = {"a", "b", "c", "d", "e", "f", "g", "h"};

static void run(harness *h, uint32_t n, uint32_t width, const double *times, const char *set,
                uint32_t batch_rows) {
    mr_batch batch = {.rows = n,
                      .width = width,
                      .columns = MR_COL_FEATURES | MR_COL_OUTCOME,
                      .features = columns,
                      .feature_names = names};
    batch.number[MR_NUM_OUTCOME] = score;
    if (times) {
        batch.columns |= MR_COL_TIME;
        batch.number[MR_NUM_TIME] = times;
    }
    harness_batch(h, NAME, &batch);
    harness_set(h, set);
    harness_run(h, batch_rows, 7);
}

/* The map of the list whose text `key` is `value`, or NULL. */
static const mr_json *entry(harness *h, const char *list, const char *key, const char *value) {
    for (size_t i = 0; i < harness_length(h, 0, list); i++) {
        const mr_json *map = mr_json_item(harness_at(h, 0, list), i);
        mr_span text;
        if (mr_json_text(harness_path(map, key), &text) && mr_span_eq(text, mr_span_of(value))) return map;
    }
    return NULL;
}

static double number(const mr_json *map, const char *path) {
    double v = NAN;
    if (!map || !mr_json_number(harness_path(map, path), &v)) return NAN;
    return v;
}

static void associations_agree_with_statsmodels(void **state) {
    (void)state;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/insight.txt", "r");
    assert_non_null(f);
    static char line[16384];
    char column[2] = "", field[64];
    uint32_t n = 0;
    size_t checked = 0;
    double want;
    harness h = {0};
    while (fgets(line, sizeof line, f)) {
        double *x = columns + (size_t)n * 3;
        if (sscanf(line, "row %lf %lf %lf %lf", &score[n], x, x + 1, x + 2) == 4) n++;
        if (sscanf(line, "expect %1[abc].%63s %lf", column, field, &want) != 3) continue;
        if (checked++ == 0) run(&h, n, 3, NULL, "", 64);
        check(line, number(entry(&h, "effects", "column", column), field), want, 1e-9);
    }
    fclose(f);
    assert_int_equal(checked, 9);
    harness_free(&h);
}

/* ---- planted things ---- */

static size_t right, wrong, missed;

static void count(bool planted, bool found) {
    right += planted && found;
    wrong += !planted && found;
    missed += planted && !found;
}

/* One set of rows: some columns drift, some have anomalies, some move the outcome; all else is noise. */
static void plant_and_find(uint64_t seed) {
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    uint32_t odd_row[WIDTH];
    for (uint32_t i = 0; i < ROWS; i++) {
        double *x = columns + (size_t)i * WIDTH;
        for (int j = 0; j < WIDTH; j++) x[j] = mr_rng_normal(&rng);
        x[0] += 0.5 * i / ROWS;
        x[1] -= 0.6 * i / ROWS;
        x[7] += 0.7 * x[2]; /* tied to what matters, but does not matter itself */
        score[i] = 0.25 * x[2] - 0.2 * x[3] + mr_rng_normal(&rng);
        when[i] = 1.6e9 + 3600 * i;
    }
    for (int j = 4; j < 6; j++) {
        odd_row[j] = (uint32_t)mr_rng_below(&rng, ROWS);
        columns[(size_t)odd_row[j] * WIDTH + (size_t)j] = j == 4 ? 8 : -9;
    }
    harness h = {0};
    run(&h, ROWS, WIDTH, when, "", 500);
    for (int j = 0; j < WIDTH; j++) {
        count(j < 2, number(entry(&h, "trends", "measure", names[j]), "p_holm") < 0.01);
        count(j == 2 || j == 3, entry(&h, "recommendations", "column", names[j]) != NULL);
        const mr_json *odd = entry(&h, "anomalies", "measure", names[j]);
        size_t rows = odd ? mr_json_count(harness_path(odd, "rows")) : 0;
        for (size_t i = 0; i < rows; i++) {
            bool planted =
                (j == 4 || j == 5) && number(mr_json_item(harness_path(odd, "rows"), i), "row") == odd_row[j];
            count(planted, true);
        }
        if ((j == 4 || j == 5) && rows == 0) missed++;
    }
    harness_free(&h);
}

static void planted_things_are_found_and_little_else(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) plant_and_find(seed);
    print_message("%zu planted things found, %zu missed, %zu others: precision %.3f\n", right, missed, wrong,
                  (double)right / (double)(right + wrong));
    assert_int_equal(right + missed, 60);
    assert_true((double)right / (double)(right + wrong) >= 0.85);
    assert_true(right >= 57);
}

static void batches_do_not_change_a_byte(void **state) {
    (void)state;
    plant_and_find(3);
    harness one = {0}, many = {0};
    run(&one, ROWS, WIDTH, when, "", ROWS);
    run(&many, ROWS, WIDTH, when, "", ROWS);
    const mr_component *c = many.component;
    mr_component small = *c; /* the same with batches of 61 rows */
    small.batch_rows = 1;
    many.component = &small;
    harness_run(&many, 61, 7);
    assert_true(mr_span_eq(harness_bytes(&one, 0), harness_bytes(&many, 0)));
    many.component = c;
    harness_free(&one);
    harness_free(&many);
}

/* ---- rules ---- */

static void failed_rows_are_no_anomalous_successes(void **state) {
    (void)state;
    static char text[60000];
    size_t at = (size_t)snprintf(text, sizeof text, "x,ok\n");
    mr_rng rng;
    mr_rng_seed(&rng, 2);
    for (int i = 0; i < 300; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%.6f,%d\n",
                               i == 50 || i == 60 ? 12.0 : mr_rng_normal(&rng), i != 60 && i % 3 > 0);
    harness h = {0};
    harness_text(&h, NAME, text, "success=ok");
    harness_run(&h, 64, 7);
    const mr_json *rows = harness_at(&h, 0, "anomalies[0].rows");
    assert_int_equal(mr_json_count(rows), 1);
    assert_true(number(mr_json_item(rows, 0), "row") == 50);
    assert_string_equal(harness_string(&h, 0, "target"), "success");
    harness_free(&h);
}

static void heavy_tails_name_no_rows(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 4);
    for (uint32_t i = 0; i < ROWS; i++) {
        columns[i] = exp(2 * mr_rng_normal(&rng));
        score[i] = mr_rng_normal(&rng);
    }
    harness h = {0};
    run(&h, ROWS, 1, NULL, "", 500);
    assert_true(number(entry(&h, "anomalies", "measure", "a"), "heavy_tailed") == 1 ||
                harness_number(&h, 0, "anomalies[0].heavy_tailed") == 1);
    assert_int_equal(harness_length(&h, 0, "anomalies[0].rows"), 0);
    harness_free(&h);
}

static void recommendations_are_ranked_by_effect_and_support(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 5);
    for (uint32_t i = 0; i < ROWS; i++) {
        double *x = columns + (size_t)i * 3;
        x[0] = mr_rng_unit(&rng) < 0.95; /* nearly everyone has it already */
        x[1] = mr_rng_unit(&rng) < 0.3;
        x[2] = mr_rng_normal(&rng);
        score[i] = 0.8 * x[0] + 0.5 * x[1] - 0.1 * x[2] + 0.5 * mr_rng_normal(&rng);
    }
    harness h = {0};
    run(&h, ROWS, 3, NULL, "", 500);
    assert_string_equal(harness_string(&h, 0, "recommendations[0].column"), "b");
    assert_string_equal(harness_string(&h, 0, "recommendations[0].direction"), "raise");
    assert_string_equal(harness_string(&h, 0, "recommendations[1].column"), "c");
    assert_string_equal(harness_string(&h, 0, "recommendations[1].direction"), "lower");
    assert_true(fabs(harness_number(&h, 0, "recommendations[0].support") - 0.7) < 0.03);
    harness_free(&h);
}

static void autocorrelation_is_corrected_on_request(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 6);
    for (uint32_t i = 0; i < 400; i++) {
        columns[i] = i ? 0.9 * columns[i - 1] + mr_rng_normal(&rng) : 0;
        score[i] = mr_rng_normal(&rng);
    }
    harness h = {0};
    run(&h, 400, 1, NULL, "autocorrelation=true", 100);
    assert_true(harness_number(&h, 0, "trends[0].variance_factor") > 3);
    assert_string_equal(harness_string(&h, 0, "trends[0].test"), "Mann-Kendall (Hamed-Rao)");
    harness_free(&h);
}

/* The effect that is cited is the doubly robust one of the causal result, with where it comes from. */
static void test_a_causal_result_is_cited_and_another_is_refused(void **state) {
    (void)state;
    static const char rows[] = "x,t,y\n1,0,2\n2,0,3\n3,0,5\n4,0,6\n5,0,8\n2,1,5\n3,1,6\n4,1,8\n5,1,9\n6,1,11\n";
    harness causal, h;
    harness_text(&causal, "causal_inference_analyzer", "x,treatment,outcome\n1,0,2\n2,0,3\n3,0,5\n4,0,6\n5,0,8\n2,1,5\n3,1,6\n"
                                                       "4,1,8\n5,1,9\n6,1,11\n", NULL);
    harness_set(&causal, "");
    harness_run(&causal, 4096, 1);
    harness_text(&h, NAME, rows, "outcome=y");
    harness_set(&h, "");
    harness_run(&h, 4096, 1);
    assert_null(strstr((const char *)harness_bytes(&h, 0).data, "doubly robust"));
    harness_give(&h, MR_USE_INPUT, "causal_inference_analyzer", "", harness_bytes(&causal, 0));
    harness_run(&h, 4096, 1);
    const mr_json *cited = mr_json_member(harness_doc(&h, 0), "causal");
    const mr_json *effects = mr_json_member(harness_doc(&causal, 0), "effects");
    double effect = 0, expected = 1;
    assert_true(mr_json_number(mr_json_member(cited, "effect"), &effect));
    assert_true(mr_json_number(mr_json_member(mr_json_item(effects, 3), "effect"), &expected));
    assert_true(effect == expected);
    h.given[0].run = 7;
    harness_run(&h, 4096, 1);
    int64_t run = 0;
    assert_true(mr_json_integer(mr_json_member(mr_json_member(harness_doc(&h, 0), "causal_from"), "run"), &run) && run == 7);
    h.given[0].bytes = mr_span_of("\x80");
    assert_int_equal(harness_try(&h, 4096, 1), MR_E_INVALID);
    harness_free(&h);
    harness_free(&causal);
}

/* ---- confounding ---- */

enum { CONFOUNDED = 1500, CONFOUNDED_WIDTH = 3 };
static double confounded[CONFOUNDED * CONFOUNDED_WIDTH], arm[CONFOUNDED], gain[CONFOUNDED];
static const char *const confounded_names[] = {"difficulty", "length", "noise"};

/* difficulty decides on the arm and on the outcome; length only follows difficulty. The arm itself does `effect`. */
static void confound(double effect) {
    mr_rng rng;
    mr_rng_seed(&rng, 21);
    for (size_t i = 0; i < CONFOUNDED; i++) {
        double *x = confounded + i * CONFOUNDED_WIDTH;
        x[0] = mr_rng_normal(&rng);
        x[1] = x[0] + 0.5 * mr_rng_normal(&rng);
        x[2] = mr_rng_normal(&rng);
        arm[i] = mr_rng_unit(&rng) < 1 / (1 + exp(-1.2 * x[0]));
        gain[i] = x[0] + effect * arm[i] + mr_rng_normal(&rng);
    }
}

static void run_confounded(harness *h, const char *component, const harness *causal) {
    mr_batch b = {.rows = CONFOUNDED,
                  .width = CONFOUNDED_WIDTH,
                  .columns = MR_COL_FEATURES | MR_COL_TREATMENT | MR_COL_OUTCOME,
                  .features = confounded,
                  .feature_names = confounded_names};
    b.number[MR_NUM_TREATMENT] = arm;
    b.number[MR_NUM_OUTCOME] = gain;
    *h = (harness){0};
    harness_batch(h, component, &b);
    harness_set(h, "");
    if (causal) harness_give(h, MR_USE_INPUT, "causal_inference_analyzer", "", harness_bytes(causal, 0));
    harness_run(h, 512, 7);
}

/* The place of the column in a list of maps, or -1. */
static int place_of(harness *h, const char *list, const char *column) {
    for (size_t k = 0; k < harness_length(h, 0, list); k++) {
        char at[64];
        snprintf(at, sizeof at, "%s[%zu].column", list, k);
        if (strcmp(harness_string(h, 0, at), column) == 0) return (int)k;
    }
    return -1;
}

static const char *finding_with(harness *h, const char *words) {
    for (size_t k = 0; k < harness_length(h, 0, "findings"); k++) {
        char at[64];
        snprintf(at, sizeof at, "findings[%zu].text", k);
        const char *text = harness_string(h, 0, at);
        if (strstr(text, words)) return text;
    }
    return NULL;
}

static double number_of(harness *h, const char *column, const char *field) {
    char at[96];
    snprintf(at, sizeof at, "effects[%d].%s", place_of(h, "effects", column), field);
    return harness_number(h, 0, at);
}

/* The arm does nothing, and its difference by itself is large: it is said so, and ranks below everything. */
static void an_effect_that_vanishes_is_told_and_not_advised(void **state) {
    (void)state;
    harness causal, h;
    confound(0);
    run_confounded(&causal, "causal_inference_analyzer", NULL);
    run_confounded(&h, NAME, &causal);
    assert_int_equal(place_of(&h, "recommendations", "treatment"), -1);
    assert_int_equal(place_of(&h, "recommendations", "difficulty"), 0);
    assert_true(number_of(&h, "treatment", "vanished") == 1 && number_of(&h, "treatment", "naive") > 0.5);
    assert_true(harness_number(&h, 0, "causal.vanished") == 1);
    const char *text = finding_with(&h, "do not act on treatment");
    assert_non_null(text);
    assert_non_null(strstr(text, "after adjusting for difficulty"));
    assert_non_null(strstr(text, "causal_inference_analyzer"));
    harness_free(&h);
    harness_free(&causal);
}

/* The same with an effect of 0.5: it is advised by the causal estimate, not by the naive one of more than twice that. */
static void advice_goes_by_the_causal_effect(void **state) {
    (void)state;
    harness causal, h;
    confound(0.5);
    run_confounded(&causal, "causal_inference_analyzer", NULL);
    run_confounded(&h, NAME, &causal);
    int at = place_of(&h, "recommendations", "treatment");
    assert_true(at >= 0);
    char path[64];
    snprintf(path, sizeof path, "recommendations[%d].basis", at);
    assert_string_equal(harness_string(&h, 0, path), "causal effect");
    snprintf(path, sizeof path, "recommendations[%d].evidence", at);
    assert_non_null(strstr(harness_string(&h, 0, path), "doubly robust, n = 1500, after adjusting for difficulty"));
    assert_true(number_of(&h, "treatment", "naive") > 1);
    assert_true(fabs(harness_number(&h, 0, "causal.effect") - 0.5) < 0.2);
    const char *text = finding_with(&h, "raise treatment");
    assert_non_null(text);
    assert_non_null(strstr(text, "after adjusting for difficulty"));
    assert_non_null(strstr(text, "the naive difference is"));
    /* said once, not cited again beside the recommendation */
    assert_null(finding_with(&h, "outcome by treatment 1 against 0"));
    harness_free(&h);
    harness_free(&causal);
}

/* Without a causal result: length goes with the outcome only because difficulty does. */
static void a_column_that_only_follows_another_is_told(void **state) {
    (void)state;
    harness h;
    confound(0.5);
    run_confounded(&h, NAME, NULL);
    assert_int_equal(place_of(&h, "recommendations", "length"), -1);
    assert_true(number_of(&h, "length", "vanished") == 1 && number_of(&h, "noise", "vanished") == 0);
    const char *text = finding_with(&h, "do not act on length");
    assert_non_null(text);
    assert_non_null(strstr(text, "after adjusting for 3 other columns"));
    assert_string_equal(harness_string(&h, 0, "recommendations[0].basis"), "association");
    harness_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trends_and_outliers_agree_with_scipy),
        cmocka_unit_test(associations_agree_with_statsmodels),
        cmocka_unit_test(planted_things_are_found_and_little_else),
        cmocka_unit_test(batches_do_not_change_a_byte),
        cmocka_unit_test(failed_rows_are_no_anomalous_successes),
        cmocka_unit_test(heavy_tails_name_no_rows),
        cmocka_unit_test(recommendations_are_ranked_by_effect_and_support),
        cmocka_unit_test(autocorrelation_is_corrected_on_request),
        cmocka_unit_test(an_effect_that_vanishes_is_told_and_not_advised),
        cmocka_unit_test(advice_goes_by_the_causal_effect),
        cmocka_unit_test(a_column_that_only_follows_another_is_told),
        cmocka_unit_test(test_a_causal_result_is_cited_and_another_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
