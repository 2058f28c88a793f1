/* The table of components, the catalogue made from it, and results printed from that catalogue alone. */
#include "tests/component/harness.h"
#include "worker/core/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void names_are_found_and_nearly_right_ones_explained(void **state) {
    (void)state;
    const mr_component *c;
    mr_error err;
    assert_non_null(mr_components[0]);
    for (const mr_component *const *at = mr_components; *at; at++) {
        char name[80];
        assert_ptr_equal(mr_component_find((*at)->name), *at);
        snprintf(name, sizeof name, "%sx", (*at)->name);
        assert_int_equal(mr_component_get(name, &c, &err), MR_E_NOT_FOUND);
        if (!strstr(err.text, (*at)->name)) fail_msg("%s", err.text);
    }
    assert_int_equal(mr_component_get("?", &c, &err), MR_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "millrace components"));
}

static mr_json *catalogue(void) {
    mr_buf text;
    mr_error err;
    mr_json *list = NULL;
    mr_buf_init(&text, NULL, 1 << 24);
    assert_int_equal(mr_catalogue_json(mr_components, &text, &err), MR_OK);
    assert_int_equal(mr_json_parse(mr_buf_span(&text), 1 << 24, MR_JSON_DEPTH, &list, &err), MR_OK);
    mr_buf_free(&text);
    return list;
}

static void the_catalogue_tells_everything(void **state) {
    (void)state;
    mr_json *list = catalogue();
    size_t n = 0;
    for (; mr_components[n]; n++) {
        const mr_component *c = mr_components[n];
        const mr_json *item = mr_json_item(list, n);
        mr_span text;
        size_t options = 0, outputs = 0;
        while (c->options && c->options[options].name) options++;
        while (c->outputs[outputs].name) outputs++;
        assert_true(mr_json_text(mr_json_member(item, "name"), &text));
        assert_true(mr_span_eq(text, mr_span_of(c->name)));
        assert_int_equal(mr_json_count(mr_json_member(item, "options")), options);
        assert_int_equal(mr_json_count(mr_json_member(item, "outputs")), outputs);
    }
    assert_int_equal(mr_json_count(list), n);
    mr_json_free(&list);
}

/* What the admin CLI prints from the catalogue is what `try` prints from the descriptor. */
static void results_print_the_same_from_catalogue_and_descriptor(void **state) {
    (void)state;
    mr_json *list = catalogue();
    for (const mr_component *const *c = mr_components; *c; c++) {
        harness h;
        mr_show a;
        mr_show_field fields[MR_SHOW_FIELDS];
        mr_buf x, y;
        harness_text(&h, (*c)->name, (*c)->examples[0].input, (*c)->examples[0].roles);
        harness_set(&h, (*c)->examples[0].options ? (*c)->examples[0].options : "");
        harness_run(&h, 1000000, 1);
        mr_buf_init(&x, NULL, 1 << 24);
        mr_buf_init(&y, NULL, 1 << 24);
        mr_show b = mr_catalogue_show(*c, fields);
        harness_expect(&h, mr_show_from_json(list, (*c)->name, h.arena, &a, &h.err), MR_OK);
        harness_expect(&h, mr_show_result(&a, MR_SHOW_FULL, harness_bytes(&h, 0), &x, &h.err), MR_OK);
        harness_expect(&h, mr_show_result(&b, MR_SHOW_FULL, harness_bytes(&h, 0), &y, &h.err), MR_OK);
        assert_true(mr_span_eq(mr_buf_span(&x), mr_buf_span(&y)));
        assert_true(x.len > 100);
        mr_buf_free(&x);
        mr_buf_free(&y);
        harness_free(&h);
    }
    mr_json_free(&list);
}

static void put_result(mr_buf *b, double mean, int64_t sum, double weight) {
    mr_pack_map(b, 3);
    mr_pack_text(b, "mean");
    mr_pack_f64(b, mean);
    mr_pack_text(b, "sum");
    mr_pack_i64(b, sum);
    mr_pack_text(b, "findings");
    char tally[64];
    snprintf(tally, sizeof tally, "of %d rows %d are good", (int)sum, 3);
    mr_pack_array(b, 2);
    mr_pack_map(b, 2);
    mr_pack_text(b, "weight");
    mr_pack_f64(b, weight);
    mr_pack_text(b, "text");
    mr_pack_text(b, weight > 0.5 ? "important" : "minor");
    mr_pack_map(b, 3);
    mr_pack_text(b, "weight");
    mr_pack_f64(b, 0);
    mr_pack_text(b, "text");
    mr_pack_text(b, tally);
    mr_pack_text(b, "tally");
    mr_pack_bool(b, true);
}

static void results_of_batches_are_summed_up_by_their_fold(void **state) {
    (void)state;
    static const mr_show_field fields[] = {{"mean", "ms", "a mean", MR_SHOW_MEAN},
                                           {"sum", NULL, "a sum", MR_SHOW_SUM}};
    mr_show show = {.name = "x", .count = 2, .fields = fields};
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_folding f;
    mr_buf b, out;
    mr_error err;
    mr_buf_init(&b, NULL, 1000);
    mr_buf_init(&out, NULL, 1 << 16);
    assert_int_equal(mr_folding_init(&f, &show, arena), MR_OK);
    put_result(&b, 1, 10, 0.1);
    assert_int_equal(mr_folding_add(&f, mr_buf_span(&b), 3, &err), MR_OK);
    mr_buf_clear(&b);
    put_result(&b, 5, 20, 0.9);
    assert_int_equal(mr_folding_add(&f, mr_buf_span(&b), 1, &err), MR_OK);
    assert_int_equal(mr_folding_add(&f, mr_span_of("\xc1"), 1, &err), MR_E_PROTOCOL);
    mr_folding_print(&f, &out);
    mr_buf_put(&out, "", 1);
    assert_string_equal((const char *)out.data, "  findings\n    - of 30 rows 6 are good\n    - important\n    - minor\n"
                                                "  over 4 rows in 2 batches\n"
                                                "    mean  mean   2  ms  a mean\n"
                                                "    sum   sum   30      a sum\n");
    mr_buf_free(&b);
    mr_buf_free(&out);
    mr_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_and_nearly_right_ones_explained),
        cmocka_unit_test(the_catalogue_tells_everything),
        cmocka_unit_test(results_print_the_same_from_catalogue_and_descriptor),
        cmocka_unit_test(results_of_batches_are_summed_up_by_their_fold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
