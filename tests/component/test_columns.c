/* Which features a component may compute with. */
#include "worker/kit/columns.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 5, WIDTH = 3 };

/* Small values, but for one. */
static mr_status check_with(double odd, size_t at, mr_error *err) {
    static const char *const names[WIDTH] = {"a", "b", "c"};
    double v[ROWS * WIDTH] = {0.5, -0.0, 1e-310, -7, 1e139};
    mr_batch b = {.first = 100, .rows = ROWS, .width = WIDTH, .features = v, .feature_names = names};
    v[at] = odd;
    return mr_check_features(&b, WIDTH, err);
}

static void every_number_up_to_1e140_may_be_computed_with(void **state) {
    (void)state;
    const double fine[] = {0, -0.0, 4.9e-324, 1, 0x1p464, 0x1.ffffffffffffep464, 0x1p465, 9.6e139, 1e140};
    mr_error err;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        for (size_t at = 0; at < ROWS * WIDTH; at++) {
            assert_int_equal(check_with(fine[i], at, &err), MR_OK);
            assert_int_equal(check_with(-fine[i], at, &err), MR_OK);
        }
}

static void what_is_missing_or_too_large_is_named(void **state) {
    (void)state;
    const double odd[] = {NAN, -NAN, INFINITY, nextafter(1e140, 1e141), 1e300};
    mr_error err;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t at = 0; at < ROWS * WIDTH; at++) {
            assert_int_equal(check_with(odd[i], at, &err), MR_E_INVALID);
            assert_int_equal(check_with(-odd[i], at, &err), MR_E_INVALID);
        }
    assert_int_equal(check_with(NAN, 7, &err), MR_E_INVALID);
    assert_non_null(strstr(err.text, "row 102, column 'b': the value is missing"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_up_to_1e140_may_be_computed_with),
        cmocka_unit_test(what_is_missing_or_too_large_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
