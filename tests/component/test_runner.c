/* One call under its limits with its outputs checked, and the walk over batches and merges. */
#include "common/json.h"
#include "common/pack.h"
#include "worker/core/local.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const mr_field outputs[] = {{"first", MR_FIELD_NUMBER, NULL, "a number", MR_FOLD_SUM},
                                   {"second", MR_FIELD_INTEGER, NULL, "an integer", MR_FOLD_NONE},
                                   {"third", MR_FIELD_LIST, NULL, "a list", MR_FOLD_NONE},
                                   {"block", MR_FIELD_MATRIX, NULL, "a matrix", MR_FOLD_NONE},
                                   {0}};

typedef mr_status process(mr_ctx *, const void *, const mr_batch *, mr_out *);

static mr_component component_of(process *body) {
    return (mr_component){.name = "made_up",
                          .summary = "of the test",
                          .shape = MR_MAP,
                          .version = 1,
                          .outputs = outputs,
                          .deadline_ms = 10000,
                          .memory_mb = 1,
                          .process = body};
}

static mr_status run(process *body, mr_outcome *out) {
    mr_component c = component_of(body);
    mr_batch batch = {.rows = 3};
    mr_call call = {.component = &c, .batch = &batch, .last = true, .seed = 1};
    return mr_run_call(&call, out);
}

static void expect(process *body, mr_status status, const char *words) {
    mr_outcome out;
    assert_int_equal(run(body, &out), status);
    if (!strstr(out.err.text, words)) fail_msg("'%s' does not say '%s'", out.err.text, words);
    assert_int_equal(out.bytes.len, 0);
    mr_outcome_free(&out);
}

