#include "worker/kit/linalg.h"
#include "worker/kit/product.h"

#include <cblas.h>
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

void mr_linalg_one_thread(void) { openblas_set_num_threads(1); }

mr_status mr_linalg_eigen(mr_arena *arena, double *a, size_t n, double *values, double *vectors,
                          mr_error *err) {
    double *up = mr_arena_alloc(arena, n, sizeof *up);
    if (!up) return mr_fail(err, MR_E_MEMORY, "no memory for %zu eigenvalues", n);
    lapack_int order = (lapack_int)n;
    /* A symmetric matrix is its own transpose, and column-major eigenvectors are rows to us. */
    lapack_int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', order, a, order, up);
    if (info != 0) return mr_fail(err, MR_E_INTERNAL, "LAPACK dsyevd did not converge (info %d)", (int)info);
    for (size_t k = 0; k < n; k++) {
        values[k] = up[n - 1 - k];
        memcpy(vectors + k * n, a + (n - 1 - k) * n, n * sizeof *a);
    }
    return MR_OK;
}

/* Rows p and q of `m` become c p - s q and s p + c q. */
static void rotate_rows(double *m, size_t n, size_t p, size_t q, double c, double s) {
    double *restrict x = m + p * n, *restrict y = m + q * n;
    for (size_t k = 0; k < n; k++) {
        double xk = x[k], yk = y[k];
        x[k] = c * xk - s * yk;
        y[k] = s * xk + c * yk;
    }
}

/* The `unsorted` values with the rows of `v`, from the largest down; equal ones keep their order. */
static void sort_down(const double *unsorted, const double *v, size_t n, uint32_t *order, double *values, double *vectors) {
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0 && unsorted[order[at - 1]] < unsorted[i]; at--) order[at] = order[at - 1];
        order[at] = (uint32_t)i;
    }
    for (size_t k = 0; k < n; k++) {
        values[k] = unsorted[order[k]];
        memcpy(vectors + k * n, v + order[k] * n, n * sizeof *v);
    }
}

/* ---- tridiagonal form ---- */

typedef struct tridiagonal {
    size_t n;
    double *a;               /* n x n; behind the diagonal of row k the vector of reflection k */
    double *beta;            /* reflection k is I - beta v v' */
    double *diagonal, *beside; /* beside[k] couples k and k + 1 */
    double *v;               /* n x n */
    double *work;
} tridiagonal;

/* x += s y */
static void add_scaled(double *restrict x, const double *restrict y, double s, size_t n) {
    for (size_t k = 0; k < n; k++) x[k] += s * y[k];
}

/* Makes row k zero behind the element beside the diagonal. */
static void reflect(tridiagonal *t, size_t k) {
    size_t n = t->n, m = n - k - 1;
    double *v = t->a + k * n + k + 1, *w = t->work, rest = mr_dot(v + 1, v + 1, m - 1);
    t->diagonal[k] = t->a[k * n + k];
    t->beside[k] = v[0];
    t->beta[k] = 0;
    if (rest == 0) return;
    double size = sqrt(v[0] * v[0] + rest), image = v[0] > 0 ? -size : size;
    v[0] -= image;
    double beta = 2 / (v[0] * v[0] + rest);
    for (size_t i = 0; i < m; i++) w[i] = beta * mr_dot(t->a + (k + 1 + i) * n + k + 1, v, m);
    add_scaled(w, v, -0.5 * beta * mr_dot(w, v, m), m);
    for (size_t i = 0; i < m; i++) {
        double *restrict row = t->a + (k + 1 + i) * n + k + 1, vi = v[i], wi = w[i];
        for (size_t j = 0; j < m; j++) row[j] -= vi * w[j] + wi * v[j];
    }
    t->beside[k] = image;
    t->beta[k] = beta;
}

