#include "common/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void numbers_are_their_rows_so_they_never_change(void **state) {
    (void)state;
    for (size_t i = 0; i < mr_status_count(); i++) {
        const mr_status_row *row = mr_status_at(i);
        assert_int_equal((size_t)row->status, i);
        assert_ptr_equal(mr_status_of((int)i), row);
        assert_true(row->name[0] && row->text[0]);
        assert_int_equal(row->exit_code == 0, row->status == MR_OK);
    }
    assert_int_equal(mr_status_of(-1)->status, MR_E_INTERNAL);
    assert_int_equal(mr_status_of(9999)->status, MR_E_INTERNAL);
}

static void a_sentence_is_kept_and_its_place_put_before_it(void **state) {
    (void)state;
    mr_error err = {0};
    assert_int_equal(mr_fail(&err, MR_E_INVALID, "column %d is bad", 3), MR_E_INVALID);
    assert_int_equal(mr_fail_in(&err, "line %d", 7), MR_E_INVALID);
    assert_string_equal(err.text, "line 7: column 3 is bad");
    assert_int_equal(mr_fail(NULL, MR_E_IO, "nobody listens"), MR_E_IO);
    for (int i = 0; i < 100; i++) assert_int_equal(mr_fail_in(&err, "a place deep inside"), MR_E_INVALID);
    assert_true(strlen(err.text) < sizeof err.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_their_rows_so_they_never_change),
        cmocka_unit_test(a_sentence_is_kept_and_its_place_put_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