#define BODY(name, ...)                                                                                      \
    static mr_status name(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {             \
        (void)ctx;                                                                                           \
        (void)config;                                                                                        \
        (void)batch;                                                                                         \
        (void)out;                                                                                           \
        __VA_ARGS__                                                                                          \
    }

BODY(good, {
    static const double block[] = {1, NAN, 3, 4};
    mr_out_number(out, "first", NAN);
    mr_out_open_list(out, "third");
    mr_out_integer(out, NULL, 1);
    mr_out_open_map(out, NULL);
    mr_out_text(out, "name", "%s", "x");
    mr_out_close(out);
    mr_out_close(out);
    mr_out_matrix(out, "block", block, 2, 2);
    mr_out_finding(out, 0.2, "light");
    mr_out_finding(out, 0.9, "heavy");
    mr_out_finding(out, 0.2, "light too");
    return MR_OK;
})

static void a_result_has_every_field_and_sorted_findings(void **state) {
    (void)state;
    mr_outcome out;
    mr_buf json;
    mr_error err;
    assert_int_equal(run(good, &out), MR_OK);
    mr_buf_init(&json, NULL, 1 << 20);
    assert_int_equal(mr_json_from_pack(mr_buf_span(&out.bytes), &json, &err), MR_OK);
    mr_buf_put(&json, "", 1);
    assert_string_equal(
        (const char *)json.data,
        "{\"first\":null,\"second\":null,\"third\":[1,{\"name\":\"x\"}],"
        "\"block\":{\"rows\":2,\"cols\":2,\"data\":[1.0,null,3.0,4.0]},"
        "\"findings\":[{\"weight\":0.9,\"text\":\"heavy\"},{\"weight\":0.2,\"text\":\"light\"},"
        "{\"weight\":0.2,\"text\":\"light too\"}]}");
    mr_buf_free(&json);
    mr_outcome_free(&out);
}

BODY(undeclared, {
    mr_out_number(out, "nothing", 1);
    return MR_OK;
})
BODY(wrong_type, {
    mr_out_integer(out, "first", 1);
    return MR_OK;
})
BODY(out_of_order, {
    mr_out_integer(out, "second", 1);
    mr_out_number(out, "first", 1);
    return MR_OK;
})
BODY(twice, {
    mr_out_number(out, "first", 1);
    mr_out_number(out, "first", 1);
    return MR_OK;
})
BODY(left_open, {
    mr_out_open_list(out, "third");
    return MR_OK;
})
BODY(closed_too_often, {
    mr_out_close(out);
    return MR_OK;
})
BODY(named_in_list, {
    mr_out_open_list(out, "third");
    mr_out_number(out, "x", 1);
    return MR_OK;
})
BODY(partial, {
    mr_out_partial(out, "x", 1);
    return MR_OK;
})
BODY(same_artifact, {
    mr_out_artifact(out, "model", "text/plain", mr_span_of("a"));
    mr_out_artifact(out, "model", "text/plain", mr_span_of("b"));
    return MR_OK;
})

static void what_is_not_declared_is_a_defect(void **state) {
    (void)state;
    expect(undeclared, MR_E_INTERNAL, "'nothing'");
    expect(wrong_type, MR_E_INTERNAL, "another type");
    expect(out_of_order, MR_E_INTERNAL, "out of order");
    expect(twice, MR_E_INTERNAL, "twice");
    expect(left_open, MR_E_INTERNAL, "left open");
    expect(closed_too_often, MR_E_INTERNAL, "closes more");
    expect(named_in_list, MR_E_INTERNAL, "in a list has a name");
    expect(partial, MR_E_INTERNAL, "where a result is wanted");
    expect(same_artifact, MR_E_INTERNAL, "two artifacts");
}

BODY(greedy, { return mr_ctx_alloc(ctx, 1, 2 << 20) ? MR_OK : MR_E_MEMORY; })
BODY(refusing, { return mr_refuse(ctx, MR_E_INVALID, "row %d is odd", 2); })
BODY(endless, {
    for (;;) MR_TRY(mr_tick(ctx));
})
BODY(too_large, {
    mr_out_open_list(out, "third");
    for (int i = 0; i < 3000000; i++) mr_out_number(out, NULL, 0.5);
    mr_out_close(out);
    return MR_OK;
})

static void limits_and_refusals_come_with_a_sentence(void **state) {
    (void)state;
    expect(greedy, MR_E_MEMORY, "1 MiB");
    expect(refusing, MR_E_INVALID, "row 2 is odd");
    expect(too_large, MR_E_LIMIT, "larger than 24 MiB");
    mr_component c = component_of(endless);
    mr_batch batch = {.rows = 1};
    mr_call call = {.component = &c, .batch = &batch, .last = true, .deadline_ms = 20};
    mr_outcome out;
    assert_int_equal(mr_run_call(&call, &out), MR_E_DEADLINE);
    assert_non_null(strstr(out.err.text, "20 ms"));
    mr_outcome_free(&out);
}

static void columns_that_are_missing_are_named(void **state) {
    (void)state;
    mr_component c = component_of(good);
    mr_batch batch = {.rows = 1};
    mr_outcome out;
    c.columns = MR_COL_LABEL;
    mr_call call = {.component = &c, .batch = &batch, .last = true};
    assert_int_equal(mr_run_call(&call, &out), MR_E_INVALID);
    assert_non_null(strstr(out.err.text, "--role label=COLUMN"));
    mr_outcome_free(&out);
    mr_artifact model = {.name = "model"};
    call.model = &model;
    c.columns = 0;
    assert_int_equal(mr_run_call(&call, &out), MR_E_INVALID);
    assert_non_null(strstr(out.err.text, "cannot apply"));
    mr_outcome_free(&out);
}

BODY(sees_features, { return batch->features || batch->columns ? MR_E_INVALID : MR_OK; })

static void columns_that_were_not_asked_for_are_hidden(void **state) {
    (void)state;
    static const double x[] = {1};
    mr_component c = component_of(sees_features);
    mr_batch batch = {.rows = 1, .columns = MR_COL_FEATURES, .width = 1, .features = x};
    mr_call call = {.component = &c, .batch = &batch, .last = true};
    mr_outcome out;
    assert_int_equal(mr_run_call(&call, &out), MR_OK);
    mr_outcome_free(&out);
}

/* ---- the merge tree: a partial is the list of rows it has seen, in order ---- */

static mr_status note_rows(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    (void)ctx;
    (void)config;
    mr_buf *b = mr_out_partial_buf(out);
    for (uint32_t i = 0; i < batch->rows; i++) {
        uint32_t row = (uint32_t)batch->first + i;
        mr_buf_put(b, &row, sizeof row);
    }
    return MR_OK;
}

static mr_status join_rows(mr_ctx *ctx, const void *config, const mr_partials *p, mr_out *out) {
    (void)ctx;
    (void)config;
    uint32_t expected = 0, row;
    if (p->count == 0 || p->count > MR_MERGE_FAN_IN) return MR_E_INVALID;
    for (uint32_t i = 0; i < p->count; i++) {
        if (!p->last) mr_out_partial(out, p->items[i].data, p->items[i].len);
        for (size_t at = 0; p->last && at < p->items[i].len; at += sizeof row) {
            memcpy(&row, p->items[i].data + at, sizeof row);
            if (row != expected++) return MR_E_CONFLICT;
        }
    }
    if (p->last) mr_out_number(out, "first", expected);
    return MR_OK;
}

static void batches_merge_in_order_whatever_their_number(void **state) {
    (void)state;
    static const uint32_t rows[] = {0, 1, 31, 32, 33, 1024, 1025, 1100};
    mr_component c = component_of(note_rows);
    c.shape = MR_MERGE;
    c.merge = join_rows;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mr_batch batch = {.rows = rows[i]};
        mr_local local = {.component = &c, .batch_rows = 1};
        mr_local_results results;
        mr_error err = {0};
        double seen;
        mr_unpack u, at;
        if (mr_run_local(&local, &batch, &results, &err) != MR_OK) fail_msg("%u rows: %s", rows[i], err.text);
        assert_int_equal(results.count, 1);
        mr_unpack_init(&u, mr_buf_span(&results.items[0].outcome.bytes));
        assert_int_equal(mr_unpack_find(&u, "first", &at), MR_OK);
        assert_int_equal(mr_unpack_f64(&at, &seen, &err), MR_OK);
        assert_int_equal(seen, rows[i]);
        uint32_t batches = rows[i] ? rows[i] : 1, nodes = batches;
        uint64_t calls = batches;
        do calls += nodes = (nodes + MR_MERGE_FAN_IN - 1) / MR_MERGE_FAN_IN;
        while (nodes > 1);
        assert_int_equal(results.calls, calls);
        mr_local_results_free(&results);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_has_every_field_and_sorted_findings),
        cmocka_unit_test(what_is_not_declared_is_a_defect),
        cmocka_unit_test(limits_and_refusals_come_with_a_sentence),
        cmocka_unit_test(columns_that_are_missing_are_named),
        cmocka_unit_test(columns_that_were_not_asked_for_are_hidden),
        cmocka_unit_test(batches_merge_in_order_whatever_their_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
