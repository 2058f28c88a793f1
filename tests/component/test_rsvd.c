/* product.h, fixmath.h, rsvd.h, lbfgs.h and autoencoder.h. References: long double arithmetic of the C library, the plain
 * triple loop, LAPACK's dgesdd in this process, and closed forms. */
#include "common/mem.h"
#include "worker/kit/autoencoder.h"
#include "worker/kit/fixmath.h"
#include "worker/kit/lbfgs.h"
#include "worker/kit/product.h"
#include "worker/kit/rsvd.h"
#include "common/rng.h"

#include <lapacke.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static double *numbers(size_t n, uint64_t seed) {
    double *x = malloc(n * sizeof *x + 8);
    mr_rng rng;
    assert_non_null(x);
    mr_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) x[i] = mr_rng_normal(&rng);
    return x;
}

/* ---- exp and log ---- */

static void test_exp_log_and_tanh_agree_with_long_doubles(void **state) {
    (void)state;
    mr_rng rng;
    mr_rng_seed(&rng, 3);
    for (int i = 0; i < 200000; i++) {
        double x = 1400 * (mr_rng_unit(&rng) - 0.5), y = exp(x / 2), z = 0.5 + mr_rng_unit(&rng);
        assert_true(fabsl(mr_fix_exp(x) / expl(x) - 1) < 1e-15);
        assert_true(fabsl(mr_fix_log(y) / logl(y) - 1) < 1e-15);
        assert_true(fabsl(mr_fix_log(z) - logl(z)) < 2e-16);
        assert_true(fabsl(mr_fix_tanh(x / 50) - tanhl(x / 50)) < 4e-16);
        assert_true(fabsl(mr_fix_pow(z, 0.895) / powl(z, 0.895L) - 1) < 1e-15);
    }
    assert_true(mr_fix_exp(0) == 1 && mr_fix_log(1) == 0 && mr_fix_tanh(0) == 0 && mr_fix_tanh(500) == 1);
    assert_true(mr_fix_exp(-1e9) > 0 && mr_fix_exp(-1e9) < 1e-300);
}

/* ---- products ---- */

/* Not only near: the sums are taken in the order of the inner dimension, so every bit is that of the plain loop. */
static void test_products_have_the_bits_of_the_plain_loop(void **state) {
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1}, {3, 5, 7}, {4, 8, 8}, {17, 600, 13}, {33, 257, 40}, {5, 0, 3}};
    for (size_t t = 0; t < sizeof sizes / sizeof *sizes; t++) {
        size_t m = sizes[t][0], p = sizes[t][1], n = sizes[t][2];
        double *a = numbers(m * p, 1), *b = numbers(p * n, 2), *c = calloc(m * n, sizeof *c), *at = numbers(m * p, 3);
        for (size_t i = 0; i < m; i++)
            for (size_t l = 0; l < p; l++) at[l * m + i] = a[i * p + l];
        for (int add = 0; add < 2; add++)
            for (int across = 0; across < 2; across++) {
                for (size_t i = 0; i < m * n; i++) c[i] = (double)i;
                mr_product(across ? mr_view_transposed(at, m) : mr_view_of(a, p), mr_view_of(b, n), m, p, n, add, c);
                for (size_t i = 0; i < m; i++)
                    for (size_t j = 0; j < n; j++) {
                        double sum = add ? (double)(i * n + j) : 0;
                        for (size_t l = 0; l < p; l++) sum += a[i * p + l] * b[l * n + j];
                        assert_true(c[i * n + j] == sum);
                    }
            }
        free(a);
        free(b);
        free(c);
        free(at);
    }
}

/* ---- singular values ---- */

typedef struct wide {
    size_t rows, columns;
    double *x, *values, *vt; /* by LAPACK */
} wide;

/* A matrix whose singular values fall as `fall` says, and LAPACK's decomposition of it. */
static wide wide_of(size_t rows, size_t columns, size_t rank, double (*fall)(size_t)) {
    wide m = {rows, columns, calloc(rows * columns, sizeof(double)), malloc(rows * sizeof(double)),
              malloc(rows * columns * sizeof(double))};
    double *left = numbers(rows * rank, 5), *right = numbers(rank * columns, 6), *u = malloc(rows * rows * sizeof *u);
    assert_true(m.x && m.values && m.vt && u);
    for (size_t k = 0; k < rank; k++)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < columns; j++) m.x[i * columns + j] += fall(k) * left[i * rank + k] * right[k * columns + j];
    double *copy = malloc(rows * columns * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, m.x, rows * columns * sizeof *copy);
    lapack_int n = (lapack_int)rows, w = (lapack_int)columns;
    assert_int_equal(LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'S', n, w, copy, w, m.values, u, n, m.vt, w), 0);
    free(left);
    free(right);
    free(u);
    free(copy);
    return m;
}

static void wide_free(wide *m) {
    free(m->x);
    free(m->values);
    free(m->vt);
}

static double slowly(size_t k) { return 1 / (1 + 0.05 * (double)k); }
static double steeply(size_t k) { return pow(0.7, (double)k); }

