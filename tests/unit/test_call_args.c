#include "broker/io/call_args.h"
#include "tests/unit/io_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void arguments_are_found_by_name_and_type(void **state) {
    (void)state;
    mr_buf b;
    mr_unpack value;
    uint32_t n;
    mr_error err;
    mr_buf_init(&b, NULL, 4096);
    rig_pack(
        &b, "{\"id\": 7, \"zero\": 0, \"name\": \"x y\", \"yes\": true, \"no\": false, \"list\": [1, 2, 3]}");
    mr_span args = mr_buf_span(&b);
    assert_int_equal(mr_arg_number(args, "id", 1), 7);
    assert_int_equal(mr_arg_number(args, "zero", 1), 0);
    assert_true(mr_span_eq(mr_arg_text(args, "name"), mr_span_of("x y")));
    assert_true(mr_arg_flag(args, "yes"));
    assert_false(mr_arg_flag(args, "no"));
    assert_true(mr_arg_find(args, "list", &value));
    assert_int_equal(mr_unpack_array(&value, 3, &n, &err), MR_OK);
    assert_int_equal(n, 3);
    mr_buf_free(&b);
}

static void what_is_absent_or_of_another_type_is_the_default(void **state) {
    (void)state;
    mr_buf b;
    mr_unpack value;
    mr_buf_init(&b, NULL, 4096);
    rig_pack(&b, "{\"id\": \"seven\", \"below\": -1, \"name\": 7, \"flag\": 1}");
    mr_span args = mr_buf_span(&b);
    assert_int_equal(mr_arg_number(args, "id", 42), 42);
    assert_int_equal(mr_arg_number(args, "below", 42), 42);
    assert_int_equal(mr_arg_number(args, "nothing", 42), 42);
    assert_int_equal(mr_arg_text(args, "name").len, 0);
    assert_int_equal(mr_arg_text(args, "nothing").len, 0);
    assert_false(mr_arg_flag(args, "flag"));
    assert_false(mr_arg_find(args, "nothing", &value));
    mr_buf_free(&b);
}

static void no_bytes_and_no_map_hold_no_arguments(void **state) {
    (void)state;
    mr_unpack value;
    assert_false(mr_arg_find((mr_span){0}, "id", &value));
    assert_int_equal(mr_arg_number((mr_span){0}, "id", 3), 3);
    assert_int_equal(mr_arg_text((mr_span){(const uint8_t *)"\x93\x01\x02\x03", 4}, "id").len, 0);
    assert_int_equal(mr_arg_number((mr_span){(const uint8_t *)"\x81\xa2id", 4}, "id", 3), 3); /* cut short */
}

static void numbers_above_an_int8_are_the_default(void **state) {
    (void)state;
    mr_buf b;
    mr_buf_init(&b, NULL, 64);
    mr_pack_map(&b, 1);
    mr_pack_text(&b, "id");
    mr_pack_u64(&b, (uint64_t)INT64_MAX + 1);
    assert_int_equal(mr_arg_number(mr_buf_span(&b), "id", 5), 5);
    mr_buf_clear(&b);
    mr_pack_map(&b, 1);
    mr_pack_text(&b, "id");
    mr_pack_u64(&b, INT64_MAX);
    assert_true(mr_arg_number(mr_buf_span(&b), "id", 5) == INT64_MAX);
    mr_buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_found_by_name_and_type),
        cmocka_unit_test(what_is_absent_or_of_another_type_is_the_default),
        cmocka_unit_test(no_bytes_and_no_map_hold_no_arguments),
        cmocka_unit_test(numbers_above_an_int8_are_the_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
