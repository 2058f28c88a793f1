/* Lines of JSONL, their members, and prompt rows held in memory. */
#include "common/features.h"
#include "common/jsonl.h"
#include "common/rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static mr_span span(const char *s) { return mr_span_of(s); }

static mr_jsonl *lines(mr_source_memory *m, mr_span bytes, size_t max) {
    mr_jsonl *j;
    assert_int_equal(mr_jsonl_new(NULL, mr_source_from_memory(m, bytes), max, &j), MR_OK);
    return j;
}

static void lines_come_with_their_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t number;
    } want[] = {{"{\"a\":1}", 1}, {"x", 4}, {"last", 6}};
    mr_source_memory m;
    mr_jsonl *j = lines(&m, span("\xEF\xBB\xBF{\"a\":1}\r\n\n  \t\nx\n\nlast"), 0);
    mr_span line;
    uint64_t number;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mr_jsonl_next(j, &line, &number, NULL), MR_OK);
        assert_true(mr_span_eq(line, span(want[i].text)));
        assert_int_equal(number, want[i].number);
    }
    assert_int_equal(mr_jsonl_next(j, &line, &number, NULL), MR_E_NOT_FOUND);
    mr_jsonl_free(&j);
}

static void a_long_line_is_passed_over_and_not_held(void **state) {
    (void)state;
    size_t n = 3 << 20;
    char *text = malloc(n + 16);
    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text + n, "\nok\n12345\n", 10);
    for (size_t max = 5; max <= 100000; max *= 10) {
        mr_source_memory m;
        mr_jsonl *j = lines(&m, (mr_span){(uint8_t *)text, n + 10}, max);
        mr_span line;
        uint64_t number;
        assert_int_equal(mr_jsonl_next(j, &line, &number, NULL), MR_E_LIMIT);
        assert_int_equal(number, 1);
        assert_int_equal(mr_jsonl_next(j, &line, &number, NULL), MR_OK);
        assert_true(mr_span_eq(line, span("ok")) && number == 2);
        assert_int_equal(mr_jsonl_next(j, &line, &number, NULL), MR_OK);
        assert_int_equal(mr_jsonl_next(j, &line, &number, NULL), MR_E_NOT_FOUND);
        mr_jsonl_free(&j);
    }
    free(text);
}

static void members_keep_order_and_type(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_jsonl_member *m;
    size_t count, column;
    mr_span line = span("{\"z\":null,\"a\":true,\"i\":-3,\"n\":1.5,\"t\":\"x\",\"o\":{\"b\":1,\"a\":[]}}");
    assert_int_equal(mr_jsonl_object(line, 10, arena, &m, &count, &column, NULL), MR_OK);
    assert_int_equal(count, 6);
    for (size_t i = 0; i < count; i++) assert_int_equal(m[i].type, i);
    assert_true(m[1].as.boolean && m[2].as.integer == -3 && m[3].as.number == 1.5);
    assert_true(mr_span_eq(m[4].as.text, span("x")) && mr_span_eq(m[5].as.text, span("{\"a\":[],\"b\":1}")));
    assert_int_equal(mr_jsonl_object(line, 5, arena, &m, &count, &column, NULL), MR_E_LIMIT);
    assert_int_equal(mr_jsonl_object(span("{\"a\":1,}"), 5, arena, &m, &count, &column, NULL), MR_E_INVALID);
    assert_int_equal(column, 8);
    mr_arena_free(&arena);
}

static void columns_of_keys_are_found(void **state) {
    (void)state;
    mr_span line = span("{\"a\\\"\": {\"b\": 1}, \"b\" : 2, \"c\": \"b\"}");
    assert_int_equal(mr_jsonl_column_of(line, span("b")), 25);
    assert_int_equal(mr_jsonl_column_of(line, span("c")), 33);
    assert_int_equal(mr_jsonl_column_of(line, span("d")), 0);
}

typedef struct refusals {
    uint64_t count, line;
    size_t column;
} refusals;

static void refused(void *self, const mr_where *where, const mr_error *why) {
    refusals *r = self;
    assert_true(why->text[0] != 0);
    r->count++;
    r->line = where->line;
    r->column = where->column;
}