/* Row i of v: column i of the product of the reflections. */
static void gather(tridiagonal *t) {
    size_t n = t->n;
    for (size_t i = 0; i < n; i++) t->v[i * n + i] = 1;
    for (size_t k = n - 2; k-- > 0;) {
        const double *by = t->a + k * n + k + 1;
        for (size_t i = k + 1; t->beta[k] != 0 && i < n; i++) {
            double *row = t->v + i * n + k + 1;
            add_scaled(row, by, -t->beta[k] * mr_dot(row, by, n - k - 1), n - k - 1);
        }
    }
}

static mr_status reduce(tridiagonal *t, const mr_ticker *tick) {
    size_t n = t->n;
    for (size_t k = 0; k + 2 < n; k++) {
        MR_TRY(mr_ticker_call(tick));
        reflect(t, k);
    }
    for (size_t k = n > 1 ? n - 2 : 0; k < n; k++) {
        t->diagonal[k] = t->a[k * n + k];
        t->beside[k] = k + 1 < n ? t->a[k * n + k + 1] : 0;
    }
    if (n > 2)
        gather(t);
    else
        for (size_t k = 0; k < n; k++) t->v[k * n + k] = 1;
    return MR_OK;
}

/* The first row from `low` on that is coupled to none behind it. */
static size_t end_of_block(const tridiagonal *t, size_t low) {
    static const double none = 1e-40; /* of a matrix whose largest entry is about 1 */
    for (size_t m = low; m + 1 < t->n; m++) {
        double size = fabs(t->diagonal[m]) + fabs(t->diagonal[m + 1]), beside = fabs(t->beside[m]);
        if (beside <= 0.5 * DBL_EPSILON * size || beside <= none) return m;
    }
    return t->n - 1;
}

/* One implicit QL step with Wilkinson's shift on rows low to high. */
static void chase(tridiagonal *t, size_t low, size_t high) {
    double *d = t->diagonal, *e = t->beside;
    double half = (d[low + 1] - d[low]) / (2 * e[low]), reach = sqrt(half * half + 1);
    double g = d[high] - d[low] + e[low] / (half + (half < 0 ? -reach : reach)), s = 1, c = 1, shift = 0;
    for (size_t i = high; i-- > low;) {
        double f = s * e[i], b = c * e[i], r = sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r == 0) { /* the block falls apart here */
            d[i + 1] -= shift;
            e[high] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - shift;
        r = (d[i] - g) * s + 2 * c * b;
        shift = s * r;
        d[i + 1] = g + shift;
        g = c * r - b;
        rotate_rows(t->v, t->n, i, i + 1, c, s);
    }
    d[low] -= shift;
    e[low] = g;
    e[high] = 0;
}

static mr_status iterate(tridiagonal *t, const mr_ticker *tick, mr_error *err) {
    enum { STEPS_MAX = 60 };
    for (size_t low = 0; low < t->n; low++) {
        size_t high;
        MR_TRY(mr_ticker_call(tick));
        for (int step = 0; (high = end_of_block(t, low)) != low; step++) {
            if (step == STEPS_MAX)
                return mr_fail(err, MR_E_INTERNAL, "the eigenvalues of %zu columns did not converge", t->n);
            chase(t, low, high);
        }
    }
    return MR_OK;
}

static double largest_of(const double *a, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(a[i]));
    return most;
}

mr_status mr_eigen_tridiagonal(mr_arena *arena, double *a, size_t n, double *values, double *vectors, const mr_ticker *tick,
                               mr_error *err) {
    int scale = 0;
    double *numbers = mr_arena_alloc(arena, 4 * n, sizeof *numbers), *v = mr_arena_alloc(arena, n * n, sizeof *v);
    uint32_t *order = mr_arena_alloc(arena, n, sizeof *order);
    if (!numbers || !v || !order) return mr_fail(err, MR_E_MEMORY, "no memory for the eigenvectors of %zu columns", n);
    tridiagonal t = {.n = n, .a = a, .v = v, .beta = numbers, .diagonal = numbers + n, .beside = numbers + 2 * n,
                     .work = numbers + 3 * n};
    frexp(largest_of(a, n * n), &scale);
    for (size_t i = 0; i < n * n; i++) a[i] = ldexp(a[i], -scale); /* so that no square over- or underflows */
    MR_TRY(reduce(&t, tick));
    MR_TRY(iterate(&t, tick, err));
    sort_down(t.diagonal, v, n, order, values, vectors);
    for (size_t k = 0; k < n; k++) values[k] = ldexp(values[k], scale);
    return MR_OK;
}

