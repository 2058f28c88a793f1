/* The synthetic prompts: reproducible, unique, valid, and with the effects that the header promises. */
#include "common/features.h"
#include "common/grammar.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 8000, SWITCHES = 9 };

static mr_grammar *open_grammar(uint64_t seed) {
    mr_grammar *g;
    assert_int_equal(mr_grammar_new(NULL, seed, &g, NULL), MR_OK);
    return g;
}

static void the_same_seed_gives_the_same_rows(void **state) {
    (void)state;
    mr_grammar *a = open_grammar(7), *b = open_grammar(7), *c = open_grammar(8);
    unsigned equal = 0;
    for (int i = 0; i < 500; i++) {
        mr_prompt p, q, r;
        assert_int_equal(mr_grammar_next(a, &p, NULL), MR_OK);
        assert_int_equal(mr_grammar_next(b, &q, NULL), MR_OK);
        assert_int_equal(mr_grammar_next(c, &r, NULL), MR_OK);
        assert_memory_equal(p.hash, q.hash, 32);
        assert_true(mr_span_eq(p.session, q.session) && p.score == q.score && p.success == q.success);
        equal += mr_span_eq(p.prompt, r.prompt);
    }
    assert_true(equal < 50);
    mr_grammar_free(&a);
    mr_grammar_free(&b);
    mr_grammar_free(&c);
}

static int by_hash(const void *a, const void *b) { return memcmp(a, b, 32); }

static void rows_are_unique_valid_and_of_the_promised_length(void **state) {
    (void)state;
    mr_grammar *g = open_grammar(1);
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    uint8_t(*hashes)[32] = malloc(ROWS * sizeof *hashes);
    assert_non_null(hashes);
    size_t bytes = 0, enhanced = 0;
    for (int i = 0; i < ROWS; i++) {
        mr_prompt p, q;
        mr_buf json;
        mr_error err = {0};
        mr_buf_init(&json, NULL, 1 << 20);
        assert_int_equal(mr_grammar_next(g, &p, NULL), MR_OK);
        mr_prompt_to_json(&p, &json);
        if (mr_prompt_from_json(mr_buf_span(&json), NULL, NULL, arena, &q, NULL, &err) != MR_OK)
            fail_msg("%s", err.text);
        mr_prompt_hash(&q);
        assert_memory_equal(p.hash, q.hash, 32);
        assert_true(mr_span_eq(p.labels, q.labels) && mr_span_eq(p.enhancement, q.enhancement));
        mr_prompt alone = p; /* the prompt text alone is what must be unique */
        alone.has_enhancement = false;
        alone.enhancement.len = 0;
        mr_prompt_hash(&alone);
        memcpy(hashes[i], alone.hash, 32);
        bytes += p.prompt.len;
        enhanced += p.has_enhancement;
        mr_buf_free(&json);
        mr_arena_reset(arena);
    }
    qsort(hashes, ROWS, 32, by_hash);
    for (int i = 1; i < ROWS; i++) assert_memory_not_equal(hashes[i - 1], hashes[i], 32);
    assert_in_range(bytes / ROWS, 170, 230);
    assert_in_range(enhanced, ROWS * 65 / 100, ROWS * 75 / 100);
    free(hashes);
    mr_arena_free(&arena);
    mr_grammar_free(&g);
}

/* A switch is in the text exactly when the feature says so. */
static void features_show_the_switches(void **state) {
    (void)state;
    mr_grammar *g = open_grammar(2);
    mr_text *t;
    assert_int_equal(mr_text_new(NULL, &t, NULL), MR_OK);
    for (int i = 0; i < ROWS; i++) {
        mr_prompt p;
        float f[MR_FEATURES];
        assert_int_equal(mr_grammar_next(g, &p, NULL), MR_OK);
        assert_int_equal(mr_features(t, p.prompt, f, NULL), MR_OK);
        unsigned s = mr_grammar_switches(g);
        assert_int_equal(f[MR_F_EXAMPLE_MARKERS] > 0, (s & MR_GRAMMAR_EXAMPLE) != 0);
        assert_int_equal(f[MR_F_CONSTRAINT_WORDS] > 0, (s & MR_GRAMMAR_CONSTRAINT) != 0);
        assert_int_equal(f[MR_F_LIST_ITEMS] >= 2, (s & MR_GRAMMAR_LIST) != 0);
        assert_int_equal(f[MR_F_PLACEHOLDERS] > 0, (s & MR_GRAMMAR_PLACEHOLDER) != 0);
        assert_int_equal(f[MR_F_POLITENESS] > 0, (s & MR_GRAMMAR_POLITE) != 0);
        if (s & MR_GRAMMAR_RANT) assert_true(f[MR_F_CHARS] >= 500 && f[MR_F_UPPER_SHARE] > 0.6f);
        if (!(s & MR_GRAMMAR_RANT)) assert_true(f[MR_F_UPPER_SHARE] < 0.5f);
    }
    mr_text_free(&t);
    mr_grammar_free(&g);
}

/* Differences of success rates, switch on minus off. The signs are those of the header; politeness is the
 * decoy. */
static void planted_effects_are_there(void **state) {
    (void)state;
    mr_grammar *g = open_grammar(3);
    double hits[SWITCHES][2] = {{0}}, rows[SWITCHES][2] = {{0}};
    for (int i = 0; i < ROWS; i++) {
        mr_prompt p;
        assert_int_equal(mr_grammar_next(g, &p, NULL), MR_OK);
        assert_true(p.score >= 0 && p.score <= 1 && (p.success == 0 || p.success == 1));
        for (int k = 0; k < SWITCHES; k++) {
            int on = mr_grammar_switches(g) >> k & 1;
            if ((mr_grammar_switches(g) & MR_GRAMMAR_RANT) && k != 8)
                continue; /* its failures would hide the rest */
            rows[k][on]++;
            hits[k][on] += p.success;
        }
    }
    double d[SWITCHES];
    for (int k = 0; k < SWITCHES; k++) d[k] = hits[k][1] / rows[k][1] - hits[k][0] / rows[k][0];
    assert_true(d[0] > 0.15 && d[1] > 0.15 && d[2] > 0.10); /* example, constraint, list */
    assert_true(fabs(d[5]) < 0.05);                         /* polite */
    assert_true(d[6] < -0.25 && d[8] < -0.45);              /* vague, rant */
    assert_true(hits[8][1] / rows[8][1] < 0.02);
    mr_grammar_free(&g);
}

static void a_failed_allocation_is_told(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        mr_mem_failing f;
        mr_mem_failing_init(&f, n);
        mr_grammar *g = NULL;
        mr_status status = mr_grammar_new(&f.mem, 1, &g, NULL);
        for (int i = 0; i < 20 && status == MR_OK; i++) {
            mr_prompt p;
            status = mr_grammar_next(g, &p, NULL);
        }
        assert_true(status == MR_OK || status == MR_E_MEMORY);
        mr_grammar_free(&g);
        assert_int_equal(f.live, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_rows),
        cmocka_unit_test(rows_are_unique_valid_and_of_the_promised_length),
        cmocka_unit_test(features_show_the_switches),
        cmocka_unit_test(planted_effects_are_there),
        cmocka_unit_test(a_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
