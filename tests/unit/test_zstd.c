#include "common/zstd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void check_round(mr_span in) {
    mr_buf packed, out;
    mr_error err = {0};
    mr_buf_init(&packed, NULL, 1 << 20);
    mr_buf_init(&out, NULL, 1 << 20);
    assert_int_equal(mr_zstd_compress(in, 3, &packed, &err), MR_OK);
    assert_int_equal(mr_zstd_decompress(mr_buf_span(&packed), in.len, &out, &err), MR_OK);
    assert_true(mr_span_eq(mr_buf_span(&out), in));
    for (size_t n = 0; n < packed.len; n++)
        assert_int_equal(mr_zstd_decompress((mr_span){packed.data, n}, in.len, &out, &err), MR_E_CORRUPT);
    mr_buf_put(&packed, "x", 1);
    assert_int_equal(mr_zstd_decompress(mr_buf_span(&packed), in.len, &out, &err), MR_E_CORRUPT);
    mr_buf_free(&packed);
    mr_buf_free(&out);
}

static void bytes_come_back_and_broken_frames_do_not(void **state) {
    (void)state;
    check_round((mr_span){NULL, 0});
    check_round(mr_span_of("some text, some text, some text"));
    static uint8_t zeros[100000];
    check_round((mr_span){zeros, sizeof zeros});
}

static void a_frame_that_states_too_much_is_refused_before_memory_is_taken(void **state) {
    (void)state;
    static uint8_t zeros[100000];
    mr_buf packed, out;
    mr_error err = {0};
    mr_mem_failing mem;
    mr_mem_failing_init(&mem, 1);
    mr_buf_init(&packed, NULL, 1 << 20);
    mr_buf_init(&out, &mem.mem, 1 << 30);
    assert_int_equal(mr_zstd_compress((mr_span){zeros, sizeof zeros}, 19, &packed, &err), MR_OK);
    assert_int_equal(mr_zstd_decompress(mr_buf_span(&packed), sizeof zeros - 1, &out, &err), MR_E_LIMIT);
    assert_int_equal(mem.count, 0);
    assert_int_equal(mr_zstd_decompress(mr_buf_span(&packed), sizeof zeros, &out, &err), MR_E_MEMORY);
    mr_buf_free(&out);
    mr_buf_free(&packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back_and_broken_frames_do_not),
        cmocka_unit_test(a_frame_that_states_too_much_is_refused_before_memory_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
