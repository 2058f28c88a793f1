#include "common/rng.h"
#include "worker/kit/exact.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static double sum_of(const double *v, size_t n) {
    mr_exact a;
    mr_exact_clear(&a);
    for (size_t i = 0; i < n; i++) mr_exact_add(&a, v[i]);
    return mr_exact_value(&a);
}

/* Expected values by Python's math.fsum, which is correctly rounded. */
static void test_sums_are_correctly_rounded(void **state) {
    (void)state;
    assert_true(sum_of((double[]){1e100, 1, -1e100}, 3) == 1);
    assert_true(sum_of((double[]){1e308, 1e308, -1e308, -1e308, 3}, 5) == 3);
    assert_true(sum_of((double[]){0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, 10) == 1.0);
    assert_true(sum_of((double[]){1, 0x1p-53}, 2) == 1);
    assert_true(sum_of((double[]){1, 0x1p-53, 0x1p-1074}, 3) == 1 + DBL_EPSILON);
    assert_true(sum_of((double[]){1, 0x1p-53, -0x1p-1074}, 3) == 1);
    assert_true(sum_of((double[]){-1, -0x1p-53, -0x1p-52}, 3) == -1 - 2 * DBL_EPSILON);
    assert_true(sum_of((double[]){DBL_MAX, DBL_MAX}, 2) == INFINITY);
    assert_true(sum_of((double[]){-DBL_MAX, -DBL_MAX, DBL_MAX}, 3) == -DBL_MAX);
    assert_true(sum_of(NULL, 0) == 0);
    assert_true(sum_of((double[]){0x1p-1074, 0x1p-1074}, 2) == 0x1p-1073);
    assert_true(sum_of((double[]){DBL_MIN, -0x1p-1074}, 2) == DBL_MIN - 0x1p-1074);
}

static double product_of(double x, double y) {
    mr_exact a;
    mr_exact_clear(&a);
    mr_exact_add_product(&a, mr_exact_split(x), mr_exact_split(y));
    return mr_exact_value(&a);
}

static double random_double(mr_rng *r, int spread) {
    return ldexp(mr_rng_unit(r) - 0.5, (int)mr_rng_below(r, (uint64_t)spread) - spread / 2);
}

static void test_one_product_rounds_as_the_processor_does(void **state) {
    (void)state;
    mr_rng r;
    mr_rng_seed(&r, 1);
    for (int i = 0; i < 20000; i++) {
        double x = random_double(&r, 2000), y = random_double(&r, 2000), product = x * y;
        assert_true(product_of(x, y) == product);
    }
    assert_true(product_of(0x1p-1074, 0.5) == 0);
    assert_true(product_of(0x1p-1074, 0.75) == 0x1p-1074);
    assert_true(product_of(-0x1p-1074, 1.5) == -0x1p-1073);
}

static void pack_all(const double *x, const double *y, size_t n, mr_buf *out) {
    mr_exact a;
    mr_exact_clear(&a);
    for (size_t i = 0; i < n; i++) mr_exact_add_product(&a, mr_exact_split(x[i]), mr_exact_split(y[i]));
    mr_exact_pack(&a, out);
}

static void test_any_cut_and_any_order_give_the_same_bytes(void **state) {
    (void)state;
    enum { N = 600 };
    double x[N], y[N];
    mr_rng r;
    mr_rng_seed(&r, 2);
    for (int i = 0; i < N; i++) {
        x[i] = random_double(&r, 1500);
        y[i] = random_double(&r, 1500);
    }
    mr_buf whole, part, merged;
    mr_buf_init(&whole, NULL, 4096);
    mr_buf_init(&merged, NULL, 4096);
    mr_buf_init(&part, NULL, 65536);
    pack_all(x, y, N, &whole);
    for (size_t step = 1; step < N; step = step * 3 + 1) {
        mr_exact sum;
        mr_exact_clear(&sum);
        mr_buf_clear(&merged);
        for (size_t end = N; end > 0;) { /* from the back, so the order differs too */
            size_t from = end > step ? end - step : 0;
            mr_buf_clear(&part);
            pack_all(x + from, y + from, end - from, &part);
            mr_span bytes = mr_buf_span(&part);
            assert_int_equal(mr_exact_add_packed(&sum, &bytes, true, NULL), MR_OK);
            assert_int_equal(bytes.len, 0);
            end = from;
        }
        mr_exact_pack(&sum, &merged);
        assert_true(mr_span_eq(mr_buf_span(&whole), mr_buf_span(&merged)));
    }
    mr_buf_free(&whole);
    mr_buf_free(&part);
    mr_buf_free(&merged);
}

static void test_a_sum_of_float32_values_stays_small(void **state) {
    (void)state;
    mr_exact a;
    mr_rng r;
    mr_buf b;
    mr_rng_seed(&r, 3);
    mr_exact_clear(&a);
    for (int i = 0; i < 10000; i++) {
        mr_exact_term t = mr_exact_split((double)(float)(1000 * mr_rng_unit(&r)));
        mr_exact_add_product(&a, t, t);
    }
    mr_buf_init(&b, NULL, 4096);
    mr_exact_pack(&a, &b);
    assert_in_range(b.len, 8, 40);
    mr_buf_free(&b);
}

/* Python: from fractions import Fraction; n*sum(x*y) - sum(x)*sum(y) of exact fractions, as float. The naive
 * doubles give nothing but rounding error here. */
static void test_the_comoment_loses_nothing_to_cancellation(void **state) {
    (void)state;
    const double x[] = {1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4},
                 y[] = {-1e12, -1e12 + 0.25, -1e12 + 0.5, -1e12 + 1};
    mr_exact xy, sx, sy, out;
    mr_exact_clear(&xy);
    mr_exact_clear(&sx);
    mr_exact_clear(&sy);
    for (int i = 0; i < 4; i++) {
        mr_exact_add_product(&xy, mr_exact_split(x[i]), mr_exact_split(y[i]));
        mr_exact_add(&sx, x[i]);
        mr_exact_add(&sy, y[i]);
    }
    mr_exact_comoment(&out, 4, &xy, &sx, &sy);
    assert_true(mr_exact_value(&out) == 6.5);
    mr_exact_comoment(&out, 1, &xy, &sx, &sy); /* 1e21-sized, against the exact fraction */
    assert_true(mr_exact_value(&out) == 0x1.4542ba204710fp73);
}

static void test_broken_bytes_are_refused(void **state) {
    (void)state;
    mr_exact a;
    mr_error err;
    mr_exact_clear(&a);
    static const uint8_t cut[] = {60, 0, 2}, lie[] = {60, 0, 9, 0, 1, 2, 3, 4},
                         high[] = {200, 0, 1, 0, 1, 2, 3, 4}, low[] = {3, 0, 1, 0, 1, 2, 3, 4};
    const mr_span bad[] = {{cut, sizeof cut}, {lie, sizeof lie}, {high, sizeof high}, {low, sizeof low}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mr_span bytes = bad[i];
        assert_int_equal(mr_exact_add_packed(&a, &bytes, false, &err), MR_E_CORRUPT);
    }
    mr_span ok = {low, sizeof low};
    assert_int_equal(mr_exact_add_packed(&a, &ok, true, &err), MR_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_are_correctly_rounded),
        cmocka_unit_test(test_one_product_rounds_as_the_processor_does),
        cmocka_unit_test(test_any_cut_and_any_order_give_the_same_bytes),
        cmocka_unit_test(test_a_sum_of_float32_values_stays_small),
        cmocka_unit_test(test_the_comoment_loses_nothing_to_cancellation),
        cmocka_unit_test(test_broken_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
