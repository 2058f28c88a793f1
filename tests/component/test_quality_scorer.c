/* Reference values: tests/vectors/calibrate.py (scikit-learn). Calibration on rows that nothing was learnt
 * from: on planted feedback, and on people's rewrites of faltering questions (Disfl-QA). */
#include "tests/component/harness.h"
#include "worker/kit/calibrate.h"
#include "worker/kit/prompt_quality.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char NAME[] = "quality_scorer";

static void test_isotonic_and_platt_are_those_of_sklearn(void **state) {
    (void)state;
    enum { MOST = 400, POINTS = 11 };
    double score[MOST], y[MOST], at, isotonic, platt;
    int n;
    mr_calibration iso, sigmoid;
    mr_error err;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/calibrate.txt", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &n), 1);
    assert_int_equal(n, MOST);
    for (int i = 0; i < n; i++) assert_int_equal(fscanf(f, "%lf %lf", &score[i], &y[i]), 2);
    assert_int_equal(mr_isotonic_fit(score, y, MOST, arena, &iso, &err), MR_OK);
    mr_platt_fit(score, y, MOST, &sigmoid);
    for (int i = 0; i < POINTS; i++) {
        assert_int_equal(fscanf(f, "%lf %lf %lf", &at, &isotonic, &platt), 3);
        assert_true(fabs(mr_calibrated(&iso, at) - isotonic) < 1e-9);
        /* sklearn stops its descent at a gradient of 1e-5 or so. */
        assert_true(fabs(mr_calibrated(&sigmoid, at) - platt) < 1e-5);
    }
    fclose(f);
    mr_arena_free(&arena);
}

static void test_perfect_probabilities_have_an_error_near_the_stated_noise(void **state) {
    (void)state;
    enum { N = 2000, TIMES = 200 };
    static double p[N], y[N];
    double ece = 0, noise = 0;
    mr_rng rng;
    mr_rng_seed(&rng, 3);
    for (int t = 0; t < TIMES; t++) {
        for (int i = 0; i < N; i++) {
            p[i] = mr_rng_unit(&rng);
            y[i] = mr_rng_unit(&rng) < p[i];
        }
        mr_reliability r = mr_reliability_of(p, y, N);
        ece += r.ece / TIMES;
        noise += r.noise / TIMES;
    }
    assert_true(fabs(ece / noise - 1) < 0.05);
}

/* ---- the dimensions ---- */

static void measure(mr_quality_room *room, const char *text, double out[MR_QUALITY_DIMENSIONS]) {
    mr_quality_counts counts;
    mr_error err;
    assert_int_equal(mr_quality_measure(room, mr_span_of(text), &counts, out, &err), MR_OK);
}

static void test_each_dimension_moves_with_what_it_names(void **state) {
    (void)state;
    static const struct {
        int dimension;
        const char *worse, *better;
    } pairs[] = {
        {MR_QUALITY_CLARITY, "What uh no wait I mean who wrote the song?", "Who wrote the song?"},
        {MR_QUALITY_CLARITY, "Write something nice about various stuff and things.",
         "Write a note about the trip."},
        {MR_QUALITY_SPECIFICITY, "Write a note about the trip.",
         "Write a note of at most 120 words about the trip to Oslo on 2024-05-31. It must name \"Frogner "
         "Park\"."},
        {MR_QUALITY_COMPLETENESS, "Summer nights.",
         "You are an editor. Shorten the text below for a newsletter that is read on phones by busy people. "
         "You must "
         "not use more than 80 words.\n\nExample:\nInput: long text\nOutput: short text\n"},
        {MR_QUALITY_COHERENCE, "Name the capital. Cars burn fuel. Dogs like bones.",
         "Name the capital of France. The capital must be spelled in full. Then say why it became the "
         "capital."},
        {MR_QUALITY_COHERENCE, "What what is is the the name name?", "What is the name?"},
    };
    mr_quality_room room = {0};
    mr_error err;
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    double worse[MR_QUALITY_DIMENSIONS], better[MR_QUALITY_DIMENSIONS];
    assert_int_equal(mr_structure_room_init(&room.structure, arena, 1000, &err), MR_OK);
    assert_int_equal(mr_text_new(NULL, &room.text, &err), MR_OK);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        int d = pairs[i].dimension;
        measure(&room, pairs[i].worse, worse);
        measure(&room, pairs[i].better, better);
        if (!(worse[d] + 0.05 < better[d]))
            fail_msg("%s: %g for '%s'", mr_quality_names[d], worse[d], pairs[i].worse);
        for (int k = 0; k < MR_QUALITY_DIMENSIONS; k++)
            assert_true(worse[k] >= 0 && worse[k] <= 1 && better[k] >= 0 && better[k] <= 1);
    }
    mr_text_free(&room.text);
    mr_arena_free(&arena);
}