static void prompts_become_a_batch(void **state) {
    (void)state;
    static const char text[] =
        "{\"prompt\":\"Write two "
        "words.\",\"enhancement\":\"e\",\"labels\":{\"kind\":\"x\"},\"score\":0.5,\"created_at\":10}\n"
        "{\"prompt\":5}\n"
        "{\"prompt\":\"b\",\"labels\":{\"label\":2.5,\"n\":1},\"success\":true,\"cost\":7}\n";
    refusals told = {0};
    mr_rows_options o = {.refused = refused, .self = &told};
    mr_rows *r;
    mr_batch b;
    mr_bindings bind = {0};
    mr_error err = {0};
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    assert_int_equal(mr_rows_load_memory(NULL, "x", span(text), &o, &r, &err), MR_OK);
    assert_true(mr_rows_are_prompts(r) && mr_rows_count(r) == 2 && mr_rows_refused(r) == 1);
    assert_true(told.count == 1 && told.line == 2 && told.column == 11);
    assert_int_equal(
        mr_bindings_parse(&bind, "outcome=metadata.cost treatment=imperative_start item=labels.kind", NULL),
        MR_OK);
    assert_int_equal(mr_rows_batch(r, 0, 2, &bind, ~0u, arena, &b, &err), MR_OK);
    assert_int_equal(b.width, MR_FEATURES);
    assert_true(b.features[MR_F_WORDS] == 3 && b.features[MR_FEATURES + MR_F_WORDS] == 1);
    assert_true(mr_span_eq(b.text[MR_TEXT_PROMPT][1], span("b")));
    assert_true(mr_span_eq(b.text[MR_TEXT_ENHANCEMENT][0], span("e")) &&
                b.text[MR_TEXT_ENHANCEMENT][1].len == 0);
    assert_true(mr_span_eq(b.text[MR_TEXT_LABEL][0], span("x")) &&
                mr_span_eq(b.text[MR_TEXT_LABEL][1], span("2.5")));
    assert_true(mr_span_eq(b.text[MR_TEXT_ITEM][0], span("x")) && b.text[MR_TEXT_ITEM][1].len == 0);
    assert_true(b.number[MR_NUM_SCORE][0] == 0.5 && isnan(b.number[MR_NUM_SCORE][1]));
    assert_true(isnan(b.number[MR_NUM_SUCCESS][0]) && b.number[MR_NUM_SUCCESS][1] == 1);
    assert_true(isnan(b.number[MR_NUM_OUTCOME][0]) && b.number[MR_NUM_OUTCOME][1] == 7);
    assert_true(b.number[MR_NUM_TREATMENT][0] == 1 && b.number[MR_NUM_TREATMENT][1] == 0);
    assert_true(b.number[MR_NUM_TIME][0] == 10);
    bind.count = 0;
    assert_int_equal(mr_bindings_parse(&bind, "outcome=scor", NULL), MR_OK);
    assert_int_equal(mr_rows_batch(r, 0, 2, &bind, ~0u, arena, &b, &err), MR_E_INVALID);
    assert_non_null(strstr(err.text, "'score'"));
    mr_arena_free(&arena);
    mr_rows_free(&r);
}

static void rows_in_memory_are_bounded(void **state) {
    (void)state;
    mr_rows_options o = {.max_rows = 2};
    mr_rows *r = NULL;
    assert_int_equal(mr_rows_load_memory(NULL, "x", span("a\n1\n2\n3\n"), &o, &r, NULL), MR_E_LIMIT);
    mr_span prompts = span("{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"prompt\":\"c\"}\n");
    assert_int_equal(mr_rows_load_memory(NULL, "x", prompts, &o, &r, NULL), MR_E_LIMIT);
    o = (mr_rows_options){.max_bytes = 4096};
    assert_int_equal(mr_rows_load_memory(NULL, "x", prompts, &o, &r, NULL), MR_E_MEMORY);
    assert_int_equal(mr_rows_load_memory(NULL, "x", span("a\n"), NULL, &r, NULL), MR_E_INVALID);
    assert_int_equal(mr_rows_load(NULL, "/no/such/file", NULL, &r, NULL), MR_E_NOT_FOUND);
    assert_null(r);
}

static void count_file(const char *path, uint32_t good, uint64_t bad) {
    FILE *f = fopen(path, "r");
    if (!f) skip();
    fclose(f);
    mr_rows *r;
    mr_error err = {0};
    if (mr_rows_load(NULL, path, NULL, &r, &err) != MR_OK) fail_msg("%s", err.text);
    assert_int_equal(mr_rows_count(r), good);
    assert_int_equal(mr_rows_refused(r), bad);
    mr_rows_free(&r);
}

/* Counted with python3: rows whose prompt or answer is blank or has over 10,000 characters. */
static void real_files_are_read(void **state) {
    (void)state;
    count_file(MR_SOURCE_DIR "/../shared/data/prompts/disfl_qa_pairs.jsonl", 11824, 1);
    count_file(MR_SOURCE_DIR "/../shared/data/prompts/awesome_chatgpt_prompts.jsonl", 1450, 43);
    count_file(MR_SOURCE_DIR "/../shared/data/tabular/wine.csv", 178, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_with_their_numbers),
        cmocka_unit_test(a_long_line_is_passed_over_and_not_held),
        cmocka_unit_test(members_keep_order_and_type),
        cmocka_unit_test(columns_of_keys_are_found),
        cmocka_unit_test(prompts_become_a_batch),
        cmocka_unit_test(rows_in_memory_are_bounded),
        cmocka_unit_test(real_files_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
