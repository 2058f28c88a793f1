/* structural_analyzer: spans on a hand-labelled set (tests/vectors/structure/label.py), measures, and the
 * component. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/rng.h"
#include "tests/component/harness.h"
#include "worker/kit/structure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char NAME[] = "structural_analyzer";

static mr_structure_room room; /* of the last parse */

static mr_arena *parse(mr_span text, mr_structure *out) {
    mr_arena *arena = mr_arena_new(NULL, 64u << 20);
    assert_non_null(arena);
    assert_int_equal(mr_structure_room_init(&room, arena, 4096, NULL), MR_OK);
    assert_int_equal(mr_structure_parse(text, &room, out, NULL), MR_OK);
    return arena;
}

static bool labelled(const mr_json *spans, const mr_node *n) {
    for (size_t i = 0; i < mr_json_count(spans); i++) {
        const mr_json *s = mr_json_item(spans, i);
        mr_span kind;
        int64_t start, end;
        if (mr_json_text(mr_json_item(s, 0), &kind) && mr_span_eq(kind, mr_span_of(mr_node_names[n->kind])) &&
            mr_json_integer(mr_json_item(s, 1), &start) && start == n->start &&
            mr_json_integer(mr_json_item(s, 2), &end) && end == n->end)
            return true;
    }
    return false;
}

/* Every node but the document is among the labels, and there are as many. */
static void check_labels(const char *line) {
    mr_json *row;
    mr_span text;
    mr_structure s;
    assert_int_equal(mr_json_parse(mr_span_of(line), 1 << 16, 8, &row, NULL), MR_OK);
    assert_true(mr_json_text(mr_json_member(row, "prompt"), &text));
    const mr_json *spans = mr_json_member(row, "spans");
    mr_arena *arena = parse(text, &s);
    for (uint32_t i = 1; i < s.count; i++)
        if (!labelled(spans, &s.nodes[i]))
            fail_msg("'%.*s': %s [%u, %u) is not labelled", MR_SPAN_ARG(text), mr_node_names[s.nodes[i].kind],
                     s.nodes[i].start, s.nodes[i].end);
    if (s.count - 1 != mr_json_count(spans))
        fail_msg("'%.*s': %u spans, labelled %zu", MR_SPAN_ARG(text), s.count - 1, mr_json_count(spans));
    mr_arena_free(&arena);
    mr_json_free(&row);
}

static void spans_are_exact_on_the_labelled_set(void **state) {
    (void)state;
    FILE *f = fopen(MR_SOURCE_DIR "/tests/vectors/structure/labelled.jsonl", "r");
    assert_non_null(f);
    char line[4096];
    int rows = 0;
    for (; fgets(line, sizeof line, f); rows++) check_labels(line);
    fclose(f);
    assert_true(rows >= 40);
}

static void check_tree(const mr_structure *s, size_t length) {
    assert_true(s->nodes[0].kind == MR_NODE_DOCUMENT && s->nodes[0].start == 0 && s->nodes[0].end == length);
    for (uint32_t i = 1; i < s->count; i++) {
        const mr_node *n = &s->nodes[i], *up = &s->nodes[n->parent];
        assert_true(n->parent < i && n->depth == up->depth + 1);
        assert_true(up->start <= n->start && n->start < n->end && n->end <= up->end);
    }
}