static void decompose(const wide *m, size_t rank, size_t power, mr_arena *arena, mr_rsvd *out) {
    mr_error err;
    mr_rsvd_options o = {rank, 10, power, 42};
    assert_int_equal(mr_rsvd_fit(m->x, m->rows, m->columns, &o, arena, NULL, out, &err), MR_OK);
}

static void test_steep_values_and_vectors_are_those_of_lapack(void **state) {
    (void)state;
    wide m = wide_of(120, 900, 60, steeply);
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    mr_rsvd got;
    decompose(&m, 12, 4, arena, &got);
    for (size_t k = 0; k < 12; k++) {
        assert_true(fabs(got.values[k] / m.values[k] - 1) < 1e-9);
        assert_true(fabs(fabs(mr_dot(got.vectors + k * 900, m.vt + k * 900, 900)) - 1) < 1e-9);
    }
    mr_arena_free(&arena);
    wide_free(&m);
}

/* Halko, Martinsson and Tropp 2011, corollary 10.10: the expected error in the spectral norm is at most
 * (1 + sqrt(k / (p - 1)) + e sqrt(k + p) / p sqrt(min(m, n) - k))^(1 / (2 q + 1)) times the best, with k values, p more
 * directions and q rounds. What is left in the Frobenius norm bounds the spectral one only from above, so it is computed. */
static void test_the_error_stays_below_the_bound_of_the_paper(void **state) {
    (void)state;
    wide m = wide_of(100, 700, 100, slowly);
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    double least = INFINITY;
    for (size_t power = 0; power <= 4; power += 2) {
        mr_rsvd got;
        double k = 20, p = 10, rest[100] = {0}, *left = malloc(100 * 700 * sizeof *left);
        double bound = pow(1 + sqrt(k / (p - 1)) + exp(1) * sqrt(k + p) / p * sqrt(100 - k), 1 / (2 * (double)power + 1));
        assert_non_null(left);
        decompose(&m, 20, power, arena, &got);
        memcpy(left, m.x, 100 * 700 * sizeof *left);
        for (size_t i = 0; i < 100; i++)
            for (size_t v = 0; v < 20; v++) {
                double along = mr_dot(m.x + i * 700, got.vectors + v * 700, 700);
                for (size_t j = 0; j < 700; j++) left[i * 700 + j] -= along * got.vectors[v * 700 + j];
            }
        double frobenius = mr_dot(left, left, 100 * 700);
        assert_true(frobenius <= (got.total - got.captured) * (1 + 1e-9));
        assert_int_equal(LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'N', 100, 700, left, 700, rest, NULL, 100, NULL, 700), 0);
        assert_true(rest[0] >= m.values[20] * (1 - 1e-9));
        assert_true(rest[0] <= bound * m.values[20]);
        assert_true(frobenius <= least * (1 + 1e-9)); /* more rounds, less error */
        least = frobenius;
        for (size_t v = 0; v < 20; v++) assert_true(got.values[v] <= m.values[v] * (1 + 1e-12));
        free(left);
    }
    mr_arena_free(&arena);
    wide_free(&m);
}

static void test_a_matrix_of_low_rank_is_given_back_whole(void **state) {
    (void)state;
    wide m = wide_of(40, 600, 5, slowly);
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    mr_rsvd got, again;
    decompose(&m, 1000, 2, arena, &got);
    decompose(&m, 1000, 2, arena, &again);
    assert_int_equal(got.rank, 40);
    assert_true(fabs(got.captured / got.total - 1) < 1e-12);
    for (size_t k = 0; k < 5; k++) assert_true(fabs(got.values[k] / m.values[k] - 1) < 1e-12);
    for (size_t k = 5; k < 40; k++) assert_true(got.values[k] < 1e-10 * got.values[0]);
    assert_memory_equal(got.vectors, again.vectors, 40 * 600 * sizeof(double));
    mr_arena_free(&arena);
    wide_free(&m);
}

/* ---- minimising ---- */

static mr_status rosenbrock(void *self, const double *x, double *value, double *gradient) {
    size_t n = *(size_t *)self;
    *value = 0;
    memset(gradient, 0, n * sizeof *gradient);
    for (size_t i = 0; i + 1 < n; i++) {
        double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
        *value += 100 * a * a + b * b;
        gradient[i] += -400 * a * x[i] - 2 * b;
        gradient[i + 1] += 200 * a;
    }
    return MR_OK;
}

static mr_status forbidden(void *self, const double *x, double *value, double *gradient) {
    (void)self, (void)x, (void)value, (void)gradient;
    return MR_E_CANCELLED;
}

static void test_lbfgs_finds_the_end_of_a_curved_valley(void **state) {
    (void)state;
    size_t n = 20;
    double x[20];
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    mr_lbfgs_result r;
    mr_error err;
    for (size_t i = 0; i < n; i++) x[i] = i % 2 ? 1 : -1.2;
    assert_int_equal(mr_lbfgs(rosenbrock, &n, x, n, 1000, 1e-10, arena, &r, &err), MR_OK);
    assert_true(r.converged);
    for (size_t i = 0; i < n; i++) assert_true(fabs(x[i] - 1) < 1e-7);
    assert_int_equal(mr_lbfgs(forbidden, NULL, x, n, 10, 1e-10, arena, &r, &err), MR_E_CANCELLED);
    mr_arena_free(&arena);
}

