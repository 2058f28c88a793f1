/* CSV and TSV records, and tables that are read from them. */
#include "common/rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Gives one byte at a time, so that nothing may rely on the size of a read. */
static mr_status read_slowly(void *self, void *to, size_t room, size_t *got, mr_error *err) {
    mr_span *left = self;
    (void)err;
    *got = room && left->len ? 1 : 0;
    if (*got) memcpy(to, left->data, 1);
    left->data += *got;
    left->len -= *got;
    return MR_OK;
}

/* All records as "a|b|c" lines; refused ones as "!LINE:COLUMN". Quoted cells stand in < >. */
static void render(const char *text, size_t n, const mr_csv_options *o, bool slowly, char *out) {
    mr_span left = {(const uint8_t *)text, n};
    mr_source_memory m;
    mr_csv *c;
    mr_csv_record r;
    mr_error err;
    mr_source source = slowly ? (mr_source){read_slowly, &left} : mr_source_from_memory(&m, left);
    assert_int_equal(mr_csv_new(NULL, source, o, &c), MR_OK);
    for (mr_status s; (s = mr_csv_next(c, &r, &err)) != MR_E_NOT_FOUND;) {
        if (s != MR_OK) {
            assert_true(s == MR_E_INVALID || s == MR_E_LIMIT);
            out += sprintf(out, "!%d:%d\n", (int)r.where.line, (int)r.where.column);
            continue;
        }
        for (size_t i = 0; i < r.count; i++)
            out += sprintf(out, r.cells[i].quoted ? "%s<%.*s>" : "%s%.*s", i ? "|" : "",
                           MR_SPAN_ARG(r.cells[i].text));
        out += sprintf(out, "\n");
    }
    *out = 0;
    mr_csv_free(&c);
}

static void expect(const char *text, const char *want) {
    char out[512];
    for (int slowly = 0; slowly < 2; slowly++) {
        render(text, strlen(text), NULL, slowly, out);
        assert_string_equal(out, want);
    }
}

static void records_follow_rfc_4180(void **state) {
    (void)state;
    expect("", "");
    expect("a,b\n1,2\n", "a|b\n1|2\n");
    expect("\xEF\xBB\xBF"
           "a,b\r\n1,2",
           "a|b\n1|2\n");
    expect("\"a,b\",\"say \"\"hi\"\"\",\"\",\n", "<a,b>|<say \"hi\">|<>|\n");
    expect("\"two\nlines\",x\r\ny,z\r\n", "<two\nlines>|x\ny|z\n");
    expect("a\n\n\nb\n", "a\nb\n");
    expect("a\rb,c\n", "a\rb|c\n");
}

static void a_bad_record_is_refused_alone(void **state) {
    (void)state;
    expect("a\nb\"c,d\ne\n", "a\n!2:2\ne\n");
    expect("\"a\"b,c\nd\n", "!1:4\nd\n");
    expect("ok\nx,\xFFy\nz\n", "ok\n!2:3\nz\n");
    expect("ok\n\"never closed\n", "ok\n!2:1\n");
    char out[64];
    render("a\0b\nc\n", 6, NULL, false, out);
    assert_string_equal(out, "!1:2\nc\n");
}

static void limits_hold(void **state) {
    (void)state;
    char out[64];
    mr_csv_options o = {.max_record = 4, .max_cells = 2};
    render("abcde,x\nab\n1,2,3\n4,5\n", 21, &o, false, out);
    assert_string_equal(out, "!1:6\nab\n!3:5\n4|5\n");
}

static void tsv_takes_quotes_inside_cells(void **state) {
    (void)state;
    char out[64];
    mr_csv_options o = {.separator = '\t'};
    render("6\" RULER\t\"q\"\n", 13, &o, false, out);
    assert_string_equal(out, "6\" RULER|<q>\n");
}

/* ---- tables ---- */

static mr_table *table(const char *name, const char *text, const char *types) {
    mr_table *t;
    mr_error err = {0};
    mr_table_types declared = {0};
    if (types) assert_int_equal(mr_table_types_parse(&declared, types, NULL), MR_OK);
    mr_table_options o = {.types = &declared};
    if (mr_table_open_memory(NULL, name, mr_span_of(text), &o, &t, &err) != MR_OK) fail_msg("%s", err.text);
    return t;
}

static void expect_types(const char *name, const char *text, const char *want) {
    mr_table *t = table(name, text, NULL);
    mr_table_schema s = mr_table_schema_of(t);
    char out[256] = "";
    for (uint32_t i = 0; i < s.count; i++)
        sprintf(out + strlen(out), "%s:%s ", s.columns[i].name, mr_cell_types[s.columns[i].type]);
    assert_string_equal(out, want);
    mr_table_close(&t);
}

