#include "common/json.h"
#include "common/pack.h"
#include "common/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static mr_json *parse(const char *text) {
    mr_error err = {0};
    mr_json *v = NULL;
    if (mr_json_parse(mr_span_of(text), 1 << 20, 64, &v, &err)) fail_msg("%s", err.text);
    return v;
}

static void check_buf(mr_buf *b, const char *expected) {
    mr_buf_put(b, "", 1);
    assert_int_equal(mr_buf_status(b), MR_OK);
    assert_string_equal((char *)b->data, expected);
    mr_buf_clear(b);
}

static void equal_values_give_equal_text(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"b\": [1, 2.0, true, null], \"a\": {\"z\": \"\\u00e4\\n\\u0007\", \"y\": 1e22}}",
         "{\"a\":{\"y\":1e+22,\"z\":\"\xc3\xa4\\n\\u0007\"},\"b\":[1,2.0,true,null]}"},
        {" 0.1 ", "0.1"},
        {"\"\\\"\\\\\"", "\"\\\"\\\\\""},
        {"-9223372036854775808", "-9223372036854775808"},
        {"[]", "[]"},
        {"{}", "{}"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"-0.0", "-0.0"}};
    mr_buf out;
    mr_buf_init(&out, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_json *v = parse(cases[i][0]);
        mr_json_dump(v, &out);
        check_buf(&out, cases[i][1]);
        mr_json_free(&v);
    }
    mr_buf_free(&out);
}

static void what_is_no_json_is_refused_with_its_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *place;
    } cases[] = {{"", "line 1"},
                 {"{", "line 1"},
                 {"{\"a\":1,\n \"a\":2}", "line 2"},
                 {"NaN", "line 1"},
                 {"[Infinity]", "line 1"},
                 {"1e999", "line 1"},
                 {"99999999999999999999", "line 1"},
                 {"\"\xff\"", "line 1"},
                 {"\"\\u0000\"", "line 1"},
                 {"\"\\ud800\"", "line 1"},
                 {"1 2", "line 1"},
                 {"[1,]", "line 1, column 4"},
                 {"\n\n'a'", "line 3"},
                 {"01", "line 1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_error err = {0};
        mr_json *v = NULL;
        assert_int_equal(mr_json_parse(mr_span_of(cases[i].text), 1000, 64, &v, &err), MR_E_INVALID);
        assert_non_null(strstr(err.text, cases[i].place));
        assert_null(v);
    }
}

static void size_and_depth_have_limits(void **state) {
    (void)state;
    mr_error err;
    mr_json *v;
    char *deep = malloc(100000);
    memset(deep, '[', 100000);
    assert_int_equal(mr_json_parse((mr_span){(uint8_t *)deep, 100000}, 1 << 20, 1000000, &v, &err),
                     MR_E_LIMIT);
    free(deep);
    assert_int_equal(mr_json_parse(mr_span_of("[[1]]"), 100, 1, &v, &err), MR_E_LIMIT);
    assert_int_equal(mr_json_parse(mr_span_of("[11]"), 3, 1, &v, &err), MR_E_LIMIT);
    assert_int_equal(mr_json_parse(mr_span_of("\"[[[[\\\"[[\""), 100, 0, &v, &err), MR_OK);
    mr_json_free(&v);
}

static void members_are_found_by_name_path_and_type(void **state) {
    (void)state;
    mr_json *v =
        parse("{\"labels\": {\"intent\": \"pay\", \"n\": 3}, \"a.b\": 1.5, \"ok\": true, \"no\": null}");
    mr_error err = {0};
    mr_span text;
    int64_t i;
    double d;
    bool yes;
    assert_true(mr_json_text(mr_json_path(v, "labels.intent"), &text));
    assert_true(mr_span_eq(text, mr_span_of("pay")));
    assert_true(mr_json_number(mr_json_path(v, "a.b"), &d) && d == 1.5);
    assert_null(mr_json_path(v, "labels.none.more"));
    assert_int_equal(mr_json_get_integer(mr_json_member(v, "labels"), "n", &i, &err), MR_OK);
    assert_int_equal(mr_json_get_number(mr_json_member(v, "labels"), "n", &d, &err), MR_OK);
    assert_true(i == 3 && d == 3);
    assert_int_equal(mr_json_get_boolean(v, "ok", &yes, &err), MR_OK);
    assert_int_equal(mr_json_get_text(v, "ok", &text, &err), MR_E_INVALID);
    assert_string_equal(err.text, "member 'ok' is a bool, text is expected");
    assert_int_equal(mr_json_get_text(v, "no", &text, &err), MR_E_NOT_FOUND);
    assert_int_equal(mr_json_get_integer(v, "a.b", &i, &err), MR_E_INVALID);
    const char *name;
    const mr_json *value;
    size_t members = 0;
    for (void *at = NULL; mr_json_next(v, &at, &name, &value);) members++;
    assert_int_equal(members, mr_json_count(v));
    mr_json_free(&v);
}

static void numbers_are_written_as_short_as_they_read_back(void **state) {
    (void)state;
    static const double values[] = {0,        -0.0, 1, 0.1, 1e22, 1.0 / 3, 5e-324, 1.7976931348623157e308,
                                    0.1 + 0.2};
    mr_buf out;
    mr_buf_init(&out, NULL, 1000);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        mr_json_put_number(&out, values[i]);
        mr_buf_put(&out, "", 1);
        assert_true(strtod((char *)out.data, NULL) == values[i]);
        mr_buf_clear(&out);
    }
    mr_json_put_number(&out, NAN);
    mr_json_put_number(&out, INFINITY);
    mr_json_put_text(&out, mr_span_of("a\xff\"\x01"));
    check_buf(&out, "nullnull\"a\xef\xbf\xbd\\\"\\u0001\"");
    mr_buf_free(&out);
}