/* ---- autoencoder ---- */

enum { ROWS = 400, WIDTH = 6 };

/* A half circle in six columns: one number tells a row, but no straight line does. */
static double *bow(void) {
    double *x = numbers(ROWS * WIDTH, 9);
    for (size_t i = 0; i < ROWS; i++) {
        double t = M_PI * (double)i / ROWS;
        for (size_t j = 0; j < WIDTH; j++)
            x[i * WIDTH + j] = 0.02 * x[i * WIDTH + j] + (j % 2 ? cos(t) : sin(t)) * (double)(j + 1);
    }
    return x;
}

static mr_autoencoder fit_bow(const double *x, mr_arena *arena) {
    mr_autoencoder a;
    mr_error err;
    mr_autoencoder_options o = {.code = 1, .hidden = 8, .iterations = 300, .decay = 1e-7, .seed = 4};
    assert_int_equal(mr_autoencoder_fit(x, ROWS, WIDTH, &o, arena, NULL, &a, &err), MR_OK);
    return a;
}

static void test_an_autoencoder_follows_a_bow_that_no_line_follows(void **state) {
    (void)state;
    double *x = bow(), code[ROWS], back[ROWS * WIDTH], squares = 0, unit[ROWS * WIDTH];
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    mr_autoencoder a = fit_bow(x, arena);
    mr_error err;
    mr_rsvd line;
    assert_int_equal(mr_autoencoder_run(&a, x, ROWS, code, back, arena, NULL, &err), MR_OK);
    for (size_t i = 0; i < ROWS * WIDTH; i++) {
        squares += pow((back[i] - x[i]) / a.range[i % WIDTH], 2) / (ROWS * WIDTH);
        unit[i] = (x[i] - a.low[i % WIDTH]) / a.range[i % WIDTH];
    }
    assert_true(fabs(squares / a.error - 1) < 1e-9);
    for (size_t j = 0; j < WIDTH; j++) {
        double mean = 0;
        for (size_t i = 0; i < ROWS; i++) mean += unit[i * WIDTH + j] / ROWS;
        for (size_t i = 0; i < ROWS; i++) unit[i * WIDTH + j] -= mean;
    }
    assert_int_equal(mr_rsvd_fit(unit, ROWS, WIDTH, &(mr_rsvd_options){1, 5, 4, 1}, arena, NULL, &line, &err), MR_OK);
    assert_true(a.error < 0.05 * (line.total - line.captured) / (ROWS * WIDTH));
    mr_arena_free(&arena);
    free(x);
}

static void test_a_stored_autoencoder_gives_the_same_codes_row_by_row(void **state) {
    (void)state;
    double *x = bow(), code[ROWS], alone[ROWS];
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    mr_autoencoder a = fit_bow(x, arena), b = fit_bow(x, arena), read;
    mr_buf bytes, other;
    mr_unpack in;
    mr_error err;
    mr_buf_init(&bytes, NULL, 1 << 20);
    mr_buf_init(&other, NULL, 1 << 20);
    mr_autoencoder_pack(&a, &bytes);
    mr_autoencoder_pack(&b, &other);
    assert_true(mr_span_eq(mr_buf_span(&bytes), mr_buf_span(&other)));
    mr_unpack_init(&in, mr_buf_span(&bytes));
    assert_int_equal(mr_autoencoder_unpack(&read, arena, WIDTH, &in, &err), MR_OK);
    assert_int_equal(mr_autoencoder_run(&a, x, ROWS, code, NULL, arena, NULL, &err), MR_OK);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(mr_autoencoder_run(&read, x + i * WIDTH, 1, &alone[i], NULL, arena, NULL, &err), MR_OK);
    assert_memory_equal(code, alone, sizeof code);
    mr_unpack_init(&in, mr_buf_span(&bytes));
    assert_int_equal(mr_autoencoder_unpack(&read, arena, WIDTH + 1, &in, &err), MR_E_CORRUPT);
    mr_buf_free(&bytes);
    mr_buf_free(&other);
    mr_arena_free(&arena);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_log_and_tanh_agree_with_long_doubles),
        cmocka_unit_test(test_products_have_the_bits_of_the_plain_loop),
        cmocka_unit_test(test_steep_values_and_vectors_are_those_of_lapack),
        cmocka_unit_test(test_the_error_stays_below_the_bound_of_the_paper),
        cmocka_unit_test(test_a_matrix_of_low_rank_is_given_back_whole),
        cmocka_unit_test(test_lbfgs_finds_the_end_of_a_curved_valley),
        cmocka_unit_test(test_an_autoencoder_follows_a_bow_that_no_line_follows),
        cmocka_unit_test(test_a_stored_autoencoder_gives_the_same_codes_row_by_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