mr_status mr_eigen_covariance(mr_arena *arena, double *a, size_t n, double *values, double *vectors, const mr_ticker *tick,
                              mr_error *err) {
    static const double alike = 0x1p16;
    double least = INFINITY, most = 0;
    for (size_t i = 0; i < n; i++) {
        double variance = fabs(a[i * n + i]);
        most = fmax(most, variance);
        if (variance > 0) least = fmin(least, variance);
    }
    return most <= alike * least ? mr_eigen_tridiagonal(arena, a, n, values, vectors, tick, err)
                                 : mr_eigen_jacobi(arena, a, n, values, vectors, tick, err);
}

/* ---- Jacobi ---- */

/* The rotation that makes a[p][q] zero, applied to both sides of `a` and to the rows of `v`. */
static void annihilate(double *a, double *v, size_t n, size_t p, size_t q) {
    double app = a[p * n + p], aqq = a[q * n + q], apq = a[p * n + q];
    double theta = (aqq - app) / (2 * apq);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    rotate_rows(a, n, p, q, c, s);
    rotate_rows(v, n, p, q, c, s);
    for (size_t k = 0; k < n; k++) {
        a[k * n + p] = a[p * n + k];
        a[k * n + q] = a[q * n + k];
    }
    a[p * n + p] = app - t * apq;
    a[q * n + q] = aqq + t * apq;
    a[p * n + q] = a[q * n + p] = 0;
}

/* One pass over all pairs; false when nothing was left to turn. An off-diagonal entry counts as zero when it
 * changes neither diagonal entry beside it, which keeps small eigenvalues of graded matrices accurate, or is
 * at most `least`. */
static bool sweep(double *a, double *v, size_t n, double least) {
    bool turned = false;
    for (size_t p = 0; p + 1 < n; p++)
        for (size_t q = p + 1; q < n; q++) {
            double apq = fabs(a[p * n + q]), scale = sqrt(fabs(a[p * n + p])) * sqrt(fabs(a[q * n + q]));
            if (apq <= 0.5 * DBL_EPSILON * scale || apq <= least) continue;
            annihilate(a, v, n, p, q);
            turned = true;
        }
    return turned;
}

mr_status mr_eigen_jacobi(mr_arena *arena, double *a, size_t n, double *values, double *vectors,
                          const mr_ticker *tick, mr_error *err) {
    enum { SWEEPS_MAX = 60 };
    double *v = mr_arena_alloc(arena, n * n, sizeof *v);
    uint32_t *order = mr_arena_alloc(arena, n, sizeof *order);
    if (!v || !order) return mr_fail(err, MR_E_MEMORY, "no memory for the eigenvectors of %zu columns", n);
    for (size_t i = 0; i < n; i++) v[i * n + i] = 1;
    double size = largest_of(a, n * n);
    for (int i = 0; i < SWEEPS_MAX; i++) {
        if (!sweep(a, v, n, size * DBL_EPSILON * DBL_EPSILON)) {
            for (size_t k = 1; k < n; k++) a[k] = a[k * n + k];
            sort_down(a, v, n, order, values, vectors);
            return MR_OK;
        }
        MR_TRY(mr_ticker_call(tick));
    }
    return mr_fail(err, MR_E_INTERNAL, "the eigenvalues of %zu columns did not converge", n);
}

void mr_eigen_fix_signs(double *vectors, size_t count, size_t n) {
    for (size_t k = 0; k < count; k++) {
        double *v = vectors + k * n;
        size_t top = 0;
        for (size_t j = 1; j < n; j++)
            if (fabs(v[j]) > fabs(v[top])) top = j;
        if (v[top] >= 0) continue;
        for (size_t j = 0; j < n; j++) v[j] = -v[j];
    }
}
