#include "common/rng.h"
#include "worker/kit/linalg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { N = 60 };

/* A product of a random matrix of the given rank with its transpose; columns of different size, `grade` powers of 10. */
static void fill(double *a, size_t n, size_t rank, uint64_t seed, double grade) {
    mr_rng r;
    mr_rng_seed(&r, seed);
    double *b = calloc(n * rank, sizeof *b);
    assert_non_null(b);
    for (size_t i = 0; i < n * rank; i++) b[i] = mr_rng_normal(&r) * pow(10, grade * ((double)(i / rank % 5) / 4 - 0.5));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            a[i * n + j] = 0;
            for (size_t k = 0; k < rank; k++) a[i * n + j] += b[i * rank + k] * b[j * rank + k];
        }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) a[i * n + j] = a[j * n + i];
    free(b);
}

typedef mr_status solver(mr_arena *arena, double *a, size_t n, double *values, double *vectors, const mr_ticker *tick,
                         mr_error *err);

static void compare_one(solver *solve, size_t n, size_t rank, uint64_t seed, double grade) {
    static double a[N * N], b[N * N], values[2][N], vectors[2][N * N];
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    mr_error err;
    fill(a, n, rank, seed, grade);
    memcpy(b, a, sizeof a);
    assert_int_equal(solve(arena, a, n, values[0], vectors[0], NULL, &err), MR_OK);
    assert_int_equal(mr_linalg_eigen(arena, b, n, values[1], vectors[1], &err), MR_OK);
    mr_eigen_fix_signs(vectors[0], n, n);
    mr_eigen_fix_signs(vectors[1], n, n);
    for (size_t k = 0; k < n; k++) assert_true(fabs(values[0][k] - values[1][k]) <= 1e-12 * values[1][0]);
    for (size_t i = 0; i < n * rank; i++) assert_true(fabs(vectors[0][i] - vectors[1][i]) < 1e-6);
    for (size_t k = 1; k < n; k++) assert_true(values[0][k - 1] >= values[0][k]);
    mr_arena_free(&arena);
}

static void compare(size_t n, size_t rank, uint64_t seed) {
    compare_one(mr_eigen_jacobi, n, rank, seed, 4);
    compare_one(mr_eigen_tridiagonal, n, rank, seed, 0.5);
    compare_one(mr_eigen_covariance, n, rank, seed, 4);
}

static void test_both_ways_agree_with_lapack(void **state) {
    (void)state;
    compare(1, 1, 1);
    compare(2, 2, 2);
    compare(7, 7, 3);
    compare(31, 31, 4);
    compare(N, N, 5);
}

static void test_a_matrix_of_low_rank_converges(void **state) {
    (void)state;
    compare(20, 1, 6);
    compare(N, 9, 7);
}

static void test_a_diagonal_matrix_is_only_sorted(void **state) {
    (void)state;
    static solver *const solvers[] = {mr_eigen_jacobi, mr_eigen_tridiagonal};
    mr_arena *arena = mr_arena_new(NULL, 1 << 16);
    for (size_t i = 0; i < 2; i++) {
        double a[9] = {1, 0, 0, 0, 5, 0, 0, 0, 5}, values[3], vectors[9];
        assert_int_equal(solvers[i](arena, a, 3, values, vectors, NULL, NULL), MR_OK);
        assert_memory_equal(values, ((double[]){5, 5, 1}), sizeof values);
        assert_memory_equal(vectors, ((double[]){0, 1, 0, 0, 0, 1, 1, 0, 0}), sizeof vectors);
    }
    mr_arena_free(&arena);
}

/* The second difference: eigenvalues 2 - 2 cos(k pi / (n + 1)); much larger and much smaller ones as well. */
static void test_known_eigenvalues_at_any_size(void **state) {
    (void)state;
    static double a[N * N], values[N], vectors[N * N];
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    mr_error err;
    for (int power = -600; power <= 600; power += 300) {
        memset(a, 0, sizeof a);
        for (size_t i = 0; i < N; i++) {
            a[i * N + i] = ldexp(2, power);
            if (i > 0) a[i * N + i - 1] = a[(i - 1) * N + i] = ldexp(-1, power);
        }
        assert_int_equal(mr_eigen_tridiagonal(arena, a, N, values, vectors, NULL, &err), MR_OK);
        for (int k = 0; k < N; k++)
            assert_true(fabs(ldexp(values[k], -power) - (2 - 2 * cos((N - k) * acos(-1) / (N + 1)))) < 1e-14);
    }
    mr_arena_free(&arena);
}

/* Variances from 1e-12 to 1e12, correlations of 0.1: each eigenvalue to its own last digits. */
static void test_small_eigenvalues_of_graded_columns_are_kept(void **state) {
    (void)state;
    double a[9] = {1e12, 1e5, 0.1, 1e5, 1, 1e-7, 0.1, 1e-7, 1e-12}, values[3], vectors[9];
    mr_arena *arena = mr_arena_new(NULL, 1 << 16);
    mr_error err;
    assert_int_equal(mr_eigen_covariance(arena, a, 3, values, vectors, NULL, &err), MR_OK);
    /* mpmath.eigsy at 80 digits */
    static const double known[3] = {1000000000000.01, 0.98999999999999828, 9.8181818181817368e-13};
    for (int k = 0; k < 3; k++) assert_true(fabs(values[k] / known[k] - 1) < 1e-13);
    mr_arena_free(&arena);
}

static void test_signs_make_the_largest_loading_positive(void **state) {
    (void)state;
    double v[6] = {0.1, -0.9, 0.2, -0.5, 0.5, 0};
    mr_eigen_fix_signs(v, 2, 3);
    assert_memory_equal(v, ((double[]){-0.1, 0.9, -0.2, 0.5, -0.5, -0.0}), sizeof v);
}

static mr_status never(void *self) {
    (void)self;
    return MR_E_CANCELLED;
}

static void test_memory_and_cancel_are_reported(void **state) {
    (void)state;
    static double a[N * N], values[N], vectors[N * N];
    mr_arena *small = mr_arena_new(NULL, 64), *large = mr_arena_new(NULL, 1 << 20);
    mr_error err;
    fill(a, N, N, 8, 1);
    assert_int_equal(mr_eigen_jacobi(small, a, N, values, vectors, NULL, &err), MR_E_MEMORY);
    assert_int_equal(mr_eigen_tridiagonal(small, a, N, values, vectors, NULL, &err), MR_E_MEMORY);
    assert_int_equal(mr_eigen_tridiagonal(large, a, N, values, vectors, &(mr_ticker){never, NULL}, &err), MR_E_CANCELLED);
    assert_int_equal(mr_linalg_eigen(small, a, N, values, vectors, &err), MR_E_MEMORY);
    assert_int_equal(mr_eigen_jacobi(large, a, N, values, vectors, &(mr_ticker){never, NULL}, &err),
                     MR_E_CANCELLED);
    mr_arena_free(&small);
    mr_arena_free(&large);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways_agree_with_lapack),
        cmocka_unit_test(test_a_matrix_of_low_rank_converges),
        cmocka_unit_test(test_a_diagonal_matrix_is_only_sorted),
        cmocka_unit_test(test_known_eigenvalues_at_any_size),
        cmocka_unit_test(test_small_eigenvalues_of_graded_columns_are_kept),
        cmocka_unit_test(test_signs_make_the_largest_loading_positive),
        cmocka_unit_test(test_memory_and_cancel_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