static void test_a_long_prompt_without_parts_is_poorly_structured(void **state) {
    (void)state;
    mr_quality_room room = {0};
    mr_error err;
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    char plain[8192] = "", parted[8192] = "# Task\n\n- one\n- two\n\n# Rules\n\n1. first\n2. second\n\n";
    double a[MR_QUALITY_DIMENSIONS], b[MR_QUALITY_DIMENSIONS];
    assert_int_equal(mr_structure_room_init(&room.structure, arena, 1000, &err), MR_OK);
    assert_int_equal(mr_text_new(NULL, &room.text, &err), MR_OK);
    for (int i = 0; i < 60; i++) strcat(plain, "The report lists the risks of the plan. ");
    strcat(parted, plain);
    measure(&room, plain, a);
    measure(&room, parted, b);
    assert_true(a[MR_QUALITY_STRUCTURE] < 0.1 && b[MR_QUALITY_STRUCTURE] > 0.7);
    mr_text_free(&room.text);
    mr_arena_free(&arena);
}

/* ---- the component ---- */

/* Prompts that succeed more often the fewer vague words they have, in steps that no sigmoid follows. */
static char *planted(int rows, uint64_t seed) {
    char *text = malloc((size_t)rows * 400), *at = text;
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    assert_non_null(text);
    for (int i = 0; i < rows; i++) {
        int vague = (int)mr_rng_below(&rng, 4);
        at += sprintf(
            at, "{\"prompt\": \"Describe the house and the garden%s%s%s of number %d.\", \"success\": %d}\n",
            vague > 0 ? " and stuff" : "", vague > 1 ? " somehow" : "", vague > 2 ? " or whatever" : "",
            i % 90, mr_rng_unit(&rng) < 0.85 - 0.2 * vague);
    }
    return text;
}

static void test_calibration_error_is_small_on_held_out_planted_feedback(void **state) {
    (void)state;
    static const char *const sets[] = {"calibration=isotonic", "", "calibration=platt"};
    char *text = planted(6000, 4);
    harness h;
    harness_text(&h, NAME, text, NULL);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        harness_set(&h, sets[i]);
        harness_run(&h, 500, 2);
        print_message("%s: ECE %.4f (noise %.4f), AUC %.3f\n", sets[i], harness_number(&h, 0, "held_out.ece"),
                      harness_number(&h, 0, "held_out.ece_noise"), harness_number(&h, 0, "held_out.auc"));
        assert_true(harness_number(&h, 0, "held_out.ece") < (i < 2 ? 0.05 : 0.1));
        assert_true(harness_number(&h, 0, "held_out.auc") > 0.6);
    }
    harness_free(&h);
    free(text);
}

static void test_any_batches_give_the_same_bytes(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1500, 1, 7, 333};
    char *text = planted(1500, 5);
    uint8_t *first = NULL;
    size_t len = 0;
    harness h;
    harness_text(&h, NAME, text, NULL);
    harness_set(&h, "sample=1000");
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
    free(first);
    harness_free(&h);
    free(text);
}