static void types_are_the_narrowest(void **state) {
    (void)state;
    expect_types("t.csv", "i,n,b,t,x,z,e\n1,1.5,true,2026-01-01,a,007,\n,2,FALSE,2026-01-01 10:00:00,1,1,\n",
                 "i:integer n:number b:boolean t:time x:text z:text e:text ");
    expect_types("t.csv", "a\nnan\n", "a:text ");
    expect_types("t.csv", "a\n0x1F\n", "a:text ");
    expect_types("t.csv", "a\n1\n9223372036854775808\n", "a:number ");
    expect_types("x", "a\tb\n1\t2\n", "a:integer b:integer ");
    expect_types("x", "{\"a\":1,\"b\":\"x\"}\n{\"b\":\"y\",\"c\":true,\"a\":2.5}\n",
                 "a:number b:text c:boolean ");
    expect_types("x", "{\"a\":1}\n{\"a\":\"1\"}\n", "a:text ");
}

static void rows_have_typed_cells(void **state) {
    (void)state;
    mr_table *t = table("t.csv", "n,x,b\n1.25,\"\",true\n,,\n", "n=number,b=boolean");
    const mr_cell *c;
    mr_where where;
    assert_int_equal(mr_table_next(t, &c, &where, NULL), MR_OK);
    assert_true(c[0].as.number == 1.25 && c[2].as.boolean);
    assert_true(!c[1].missing && c[1].as.text.len == 0);
    assert_int_equal(where.line, 2);
    assert_int_equal(mr_table_next(t, &c, &where, NULL), MR_OK);
    assert_true(c[0].missing && isnan(c[0].as.number) && c[1].missing && c[2].missing);
    assert_int_equal(mr_table_next(t, &c, &where, NULL), MR_E_NOT_FOUND);
    mr_table_close(&t);
}

static void a_value_that_its_type_refuses_is_told_with_its_place(void **state) {
    (void)state;
    static const char *const values[] = {"nan", "inf", "-Infinity", "0x10", "1e999", "abc", "1,5"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[64];
        snprintf(text, sizeof text, "k,n\nx,\"%s\"\ny,2\n", values[i]);
        mr_table *t = table("t.csv", text, "n=number");
        const mr_cell *c;
        mr_where where;
        mr_error err;
        assert_int_equal(mr_table_next(t, &c, &where, &err), MR_E_INVALID);
        assert_true(where.line == 2 && where.column == 3);
        assert_non_null(strstr(err.text, "column 'n'"));
        assert_int_equal(mr_table_next(t, &c, &where, &err), MR_OK);
        assert_true(c[1].as.number == 2);
        mr_table_close(&t);
    }
}

static void a_row_of_another_width_is_refused(void **state) {
    (void)state;
    mr_table *t = table("t.csv", "a,b\n1\n1,2\n", NULL);
    const mr_cell *c;
    mr_where where;
    mr_error err;
    assert_int_equal(mr_table_next(t, &c, &where, &err), MR_E_INVALID);
    assert_int_equal(where.line, 2);
    assert_int_equal(mr_table_next(t, &c, &where, &err), MR_OK);
    mr_table_close(&t);
}

static void a_table_without_a_sound_header_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"", "\n\n", "a,\n1,2\n", "a,a\n1,2\n", "\"a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mr_table *t = NULL;
        mr_error err;
        assert_int_equal(mr_table_open_memory(NULL, "t.csv", mr_span_of(bad[i]), NULL, &t, &err),
                         MR_E_INVALID);
        assert_null(t);
    }
    mr_table_types types = {0};
    mr_error err;
    assert_int_equal(mr_table_types_parse(&types, "a=numbr", &err), MR_E_USAGE);
    assert_non_null(strstr(err.text, "'number'"));
}

static void table_rows_go_over_the_wire(void **state) {
    (void)state;
    mr_table *t = table("t.csv", "n,i,b,x,t\n1.5,-7,true,caf\xC3\xA9,2026-01-01\n,,,,\n",
                        "n=number,i=integer,b=boolean,t=time");
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_table_schema s = mr_table_schema_of(t), got;
    for (int row = 0; row < 2; row++) {
        const mr_cell *c;
        mr_cell back[5];
        mr_where where;
        mr_buf b;
        mr_unpack u;
        mr_buf_init(&b, NULL, 4096);
        assert_int_equal(mr_table_next(t, &c, &where, NULL), MR_OK);
        mr_table_schema_pack(&b, s);
        mr_table_row_pack(&b, s, c);
        mr_unpack_init(&u, mr_buf_span(&b));
        assert_int_equal(mr_table_schema_unpack(&u, arena, &got, NULL), MR_OK);
        assert_memory_equal(got.columns, s.columns, s.count * sizeof *s.columns);
        assert_int_equal(mr_table_row_unpack(&u, got, back, NULL), MR_OK);
        for (uint32_t i = 0; i < s.count; i++) assert_int_equal(c[i].missing, back[i].missing);
        assert_true(row == 1 || (back[0].as.number == 1.5 && back[1].as.integer == -7 && back[2].as.boolean));
        assert_true(row == 1 ||
                    (mr_span_eq(back[3].as.text, c[3].as.text) && back[4].as.time_us == c[4].as.time_us));
        got.count = 4;
        mr_unpack_init(&u, mr_buf_span(&b));
        assert_int_equal(mr_unpack_skip(&u, NULL), MR_OK);
        assert_int_equal(mr_table_row_unpack(&u, got, back, NULL), MR_E_INVALID);
        mr_buf_free(&b);
    }
    mr_arena_free(&arena);
    mr_table_close(&t);
}

