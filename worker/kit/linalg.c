#include "worker/kit/linalg.h"

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

static void sort_down(const double *a, const double *v, size_t n, uint32_t *order, double *values,
                      double *vectors) {
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0 && a[order[at - 1] * n + order[at - 1]] < a[i * n + i]; at--) order[at] = order[at - 1];
        order[at] = (uint32_t)i;
    }
    for (size_t k = 0; k < n; k++) {
        values[k] = a[order[k] * n + order[k]];
        memcpy(vectors + k * n, v + order[k] * n, n * sizeof *v);
    }
}

mr_status mr_eigen_jacobi(mr_arena *arena, double *a, size_t n, double *values, double *vectors,
                          const mr_ticker *tick, mr_error *err) {
    enum { SWEEPS_MAX = 60 };
    double *v = mr_arena_alloc(arena, n * n, sizeof *v);
    uint32_t *order = mr_arena_alloc(arena, n, sizeof *order);
    if (!v || !order) return mr_fail(err, MR_E_MEMORY, "no memory for the eigenvectors of %zu columns", n);
    for (size_t i = 0; i < n; i++) v[i * n + i] = 1;
    double size = 0;
    for (size_t i = 0; i < n * n; i++) size = fmax(size, fabs(a[i]));
    for (int i = 0; i < SWEEPS_MAX; i++) {
        if (!sweep(a, v, n, size * DBL_EPSILON * DBL_EPSILON)) {
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