/* ---- Disfl-QA: the faltering question fails, the clean one succeeds ---- */

/* The bytes of a JSON string after `key`, still escaped. */
static mr_span raw_string(const char *line, const char *key) {
    const char *at = strstr(line, key), *end;
    assert_non_null(at);
    at += strlen(key);
    for (end = at; *end != '"'; end++)
        if (*end == '\\') end++;
    return (mr_span){(const uint8_t *)at, (size_t)(end - at)};
}

static char *questions(const char *path, bool test) {
    static char line[1 << 16];
    FILE *f = fopen(path, "r");
    size_t room = 16 << 20;
    char *text = malloc(room), *at = text;
    assert_non_null(f);
    assert_non_null(text);
    while (fgets(line, sizeof line, f)) {
        if ((strstr(line, "\"split\": \"test\"") != NULL) != test) continue;
        mr_span prompt = raw_string(line, "\"prompt\": \""), clean = raw_string(line, "\"enhancement\": \"");
        if (prompt.len == 0 || clean.len == 0) continue;
        at += sprintf(at, "{\"prompt\": \"%.*s\", \"success\": 0}\n{\"prompt\": \"%.*s\", \"success\": 1}\n",
                      MR_SPAN_ARG(prompt), MR_SPAN_ARG(clean));
        assert_true((size_t)(at - text) < room - (1 << 17));
    }
    fclose(f);
    return text;
}

static void test_a_stored_model_is_calibrated_on_people_s_rewrites(void **state) {
    (void)state;
    char path[4096];
    harness_data("prompts/disfl_qa_pairs.jsonl", path);
    char *train = questions(path, false), *test = questions(path, true);
    harness h, held_out;
    harness_text(&h, NAME, train, NULL);
    harness_run(&h, 1000, 1);
    mr_span model = harness_artifact(&h, 0, "model");
    harness_text(&held_out, NAME, test, NULL);
    harness_apply(&held_out, model, 1 << 20, 1);
    print_message("Disfl-QA test split: %g prompts, ECE %.4f (noise %.4f), AUC %.3f\n",
                  harness_number(&held_out, 0, "held_out.rows"), harness_number(&held_out, 0, "held_out.ece"),
                  harness_number(&held_out, 0, "held_out.ece_noise"),
                  harness_number(&held_out, 0, "held_out.auc"));
    assert_true(harness_number(&held_out, 0, "held_out.ece") < 0.05);
    assert_true(harness_number(&held_out, 0, "held_out.auc") > 0.8);
    harness_free(&held_out);
    harness_free(&h);
    free(train);
    free(test);
}

static void test_feedback_outside_0_to_1_is_refused(void **state) {
    (void)state;
    harness h;
    mr_span prompt = mr_span_of("Name the capital.");
    double seven = 7;
    mr_batch b = {.rows = 1, .columns = MR_COL_PROMPT | MR_COL_SUCCESS};
    b.text[MR_TEXT_PROMPT] = &prompt;
    b.number[MR_NUM_SUCCESS] = &seven;
    harness_batch(&h, NAME, &b);
    assert_int_equal(harness_try(&h, 3, 7), MR_E_INVALID);
    assert_non_null(strstr(h.err.text, "between 0 and 1"));
    harness_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_isotonic_and_platt_are_those_of_sklearn),
        cmocka_unit_test(test_perfect_probabilities_have_an_error_near_the_stated_noise),
        cmocka_unit_test(test_each_dimension_moves_with_what_it_names),
        cmocka_unit_test(test_a_long_prompt_without_parts_is_poorly_structured),
        cmocka_unit_test(test_calibration_error_is_small_on_held_out_planted_feedback),
        cmocka_unit_test(test_any_batches_give_the_same_bytes),
        cmocka_unit_test(test_a_stored_model_is_calibrated_on_people_s_rewrites),
        cmocka_unit_test(test_feedback_outside_0_to_1_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
