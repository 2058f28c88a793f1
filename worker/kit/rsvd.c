#include "worker/kit/rsvd.h"
#include "worker/kit/fixmath.h"
#include "worker/kit/product.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SWEEPS_MAX = 60 };

static void scale_row(double *x, size_t n, double by) {
    for (size_t i = 0; i < n; i++) x[i] *= by;
}

static void subtract(double *restrict x, const double *restrict from, size_t n, double by) {
    for (size_t i = 0; i < n; i++) x[i] -= by * from[i];
}

/* Gram-Schmidt, twice over, which is enough (Giraud and Langou 2005). A row that lies within those before it becomes zero. */
static void orthonormalise(double *m, size_t rows, size_t n) {
    for (size_t i = 0; i < rows; i++) {
        double *x = m + i * n, before = sqrt(mr_dot(x, x, n));
        for (int round = 0; round < 2; round++)
            for (size_t k = 0; k < i; k++) subtract(x, m + k * n, n, mr_dot(x, m + k * n, n));
        double size = sqrt(mr_dot(x, x, n));
        scale_row(x, n, size > 1e-12 * before ? 1 / size : 0);
    }
}

/* Turns rows x and y so that they are orthogonal; false when they are already. */
static bool rotate(double *restrict x, double *restrict y, size_t n) {
    double xx = mr_dot(x, x, n), yy = mr_dot(y, y, n), xy = mr_dot(x, y, n);
    if (fabs(xy) <= 4 * DBL_EPSILON * sqrt(xx) * sqrt(yy) || xy == 0) return false;
    double theta = (yy - xx) / (2 * xy);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (size_t i = 0; i < n; i++) {
        double xi = x[i], yi = y[i];
        x[i] = c * xi - s * yi;
        y[i] = s * xi + c * yi;
    }
    return true;
}

/* Rotates the rows until they are orthogonal: then their lengths are the singular values, their directions the vectors. */
static mr_status make_orthogonal(double *m, size_t rows, size_t n, const mr_ticker *tick, mr_error *err) {
    for (int sweep = 0; sweep < SWEEPS_MAX; sweep++) {
        bool turned = false;
        for (size_t i = 0; i + 1 < rows; i++) {
            MR_TRY(mr_ticker_call(tick));
            for (size_t k = i + 1; k < rows; k++) turned |= rotate(m + i * n, m + k * n, n);
        }
        if (!turned) return MR_OK;
    }
    return mr_fail(err, MR_E_INTERNAL, "the singular values of %zu directions did not converge", rows);
}

/* The `rank` longest rows, longest first, as values and unit vectors. */
static void put_longest(const double *m, size_t rows, size_t n, double *lengths, mr_rsvd *out) {
    for (size_t i = 0; i < rows; i++) lengths[i] = sqrt(mr_dot(m + i * n, m + i * n, n));
    for (size_t k = 0; k < out->rank; k++) {
        size_t top = 0;
        for (size_t i = 1; i < rows; i++)
            if (lengths[i] > lengths[top]) top = i;
        out->values[k] = lengths[top];
        out->captured += lengths[top] * lengths[top];
        memcpy(out->vectors + k * n, m + top * n, n * sizeof *m);
        scale_row(out->vectors + k * n, n, lengths[top] > 0 ? 1 / lengths[top] : 0);
        lengths[top] = -1;
    }
}

/* An orthonormal basis of A's range, a direction a row, into `basis` (count x rows); `across` is count x columns. */
static mr_status find_range(const double *a, size_t rows, size_t columns, size_t count, size_t power, double *basis,
                            double *across, const mr_ticker *tick) {
    for (size_t round = 0; round <= power; round++) {
        MR_TRY(mr_ticker_call(tick));
        mr_product(mr_view_of(across, columns), mr_view_transposed(a, columns), count, columns, rows, false, basis);
        orthonormalise(basis, count, rows);
        if (round == power) return MR_OK;
        mr_product(mr_view_of(basis, rows), mr_view_of(a, columns), count, rows, columns, false, across);
        orthonormalise(across, count, columns);
    }
    return MR_OK;
}

mr_status mr_rsvd_fit(const double *a, size_t rows, size_t columns, const mr_rsvd_options *o, mr_arena *arena,
                      const mr_ticker *tick, mr_rsvd *out, mr_error *err) {
    size_t most = rows < columns ? rows : columns, rank = o->rank < most ? o->rank : most;
    size_t count = o->oversample < most - rank ? rank + o->oversample : most;
    *out = (mr_rsvd){.rank = rank, .values = mr_arena_alloc(arena, rank, sizeof(double)),
                     .vectors = mr_arena_alloc(arena, rank * columns, sizeof(double))};
    double *basis = mr_arena_alloc(arena, count * rows, sizeof *basis);
    double *across = mr_arena_alloc(arena, count * columns, sizeof *across);
    double *lengths = mr_arena_alloc(arena, count, sizeof *lengths);
    if (!out->values || !out->vectors || !basis || !across || !lengths)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu singular vectors of %zu rows and %zu columns", rank, rows,
                       columns);
    mr_rng rng;
    mr_rng_seed(&rng, o->seed);
    for (size_t i = 0; i < count * columns; i++) across[i] = mr_fix_normal(&rng);
    for (size_t i = 0; i < rows; i++) out->total += mr_dot(a + i * columns, a + i * columns, columns);
    MR_TRY(find_range(a, rows, columns, count, o->power, basis, across, tick));
    mr_product(mr_view_of(basis, rows), mr_view_of(a, columns), count, rows, columns, false, across);
    MR_TRY(make_orthogonal(across, count, columns, tick, err));
    put_longest(across, count, columns, lengths, out);
    return MR_OK;
}
