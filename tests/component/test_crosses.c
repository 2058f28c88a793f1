#include "common/rng.h"
#include "worker/kit/crosses.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 700, COLUMNS = 37 };

static double at(mr_cross_rows in, size_t i, size_t j) { return j < in.width ? in.x[i * in.width + j] : in.y[i]; }

/* Term by term; k >= columns: the sum of column j alone. */
static void slowly(mr_cross_rows in, size_t j, size_t k, mr_exact *sum) {
    mr_exact_clear(sum);
    for (size_t i = 0; i < in.rows; i++) {
        if (in.y && isnan(in.y[i])) continue;
        if (k > in.width)
            mr_exact_add(sum, at(in, i, j));
        else
            mr_exact_add_product(sum, mr_exact_split(at(in, i, j)), mr_exact_split(at(in, i, k)));
    }
}

static void assert_same(mr_exact *a, mr_exact *b) {
    mr_buf one, other;
    mr_buf_init(&one, NULL, 4096);
    mr_buf_init(&other, NULL, 4096);
    mr_exact_pack(a, &one);
    mr_exact_pack(b, &other);
    assert_true(mr_span_eq(mr_buf_span(&one), mr_buf_span(&other)));
    mr_buf_free(&one);
    mr_buf_free(&other);
}

/* Every sum of both ways has the same bytes; returns how many rows went term by term. */
static size_t compare(mr_cross_rows in) {
    mr_arena *arena = mr_arena_new(NULL, 1 << 26);
    mr_crosses c;
    mr_exact fast, slow;
    mr_error err;
    size_t columns = in.width + (in.y != NULL);
    assert_int_equal(mr_crosses_of(in, arena, NULL, &c, &err), MR_OK);
    for (size_t j = 0; j < columns; j++) {
        mr_exact_clear(&fast);
        mr_crosses_add_sum(&c, j, &fast);
        slowly(in, j, SIZE_MAX, &slow);
        assert_same(&fast, &slow);
        for (size_t k = 0; k < columns; k++) {
            mr_exact_clear(&fast);
            mr_crosses_add_product(&c, j, k, &fast);
            slowly(in, j, k, &slow);
            assert_same(&fast, &slow);
        }
    }
    mr_arena_free(&arena);
    return c.rests;
}

static double x[ROWS * COLUMNS], y[ROWS];

static double of_kind(mr_rng *r, size_t kind) {
    switch (kind % 9) {
    case 0: return mr_rng_normal(r);
    case 1: return (double)mr_rng_below(r, 2);
    case 2: return (double)(float)(1e3 * mr_rng_unit(r));
    case 3: return 1e9 + mr_rng_unit(r);
    case 4: return -ldexp(1, (int)mr_rng_below(r, 8)); /* its largest is a power of 2 */
    case 5: return 0;
    case 6: return exp(20 * mr_rng_normal(r)); /* reaches over more than the slices do */
    case 7: return mr_rng_below(r, 300) ? 1e-12 * mr_rng_normal(r) : 1e12;
    default: return 0.5 - mr_rng_unit(r);
    }
}

static void fill(uint64_t seed, size_t kinds) {
    mr_rng r;
    mr_rng_seed(&r, seed);
    for (size_t i = 0; i < ROWS * COLUMNS; i++) x[i] = of_kind(&r, i % COLUMNS % kinds);
    for (size_t i = 0; i < ROWS; i++) y[i] = mr_rng_below(&r, 4) ? mr_rng_normal(&r) : NAN;
}

static void test_sums_are_those_of_adding_term_by_term(void **state) {
    (void)state;
    fill(1, 6);
    assert_int_equal(compare((mr_cross_rows){x, NULL, ROWS, COLUMNS}), 0);
    fill(2, 9);
    assert_in_range(compare((mr_cross_rows){x, NULL, ROWS, COLUMNS}), 1, ROWS);
    for (size_t rows = 0; rows < 4; rows++) compare((mr_cross_rows){x, NULL, rows, 9});
    compare((mr_cross_rows){x, NULL, 128, 1});
    compare((mr_cross_rows){x, NULL, 129, 8});
}

static void test_rows_without_a_y_do_not_count(void **state) {
    (void)state;
    fill(3, 9);
    compare((mr_cross_rows){x, y, ROWS, COLUMNS});
    compare((mr_cross_rows){x, y, ROWS, 1});
    for (size_t i = 0; i < ROWS; i++) y[i] = NAN;
    compare((mr_cross_rows){x, y, ROWS, 3});
}

static void test_the_largest_and_the_least_doubles_are_added(void **state) {
    (void)state;
    static const double ends[] = {DBL_MAX, -DBL_MAX, 0x1p-1074, -DBL_MIN, 1, 0x1p-1000, 0x1p465, 0};
    enum { N = sizeof ends / sizeof *ends };
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) x[i * N + j] = ends[(i * (j + 1) + j) % N];
    compare((mr_cross_rows){x, NULL, N, N});
    for (size_t i = 0; i < ROWS; i++) x[i] = ldexp(1.5, -1074 + (int)(i % 60));
    compare((mr_cross_rows){x, NULL, ROWS, 1});
    for (int power = -1020; power < -800; power += 40) {
        for (size_t i = 0; i < ROWS; i++) x[i] = ldexp(0x1.123456789abcdp0, power - (int)(i % 90));
        compare((mr_cross_rows){x, NULL, ROWS / 4, 2});
    }
    for (size_t i = 0; i < ROWS; i++) x[i] = i % 2 ? 0x1.fffffffffffffp1023 : 0x1.fffffffffffffp960;
    compare((mr_cross_rows){x, NULL, ROWS, 1});
}

/* All slices as large as they can be: the sums of 128 products touch 2^53. */
static void test_the_fullest_slices_do_not_round(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS * COLUMNS; i++) x[i] = i % COLUMNS % 2 ? 0x1.fffffffffffffp0 : -0x1.7fffff7fffffep9;
    assert_int_equal(compare((mr_cross_rows){x, NULL, ROWS, COLUMNS}), 0);
}

static mr_status never(void *self) {
    (void)self;
    return MR_E_CANCELLED;
}

static void test_memory_and_cancel_are_reported(void **state) {
    (void)state;
    mr_crosses c;
    mr_error err;
    mr_cross_rows in = {x, NULL, ROWS, COLUMNS};
    for (size_t room = 64; room < 1 << 18; room *= 4) {
        mr_arena *small = mr_arena_new(NULL, room);
        assert_int_equal(mr_crosses_of(in, small, NULL, &c, &err), MR_E_MEMORY);
        mr_arena_free(&small);
    }
    mr_arena *large = mr_arena_new(NULL, 1 << 26);
    assert_int_equal(mr_crosses_of(in, large, &(mr_ticker){never, NULL}, &c, &err), MR_E_CANCELLED);
    mr_arena_free(&large);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_are_those_of_adding_term_by_term),
        cmocka_unit_test(test_rows_without_a_y_do_not_count),
        cmocka_unit_test(test_the_largest_and_the_least_doubles_are_added),
        cmocka_unit_test(test_the_fullest_slices_do_not_round),
        cmocka_unit_test(test_memory_and_cancel_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