/* Random pieces of markup: the tree always nests, whatever the text. */
static void any_text_gives_a_tree(void **state) {
    (void)state;
    static const char *const pieces[] = {
        "# ",  "- ",       "1. ",    "\n",      "\n\n",         "    ", "```", "`",       "{x}",    "<y>",
        "[Z]", "Example:", "Input:", "Output:", "e.g. ",        "word", " ",   "Do not.", "?",      "---",
        "===", "(",        ")",      "User:",   "\xe3\x80\x82", "\xff", "\t",  "${a}",    "Title:", "~~~"};
    mr_rng rng;
    mr_rng_seed(&rng, 11);
    for (int round = 0; round < 3000; round++) {
        char text[512];
        size_t n = 0, parts = 1 + mr_rng_below(&rng, 40);
        for (size_t i = 0; i < parts; i++) {
            const char *piece = pieces[mr_rng_below(&rng, sizeof pieces / sizeof *pieces)];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        char *exact = mr_new(NULL, n, 1); /* so that the sanitizer sees a read behind the end */
        memcpy(exact, text, n);
        mr_structure s;
        mr_arena *arena = parse((mr_span){(const uint8_t *)exact, n}, &s);
        check_tree(&s, n);
        mr_arena_free(&arena);
        mr_free(NULL, exact, n, 1);
    }
}

static mr_structure_measures measures_of(const char *text) {
    mr_structure s;
    mr_arena *arena = parse(mr_span_of(text), &s);
    mr_structure_measures m = mr_structure_measure(&s, mr_span_of(text), &room);
    mr_arena_free(&arena);
    return m;
}

static void balance_is_one_for_a_star_and_falls_with_nesting(void **state) {
    (void)state;
    mr_structure_measures star = measures_of("- a\n- b\n- c\n- d");
    assert_int_equal(star.leaves, 4);
    assert_true(star.sackin == 4 && star.balance == 1);
    /* Items b and c hang one fork deeper than a and d: 1 + 2 + 2 + 1 = 6 of at most 4 * 5 / 2 - 1 = 9. */
    mr_structure_measures nested = measures_of("- a\n- x\n  - b\n  - c\n- d");
    assert_true(nested.sackin == 6);
    assert_true(fabs(nested.balance - (1 - 2.0 / 5)) < 1e-15);
    assert_int_equal(measures_of("{a} {b} {a} {a}").cycles, 2);
    assert_int_equal(measures_of("").nodes, 1);
}

static void nodes_beyond_the_limit_are_left_out_and_told(void **state) {
    (void)state;
    harness h = {0};
    harness_text(&h, NAME,
                 "{\"prompt\": \"- a\\n- b\\n- c\\n- d\\n- e\\n- f\\n- g\\n- h\\n- i\\n- j\\n- k\\n- l\\n- "
                 "m\\n- n\\n- o\\n- p\\n- q\"}\n",
                 NULL);
    harness_set(&h, "max_nodes=16");
    harness_run(&h, 32, 1);
    assert_true(harness_number(&h, 0, "truncated") == 1);
    assert_true(harness_number(&h, 0, "nodes") == 16);
    harness_free(&h);
}

static void a_batch_gives_sums_and_a_tree_for_each_row(void **state) {
    (void)state;
    harness h = {0};
    harness_text(
        &h, NAME,
        "{\"prompt\": \"You are a poet. Write at most 9 words about {topic}.\"}\n{\"prompt\": \"hello\"}\n"
        "{\"prompt\": \"- a\\n- b\"}\n",
        NULL);
    harness_run(&h, 2, 1);
    assert_int_equal(harness_count(&h), 2);
    assert_true(harness_number(&h, 0, "with_role") == 0.5 && harness_number(&h, 0, "placeholders") == 1);
    assert_int_equal(harness_length(&h, 0, "trees"), 2);
    assert_true(harness_number(&h, 1, "trees[0].row") == 2);
    assert_string_equal(harness_string(&h, 0, "trees[0].tree[2][0]"), "role");
    assert_true(harness_number(&h, 0, "trees[0].tree[2][2]") == 15);
    assert_true(harness_number(&h, 1, "with_list") == 1);
    harness_free(&h);
}

static void real_prompts_pass(void **state) {
    (void)state;
    harness h = {0};
    harness_file(&h, NAME, "prompts/awesome_chatgpt_prompts.jsonl", NULL);
    harness_set(&h, "trees=false");
    harness_run(&h, 2000, 1);
    assert_true(harness_number(&h, 0, "with_role") > 0.2);
    assert_true(harness_number(&h, 0, "with_constraint") > 0.2);
    harness_free(&h);
}

/* The n-th allocation fails, for every n: a clean refusal and nothing left behind. */
static void a_failing_allocation_is_reported(void **state) {
    (void)state;
    harness_try_without_memory(NAME, "{\"prompt\": \"Say {x}.\\n\\n- a\\n- b\"}\n", NULL);
}

static void no_rows_give_an_empty_result(void **state) {
    (void)state;
    harness_try_without_rows(NAME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_exact_on_the_labelled_set),
        cmocka_unit_test(any_text_gives_a_tree),
        cmocka_unit_test(balance_is_one_for_a_star_and_falls_with_nesting),
        cmocka_unit_test(nodes_beyond_the_limit_are_left_out_and_told),
        cmocka_unit_test(a_batch_gives_sums_and_a_tree_for_each_row),
        cmocka_unit_test(real_prompts_pass),
        cmocka_unit_test(a_failing_allocation_is_reported),
        cmocka_unit_test(no_rows_give_an_empty_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
