/* What people read, on tables as they come: constant columns, a handful of rows, groups that a column tells apart, far tails,
 * scales a billion times apart, names in any script. Whatever a component says or refuses, no sentence holds what is no
 * number, every p stands with its test's name, and there is a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/component/harness.h"
#include "common/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const components[] = {
    "context_learner",       "failure_mode_analyzer",     "causal_inference_analyzer",     "insight_generation_engine",
    "ab_testing_service",    "optimization_validator",    "pattern_significance_analyzer", "multi_armed_bandit",
    "clustering_optimizer",  "statistical_validator",     "ml_model_service",              "dimensionality_reducer",
    "early_stopping_framework", "quality_scorer",
};
static const char roles[] = "treatment=treat success=ok score=gain";
enum { TEXT_MAX = 1 << 16 };

typedef void (*row_maker)(FILE *f, int i, mr_rng *rng);

static void constant(FILE *f, int i, mr_rng *rng) {
    (void)rng;
    fprintf(f, "1,2,%d,1,0.5\n", i % 2);
}
static void separated(FILE *f, int i, mr_rng *rng) {
    fprintf(f, "%d,%g,%d,%d,%g\n", i, mr_rng_normal(rng), i >= 40, i >= 40, i / 80.0);
}
static void far_apart(FILE *f, int i, mr_rng *rng) {
    double tail = tan(3.1 * (mr_rng_unit(rng) - 0.5));
    fprintf(f, "%.17g,%.17g,%d,%d,%.6g\n", 1e9 + 1e6 * tail, 1e-6 * mr_rng_normal(rng), i % 2, i % 3 > 0, 1 / (1 + exp(-tail / 9)));
}
static void tied(FILE *f, int i, mr_rng *rng) {
    fprintf(f, "%d,%d,%d,%d,%g\n", (int)mr_rng_below(rng, 3), (int)mr_rng_below(rng, 2), i % 2, mr_rng_below(rng, 2) > 0,
            (double)mr_rng_below(rng, 3) / 2);
}

static const struct {
    const char *name;
    int rows;
    row_maker make;
} tables[] = {{"constant", 60, constant}, {"three rows", 3, tied},       {"one row", 1, tied},
              {"separated", 80, separated}, {"far apart", 120, far_apart}, {"tied", 90, tied}};

static char *table_text(size_t k) {
    static char text[TEXT_MAX];
    mr_rng rng;
    mr_rng_seed(&rng, 5 + k);
    FILE *f = fmemopen(text, sizeof text, "w");
    assert_non_null(f);
    fprintf(f, "\"größe, \"\"sehr\"\" 大大大大大大大大大大大大大大大大大大大大大大大大大大大大大大\",\"длина длина длина длина длина длина длина длина длина\",treat,ok,gain\n");
    for (int i = 0; i < tables[k].rows; i++) tables[k].make(f, i, &rng);
    fclose(f);
    return text;
}

static int bad;

static void check_sentence(const char *component, const char *table, const char *text) {
    static const char *const never[] = {"nan", "inf ", "inf)", "inf;", "inf,", " (null)", "e-17 ", NULL};
    for (int k = 0; never[k]; k++)
        if (strstr(text, never[k]) && ++bad) print_error("%s on %s says '%s'\n", component, table, text);
    if (mr_utf8_broken_at(mr_span_of(text)) < strlen(text))
        print_error("%s on %s cuts a character in '%s'\n", component, table, text), bad++;
}

static void every_sentence_can_be_read(void **state) {
    (void)state;
    size_t said = 0, refused = 0;
    for (size_t c = 0; c < sizeof components / sizeof *components; c++)
        for (size_t k = 0; k < sizeof tables / sizeof *tables; k++) {
            harness h = {0};
            harness_text(&h, components[c], table_text(k), roles);
            harness_set(&h, "");
            mr_status status = harness_try(&h, 4096, 7);
            if (status != MR_OK) {
                refused++;
                assert_int_equal(status, MR_E_INVALID);
                assert_true(strlen(h.err.text) > 10);
                check_sentence(components[c], tables[k].name, h.err.text);
            } else {
                size_t count = harness_length(&h, 0, "findings");
                if (count == 0) print_message("%s says nothing on %s\n", components[c], tables[k].name);
                for (size_t i = 0; i < count; i++) {
                    char at[64];
                    snprintf(at, sizeof at, "findings[%zu].text", i);
                    check_sentence(components[c], tables[k].name, harness_string(&h, 0, at));
                    said++;
                }
            }
            harness_free(&h);
        }
    print_message("%zu findings, %zu refusals\n", said, refused);
    assert_int_equal(bad, 0);
    assert_true(said > 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_sentence_can_be_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
