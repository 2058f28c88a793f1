#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void writes_follow_each_other_up_to_the_maximum(void **state) {
    (void)state;
    mr_buf b;
    mr_buf_init(&b, NULL, 600);
    mr_buf_text(&b, "one ");
    mr_buf_printf(&b, "%d %s", 2, "three");
    assert_true(mr_span_eq(mr_buf_span(&b), mr_span_of("one 2 three")));
    assert_non_null(mr_buf_extend(&b, 589));
    assert_int_equal(mr_buf_status(&b), MR_OK);
    mr_buf_put(&b, "x", 1);
    assert_int_equal(mr_buf_status(&b), MR_E_LIMIT);
    mr_buf_clear(&b);
    assert_null(mr_buf_extend(&b, SIZE_MAX));
    mr_buf_text(&b, "ignored");
    assert_int_equal(b.len, 0);
    mr_buf_clear(&b);
    mr_buf_text(&b, "taken");
    size_t len, cap;
    uint8_t *data = mr_buf_take(&b, &len, &cap);
    assert_int_equal(len, 5);
    assert_int_equal(b.len, 0);
    mr_free(NULL, data, cap, 1);
    mr_buf_free(&b);
}

static void a_failed_allocation_is_remembered(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 5; n++) {
        mr_mem_failing mem;
        mr_buf b;
        mr_mem_failing_init(&mem, n);
        mr_buf_init(&b, &mem.mem, 1 << 20);
        for (int i = 0; i < 3000; i++) mr_buf_put(&b, "0123456789", 10);
        assert_int_equal(mr_buf_status(&b), MR_E_MEMORY);
        mr_buf_free(&b);
        assert_int_equal(mem.live, 0);
    }
}

static void spans_compare_by_bytes(void **state) {
    (void)state;
    assert_true(mr_span_eq(mr_span_of(NULL), mr_span_of("")));
    assert_false(mr_span_eq(mr_span_of("a"), mr_span_of("b")));
    assert_false(mr_span_eq(mr_span_of("a"), mr_span_of("ab")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_follow_each_other_up_to_the_maximum),
        cmocka_unit_test(a_failed_allocation_is_remembered),
        cmocka_unit_test(spans_compare_by_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
