#include "common/rng.h"
#include "worker/kit/forest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 600, WIDTH = 4 };

static void make_rows(double *x) {
    mr_rng r;
    mr_rng_seed(&r, 5);
    for (int i = 0; i < ROWS * WIDTH; i++) x[i] = mr_rng_normal(&r);
    for (int j = 0; j < WIDTH; j++) x[j] = 8;            /* row 0 stands apart */
    for (int i = 0; i < ROWS; i++) x[i * WIDTH + 3] = 1; /* a constant column */
}

/* sklearn.ensemble._iforest._average_path_length (scikit-learn 1.2.1), whose Euler constant has more digits.
 */
static void test_c_has_the_reference_values(void **state) {
    (void)state;
    assert_true(mr_forest_c(0) == 0 && mr_forest_c(1) == 0 && mr_forest_c(2) == 1);
    assert_true(fabs(mr_forest_c(5) - 2.327020052042847) < 1e-9);
    assert_true(fabs(mr_forest_c(100) - 8.364671030072245) < 1e-9);
    assert_true(fabs(mr_forest_c(256) - 10.244770920119917) < 1e-9);
    assert_true(fabs(mr_forest_c(999) - 12.967939884427995) < 1e-9);
}

static void test_path_length_is_cuts_and_what_the_leaf_holds(void **state) {
    (void)state;
    /* x0 <= 2, then x1 <= 0.5: leaves of 1, 1 and 5 rows. */
    mr_forest_node node[] = {{2, 0, 1}, {0.5, 1, 3}, {1 + mr_forest_c(5), -1, 0}, {2, -1, 0}, {2, -1, 0}};
    uint32_t root[] = {0};
    mr_forest f = {1, 7, 2, 5, root, node};
    assert_true(mr_forest_path(&f, 0, (double[]){2, 0.5}) == 2);
    assert_true(mr_forest_path(&f, 0, (double[]){1, 9}) == 2);
    assert_true(fabs(mr_forest_path(&f, 0, (double[]){3, 0}) - 3.327020052042847) < 1e-9);
    assert_true(fabs(mr_forest_score(&f, (double[]){2, 0}) - exp2(-2 / mr_forest_c(7))) < 1e-15);
}

static void test_trees_obey_the_height_limit_and_part_the_rows(void **state) {
    (void)state;
    static double x[ROWS * WIDTH];
    make_rows(x);
    mr_arena *arena = mr_arena_new(NULL, 1 << 26);
    mr_forest f;
    assert_int_equal(mr_forest_fit(&f, arena, x, ROWS, WIDTH, 50, 100, 3, NULL, NULL), MR_OK);
    assert_int_equal(f.subsample, 100);
    for (size_t i = 0; i < f.nodes; i++) assert_int_not_equal(f.node[i].feature, 3);
    for (size_t t = 0; t < f.trees; t++)
        for (size_t i = 0; i < ROWS; i++) {
            double path = mr_forest_path(&f, t, x + i * WIDTH);
            assert_true(path >= 1 && path <= 7 + mr_forest_c(100));
        }
    double apart = mr_forest_score(&f, x);
    for (size_t i = 1; i < ROWS; i++) assert_true(mr_forest_score(&f, x + i * WIDTH) < apart);
    mr_arena_free(&arena);
}

static void test_equal_rows_are_one_leaf(void **state) {
    (void)state;
    double x[20];
    for (int i = 0; i < 20; i++) x[i] = 3;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_forest f;
    assert_int_equal(mr_forest_fit(&f, arena, x, 10, 2, 5, 256, 3, NULL, NULL), MR_OK);
    assert_int_equal(f.nodes, 5);
    assert_true(mr_forest_score(&f, x) == 0.5);
    mr_arena_free(&arena);
}

static void test_a_forest_survives_packing(void **state) {
    (void)state;
    static double x[ROWS * WIDTH];
    make_rows(x);
    mr_arena *arena = mr_arena_new(NULL, 1 << 26);
    mr_forest f, g;
    mr_buf b;
    mr_unpack u;
    mr_error err;
    mr_buf_init(&b, NULL, 1 << 22);
    assert_int_equal(mr_forest_fit(&f, arena, x, ROWS, WIDTH, 20, 64, 3, NULL, NULL), MR_OK);
    mr_forest_pack(&f, &b);
    mr_unpack_init(&u, mr_buf_span(&b));
    assert_int_equal(mr_forest_unpack(&g, arena, WIDTH, &u, &err), MR_OK);
    for (size_t i = 0; i < ROWS; i++)
        assert_true(mr_forest_score(&f, x + i * WIDTH) == mr_forest_score(&g, x + i * WIDTH));
    mr_unpack_init(&u, mr_buf_span(&b)); /* a column fewer: some node asks for one that is not there */
    assert_int_equal(mr_forest_unpack(&g, arena, 2, &u, &err), MR_E_CORRUPT);
    mr_unpack_init(&u, (mr_span){b.data, b.len - 1});
    assert_int_not_equal(mr_forest_unpack(&g, arena, WIDTH, &u, &err), MR_OK);
    mr_buf_free(&b);
    mr_arena_free(&arena);
}

static void test_a_loop_of_nodes_is_refused(void **state) {
    (void)state;
    mr_forest_node node[] = {{2, 0, 0}, {1, -1, 0}};
    uint32_t root[] = {0};
    mr_forest f = {1, 2, 1, 2, root, node}, g;
    mr_arena *arena = mr_arena_new(NULL, 1 << 16);
    mr_buf b;
    mr_unpack u;
    mr_buf_init(&b, NULL, 1 << 16);
    mr_forest_pack(&f, &b);
    mr_unpack_init(&u, mr_buf_span(&b));
    assert_int_equal(mr_forest_unpack(&g, arena, 1, &u, NULL), MR_E_CORRUPT);
    mr_buf_free(&b);
    mr_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_c_has_the_reference_values),
        cmocka_unit_test(test_path_length_is_cuts_and_what_the_leaf_holds),
        cmocka_unit_test(test_trees_obey_the_height_limit_and_part_the_rows),
        cmocka_unit_test(test_equal_rows_are_one_leaf),
        cmocka_unit_test(test_a_forest_survives_packing),
        cmocka_unit_test(test_a_loop_of_nodes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