/* ---- roles ---- */

static void columns_become_features_and_roles(void **state) {
    (void)state;
    static const char text[] = "a,target,b,score,name\n1,x,2.5,0.5,n1\n,y,3,,n2\n";
    mr_rows *r;
    mr_batch batch;
    mr_bindings b = {0};
    mr_error err = {0};
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    assert_int_equal(mr_bindings_parse(&b, "label=target, item=name", &err), MR_OK);
    assert_int_equal(mr_rows_load_memory(NULL, "x", mr_span_of(text), NULL, &r, &err), MR_OK);
    assert_int_equal(mr_rows_batch(r, 0, 2, &b, ~0u, arena, &batch, &err), MR_OK);
    assert_int_equal(batch.columns, MR_COL_FEATURES | MR_COL_LABEL | MR_COL_ITEM | MR_COL_SCORE);
    assert_int_equal(batch.width, 2);
    assert_string_equal(batch.feature_names[1], "b");
    assert_true(batch.features[0] == 1 && batch.features[1] == 2.5 && isnan(batch.features[2]) &&
                batch.features[3] == 3);
    assert_true(mr_span_eq(batch.text[MR_TEXT_LABEL][1], mr_span_of("y")));
    assert_true(batch.number[MR_NUM_SCORE][0] == 0.5 && isnan(batch.number[MR_NUM_SCORE][1]));
    assert_int_equal(mr_rows_batch(r, 1, 1, NULL, MR_COL_FEATURES, arena, &batch, &err), MR_OK);
    assert_true(batch.first == 1 && batch.rows == 1 && batch.features[1] == 3);
    b = (mr_bindings){0};
    assert_int_equal(mr_bindings_parse(&b, "outcome=nam", &err), MR_OK);
    assert_int_equal(mr_rows_batch(r, 0, 2, &b, ~0u, arena, &batch, &err), MR_E_INVALID);
    assert_non_null(strstr(err.text, "'name'"));
    b = (mr_bindings){0};
    assert_int_equal(mr_bindings_parse(&b, "outcome=name", &err), MR_OK);
    assert_int_equal(mr_rows_batch(r, 0, 2, &b, ~0u, arena, &batch, &err), MR_E_INVALID);
    assert_int_equal(mr_bindings_parse(&b, "lable=x", &err), MR_E_USAGE);
    assert_non_null(strstr(err.text, "'label'"));
    mr_rows_free(&r);
    mr_arena_free(&arena);
}

static void column_names_with_blanks_can_be_bound(void **state) {
    (void)state;
    mr_bindings b = {0};
    assert_int_equal(mr_bindings_parse(&b, "label=mean radius outcome=area error,  item=x", NULL), MR_OK);
    assert_int_equal(b.count, 3);
    assert_string_equal(b.items[0].column, "mean radius");
    assert_string_equal(b.items[1].column, "area error");
    assert_string_equal(b.items[2].column, "x");
}

static void a_failed_allocation_is_told(void **state) {
    (void)state;
    mr_status status = MR_E_MEMORY;
    for (uint64_t n = 1; status == MR_E_MEMORY; n++) {
        mr_mem_failing f;
        mr_rows *r = NULL;
        mr_mem_failing_init(&f, n);
        status = mr_rows_load_memory(&f.mem, "x", mr_span_of("a,b\n1,x\n2,y\n"), NULL, &r, NULL);
        assert_true(status == MR_OK || status == MR_E_MEMORY);
        mr_rows_free(&r);
        assert_int_equal(f.live, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_follow_rfc_4180),
        cmocka_unit_test(a_bad_record_is_refused_alone),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(tsv_takes_quotes_inside_cells),
        cmocka_unit_test(types_are_the_narrowest),
        cmocka_unit_test(rows_have_typed_cells),
        cmocka_unit_test(a_value_that_its_type_refuses_is_told_with_its_place),
        cmocka_unit_test(a_row_of_another_width_is_refused),
        cmocka_unit_test(a_table_without_a_sound_header_is_refused),
        cmocka_unit_test(table_rows_go_over_the_wire),
        cmocka_unit_test(columns_become_features_and_roles),
        cmocka_unit_test(column_names_with_blanks_can_be_bound),
        cmocka_unit_test(a_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