static void msgpack_becomes_json_with_blocks_as_numbers(void **state) {
    (void)state;
    const double block[] = {1, 0.5, NAN, -2};
    mr_span bytes = {(const uint8_t *)block, sizeof block};
    mr_buf pack, out;
    mr_error err = {0};
    mr_buf_init(&pack, NULL, 4096);
    mr_buf_init(&out, NULL, 4096);
    mr_pack_map(&pack, 4);
    mr_pack_text(&pack, "m");
    mr_pack_map(&pack, 3);
    mr_pack_text(&pack, "rows");
    mr_pack_u64(&pack, 2);
    mr_pack_text(&pack, "cols");
    mr_pack_u64(&pack, 2);
    mr_pack_text(&pack, "data");
    mr_pack_bin(&pack, bytes);
    mr_pack_text(&pack, "v");
    mr_pack_map(&pack, 1);
    mr_pack_text(&pack, "numbers");
    mr_pack_bin(&pack, bytes);
    mr_pack_text(&pack, "b");
    mr_pack_bin(&pack, mr_span_of("foo"));
    mr_pack_text(&pack, "l");
    mr_pack_array(&pack, 4);
    mr_pack_array(&pack, 0);
    mr_pack_map(&pack, 0);
    mr_pack_i64(&pack, -3);
    mr_pack_u64(&pack, UINT64_MAX);
    assert_int_equal(mr_json_from_pack(mr_buf_span(&pack), &out, &err), MR_OK);
    check_buf(&out, "{\"m\":{\"rows\":2,\"cols\":2,\"data\":[1.0,0.5,null,-2.0]},\"v\":[1.0,0.5,null,-2.0],"
                    "\"b\":\"Zm9v\",\"l\":[[],{},-3,18446744073709551615]}");
    for (size_t n = 0; n < pack.len; n++) {
        assert_int_equal(mr_json_from_pack((mr_span){pack.data, n}, &out, &err), MR_E_PROTOCOL);
        mr_buf_clear(&out);
    }
    uint8_t deep[200];
    memset(deep, 0x91, sizeof deep);
    assert_int_equal(mr_json_from_pack((mr_span){deep, sizeof deep}, &out, &err), MR_E_PROTOCOL);
    assert_int_equal(mr_json_from_pack((mr_span){(const uint8_t *)"\x81\x01\x02", 3}, &out, &err),
                     MR_E_PROTOCOL);
    mr_buf_free(&pack);
    mr_buf_free(&out);
}

static void json_goes_to_msgpack_and_back(void **state) {
    (void)state;
    static const char text[] = "{\"a\":[1,-2,1.5,\"x\",true,false,null],\"b\":{\"c\":{}}}";
    mr_json *v = parse("{\"b\":{\"c\":{}},\"a\":[1,-2,1.5,\"x\",true,false,null]}");
    mr_status status = MR_E_MEMORY;
    for (uint64_t n = 1; status != MR_OK; n++) {
        mr_mem_failing mem;
        mr_buf pack, out;
        mr_error err;
        mr_mem_failing_init(&mem, n);
        mr_buf_init(&pack, &mem.mem, 4096);
        mr_buf_init(&out, &mem.mem, 4096);
        mr_json_to_pack(v, &pack);
        status = mr_buf_status(&pack);
        if (status == MR_OK) status = mr_json_from_pack(mr_buf_span(&pack), &out, &err);
        if (status == MR_OK) {
            mr_buf dump;
            mr_buf_init(&dump, NULL, 4096);
            mr_json_dump(v, &dump);
            assert_true(mr_span_eq(mr_buf_span(&dump), mr_buf_span(&out)));
            mr_buf_free(&dump);
            assert_true(mr_span_eq(mr_buf_span(&out), mr_span_of(text)));
        } else {
            assert_int_equal(status, MR_E_MEMORY);
        }
        mr_buf_free(&pack);
        mr_buf_free(&out);
        assert_int_equal(mem.live, 0);
    }
    mr_json_free(&v);
}

static void broken_utf8_is_found_where_it_is(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } cases[] = {{"plain ascii and more", 20},
                 {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9},
                 {"123456789\xff", 9},
                 {"\xc0\x80", 0},
                 {"\xed\xa0\x80", 0},
                 {"\xf4\x90\x80\x80", 0},
                 {"a\xe2\x82", 1},
                 {"\x80", 0},
                 {"\xe0\x80\x80", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(mr_utf8_broken_at(mr_span_of(cases[i].text)), cases[i].at);
    assert_int_equal(mr_utf8_count(mr_span_of("\xc3\xa4 \xf0\x9f\x98\x80")), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_values_give_equal_text),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(size_and_depth_have_limits),
        cmocka_unit_test(members_are_found_by_name_path_and_type),
        cmocka_unit_test(numbers_are_written_as_short_as_they_read_back),
        cmocka_unit_test(msgpack_becomes_json_with_blocks_as_numbers),
        cmocka_unit_test(json_goes_to_msgpack_and_back),
        cmocka_unit_test(broken_utf8_is_found_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
