#include "common/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static mr_status parse(mr_span text, mr_arena *arena, mr_yaml *doc, mr_error *err) {
    return mr_yaml_parse(text, "f.yaml", arena, doc, err);
}

static void a_file_is_a_flat_list_with_places(void **state) {
    (void)state;
    static const char text[] =
        "# comment\nbroker:\n  address: \"tcp://127.0.0.1:1\"\n  tags: [a, 'b c']\nsteps:\n"
        "  - name: one\n    with: {k: 5}\n  - name: ~\n";
    static const struct {
        const char *path, *value;
        unsigned line;
    } expected[] = {{"broker.address", "tcp://127.0.0.1:1", 3},
                    {"broker.tags.1", "b c", 4},
                    {"steps.0.name", "one", 6},
                    {"steps.0.with.k", "5", 7},
                    {"steps.1.name", "~", 8}};
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_yaml doc;
    mr_error err = {0};
    assert_int_equal(parse(mr_span_of(text), arena, &doc, &err), MR_OK);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const mr_yaml_node *n = mr_yaml_find(&doc, expected[i].path);
        assert_non_null(n);
        assert_string_equal(n->value, expected[i].value);
        assert_int_equal(n->line, expected[i].line);
    }
    assert_int_equal(mr_yaml_find(&doc, "steps")->count, 2);
    assert_int_equal(mr_yaml_find(&doc, "steps")->kind, MR_YAML_LIST);
    assert_true(mr_yaml_find(&doc, "steps.1.name")->null);
    assert_string_equal(mr_yaml_find(&doc, "broker.tags.1")->key, "1");
    assert_null(mr_yaml_find(&doc, "broker.none"));
    mr_arena_free(&arena);
}

static void what_hides_or_repeats_is_refused_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {{"a: &x 1", "f.yaml:1:4: anchors"},
                 {"a: &x [1]\nb: *x", "anchors"},
                 {"b: *x", "f.yaml:1:4: aliases"},
                 {"a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key 'a' is given twice"},
                 {"a: !!int 5", "tags"},
                 {"? [a]\n: 1", "a key must be text"},
                 {"a: 1\n---\nb: 2", "f.yaml:2:1: only one document"},
                 {"a: [1", "f.yaml:"},
                 {"a: \"\\0\"", "NUL"},
                 {"\"\": 1", "empty key"},
                 {"a: \xff", "byte 4"},
                 {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "deeper than 16"},
                 {"\ta: 1", "f.yaml:1:1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_arena *arena = mr_arena_new(NULL, 1 << 20);
        mr_yaml doc;
        mr_error err = {0};
        assert_int_equal(parse(mr_span_of(cases[i].text), arena, &doc, &err), MR_E_INVALID);
        if (!strstr(err.text, cases[i].says)) fail_msg("'%s' says: %s", cases[i].text, err.text);
        mr_arena_free(&arena);
    }
}

static void nothing_is_fine_and_too_much_is_not(void **state) {
    (void)state;
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    mr_yaml doc;
    mr_error err = {0};
    assert_int_equal(parse((mr_span){NULL, 0}, arena, &doc, &err), MR_OK);
    assert_int_equal(doc.count, 0);
    size_t n = MR_YAML_BYTES + 1;
    char *text = malloc(n);
    memset(text, '\n', n);
    assert_int_equal(parse((mr_span){(uint8_t *)text, n}, arena, &doc, &err), MR_E_LIMIT);
    for (size_t i = 0; i < 3 * (MR_YAML_NODES + 1); i += 3) memcpy(text + i, "- \n", 3);
    assert_int_equal(parse((mr_span){(uint8_t *)text, 3 * (MR_YAML_NODES + 1)}, arena, &doc, &err),
                     MR_E_LIMIT);
    free(text);
    assert_int_equal(mr_yaml_read("/nonexistent/file.yaml", arena, &doc, &err), MR_E_NOT_FOUND);
    mr_arena_free(&arena);
    arena = mr_arena_new(NULL, 100);
    assert_int_equal(parse(mr_span_of("a: 1"), arena, &doc, &err), MR_E_MEMORY);
    mr_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_a_flat_list_with_places),
        cmocka_unit_test(what_hides_or_repeats_is_refused_with_its_place),
        cmocka_unit_test(nothing_is_fine_and_too_much_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
