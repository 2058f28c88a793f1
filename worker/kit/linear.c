#include "worker/kit/linear.h"
#include "worker/kit/fixmath.h"
#include "worker/kit/product.h"
#include "worker/kit/wide.h"

#include <math.h>
#include <string.h>

enum { STEP = 128 }; /* rows at a time */

bool mr_cholesky(double *a, size_t n) {
    for (size_t j = 0; j < n; j++) {
        double *row = a + j * n, diagonal = row[j];
        for (size_t i = 0; i < j; i++) {
            double sum = row[i];
            for (size_t k = 0; k < i; k++) sum -= row[k] * a[i * n + k];
            row[i] = sum / a[i * n + i];
        }
        double pivot = diagonal;
        for (size_t k = 0; k < j; k++) pivot -= row[k] * row[k];
        if (!(pivot > 1e-12 * diagonal)) return false;
        row[j] = sqrt(pivot);
    }
    return true;
}

void mr_cholesky_solve(const double *l, size_t n, double *b) {
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) b[i] -= l[i * n + k] * b[k];
        b[i] /= l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++) b[i] -= l[k * n + i] * b[k];
        b[i] /= l[i * n + i];
    }
}

double mr_linear_at(const double *weight, const double *row, size_t width) {
    double sum = weight[width];
    for (size_t j = 0; j < width; j++) sum += weight[j] * row[j];
    return sum;
}

double mr_sigmoid(double x) {
    double e = mr_fix_exp(x < 0 ? x : -x);
    return (x < 0 ? e : 1) / (1 + e);
}
double mr_softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

/* ---- ridge ---- */

static mr_status moments_alloc(mr_moments *m, size_t width, size_t rows, mr_arena *arena, mr_error *err) {
    size_t w = width + 1;
    *m = (mr_moments){width, (double)rows, mr_arena_alloc(arena, w, sizeof(double)), mr_arena_alloc(arena, w * w, sizeof(double))};
    if (m->mean && m->covariance) return MR_OK;
    return mr_fail(err, MR_E_MEMORY, "no memory for the moments of %zu columns", width);
}

/* `out` gains the sums of products of so many rows less their means; d has room for as many rows. */
static void add_products(const double *x, const double *y, size_t rows, mr_moments *out, double *d) {
    size_t width = out->width, w = width + 1;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < width; j++) d[i * w + j] = x[i * width + j] - out->mean[j];
        d[i * w + width] = y[i] - out->mean[width];
    }
    mr_product(mr_view_transposed(d, w), mr_view_of(d, w), w, rows, w, true, out->covariance);
}

mr_status mr_moments_of(const double *x, const double *y, size_t n, size_t width, mr_arena *arena,
                        mr_moments *out, mr_error *err) {
    size_t w = width + 1;
    double *d = mr_arena_alloc(arena, STEP * w, sizeof *d);
    MR_TRY(moments_alloc(out, width, n, arena, err));
    if (!d) return mr_fail(err, MR_E_MEMORY, "no memory for the moments of %zu columns", width);
    for (size_t i = 0; i < n; i++) { /* less the first row, so that a column of one value has just that mean */
        for (size_t j = 0; j < width; j++) out->mean[j] += x[i * width + j] - x[j];
        out->mean[width] += y[i] - y[0];
    }
    for (size_t j = 0; j < w; j++) out->mean[j] = (j < width ? x[j] : y[0]) + out->mean[j] / (double)n;
    for (size_t i = 0; i < n; i += STEP) add_products(x + i * width, y + i, n - i < STEP ? n - i : STEP, out, d);
    for (size_t j = 0; j < w * w; j++) out->covariance[j] /= (double)n;
    return MR_OK;
}

void mr_moments_join(mr_moments *m, const mr_moments *more) {
    size_t w = m->width + 1;
    double rows = m->rows + more->rows, share = rows > 0 ? more->rows / rows : 0;
    for (size_t j = 0; j < w; j++) {
        double apart = (more->mean[j] - m->mean[j]) * share * (1 - share);
        for (size_t k = 0; k < w; k++) {
            double *c = m->covariance + j * w + k;
            *c += share * (more->covariance[j * w + k] - *c) + apart * (more->mean[k] - m->mean[k]);
        }
    }
    for (size_t j = 0; j < w; j++) m->mean[j] += share * (more->mean[j] - m->mean[j]);
    m->rows = rows;
}

typedef struct system_ {
    size_t width;
    double *gram;   /* X'X of the z-scores */
    double *factor; /* of X'X + lambda I */
    double *right;  /* X'y */
} system_;

/* A column that does not vary gets a row and a column of the identity, so that its b is 0. */
static bool set_up(const mr_moments *m, double lambda, system_ *s) {
    size_t w = m->width, all = w + 1;
    for (size_t j = 0; j < w; j++) {
        double sd = sqrt(m->covariance[j * all + j]);
        s->right[j] = sd > 0 ? m->rows * m->covariance[j * all + w] / sd : 0;
        for (size_t k = 0; k < w; k++) {
            double other = sqrt(m->covariance[k * all + k]), both = sd * other;
            double r = both > 0 ? m->covariance[j * all + k] / both : 0;
            if (j == k) r = sd > 0 ? 1 : 0;
            s->gram[j * w + k] = m->rows * r;
            s->factor[j * w + k] = m->rows * r + (j != k ? 0 : sd > 0 ? lambda : 1);
        }
    }
    return mr_cholesky(s->factor, w);
}

/* Column j of A^-1 gives both the trace of A^-1 X'X and the j-th diagonal entry of A^-1 X'X A^-1. */
static mr_status spread(const system_ *s, double *column, const mr_ticker *tick, mr_ridge *out) {
    size_t w = s->width;
    for (size_t j = 0; j < w; j++) {
        MR_TRY(mr_ticker_call(tick));
        memset(column, 0, w * sizeof *column);
        column[j] = 1;
        mr_cholesky_solve(s->factor, w, column);
        out->error[j] = 0;
        for (size_t i = 0; i < w; i++) {
            double sum = 0;
            for (size_t k = 0; k < w; k++) sum += s->gram[i * w + k] * column[k];
            out->error[j] += column[i] * sum;
            out->df += i == j ? sum : 0;
        }
    }
    return MR_OK;
}

mr_status mr_ridge_fit(const mr_moments *m, double lambda, mr_arena *arena, const mr_ticker *tick,
                       mr_ridge *out, mr_error *err) {
    size_t w = m->width;
    double total = m->rows * m->covariance[(w + 1) * (w + 1) - 1];
    system_ s = {w, mr_arena_alloc(arena, w * w, sizeof(double)),
                 mr_arena_alloc(arena, w * w, sizeof(double)), mr_arena_alloc(arena, w, sizeof(double))};
    double *column = mr_arena_alloc(arena, w, sizeof *column);
    *out = (mr_ridge){.beta = mr_arena_alloc(arena, w, sizeof(double)),
                      .error = mr_arena_alloc(arena, w, sizeof(double)),
                      .intercept = m->mean[w]};
    if (!s.gram || !s.factor || !s.right || !column || !out->beta || !out->error)
        return mr_fail(err, MR_E_MEMORY, "no memory for a ridge regression on %zu columns", w);
    if (!set_up(m, lambda, &s))
        return mr_fail(err, MR_E_INVALID,
                       "the columns are collinear, so without a penalty there are many equal answers; set "
                       "lambda above 0");
    memcpy(out->beta, s.right, w * sizeof *out->beta);
    mr_cholesky_solve(s.factor, w, out->beta);
    MR_TRY(spread(&s, column, tick, out));
    out->rss = total;
    for (size_t j = 0; j < w; j++) {
        double fitted = 0;
        for (size_t k = 0; k < w; k++) fitted += s.gram[j * w + k] * out->beta[k];
        out->rss += out->beta[j] * (fitted - 2 * s.right[j]);
    }
    out->rss = fmax(out->rss, 0);
    out->r2 = total > 0 ? 1 - out->rss / total : NAN;
    double left = m->rows - 1 - out->df, sigma2 = left > 0 ? out->rss / left : NAN;
    for (size_t j = 0; j < w; j++) out->error[j] = sqrt(sigma2 * out->error[j]);
    return MR_OK;
}

/* ---- logistic regression ---- */

typedef struct logit {
    const double *x, *y;
    size_t n, width;
    double c;
    double *hessian; /* and, as one row more, the gradient: (width + 2) x (width + 1) */
    double *step, *trial;
    double *p, *loss;      /* n: the probability and the loss of each row, by the weights that `objective` was asked for last */
    double *left, *right;  /* STEP rows: what the products of the Hessian are made of */
} logit;

/* z becomes the probability; e = exp(-|z|) serves both. */
MR_WIDE_BODY probabilities(double *p, double *loss, const double *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        double z = p[i], e = mr_fix_exp(z < 0 ? z : -z);
        double soft = e < 1e-5 ? e - e * e * (0.5 - e / 3) : mr_fix_log(1 + e);
        p[i] = (z < 0 ? e : 1) / (1 + e);
        loss[i] = (z < 0 ? 0 : z) + soft - y[i] * z;
    }
}

static void probabilities_any(double *p, double *loss, const double *y, size_t n) { probabilities(p, loss, y, n); }
MR_WIDE static void probabilities_wide(double *p, double *loss, const double *y, size_t n) { probabilities(p, loss, y, n); }

static double objective(logit *l, const double *weight) {
    double penalty = 0, loss = 0;
    for (size_t j = 0; j < l->width; j++) penalty += weight[j] * weight[j];
    for (size_t i = 0; i < l->n; i++) l->p[i] = weight[l->width] + mr_dot(weight, l->x + i * l->width, l->width);
    (MR_WIDE_HERE ? probabilities_wide : probabilities_any)(l->p, l->loss, l->y, l->n);
    for (size_t i = 0; i < l->n; i++) loss += l->loss[i];
    return penalty / 2 + l->c * loss;
}

/* Adds rows to the Hessian and the gradient. */
static void add_curvature(logit *l, size_t first, size_t rows) {
    size_t w = l->width, all = w + 1;
    for (size_t i = 0; i < rows; i++) {
        const double *x = l->x + (first + i) * w;
        double p = l->p[first + i], curvature = l->c * p * (1 - p);
        double *left = l->left + i * (all + 1), *right = l->right + i * all;
        for (size_t j = 0; j < w; j++) {
            left[j] = curvature * x[j];
            right[j] = x[j];
        }
        left[w] = curvature;
        left[all] = l->c * (p - l->y[first + i]);
        right[w] = 1;
    }
    mr_product(mr_view_transposed(l->left, all + 1), mr_view_of(l->right, all), all + 1, rows, all, true, l->hessian);
}

/* Fills `step` with the gradient; returns the gradient's largest entry. */
static double newton_system(logit *l, const double *weight) {
    size_t all = l->width + 1;
    double most = 0;
    memset(l->hessian, 0, (all + 1) * all * sizeof *l->hessian);
    for (size_t i = 0; i < l->n; i += STEP) add_curvature(l, i, l->n - i < STEP ? l->n - i : STEP);
    memcpy(l->step, l->hessian + all * all, all * sizeof *l->step);
    for (size_t j = 0; j < l->width; j++) {
        l->step[j] += weight[j];
        l->hessian[j * all + j] += 1;
    }
    l->hessian[all * all - 1] += 1e-12 * l->c * (double)l->n; /* keeps the intercept's pivot above 0 */
    for (size_t j = 0; j < all; j++) most = fmax(most, fabs(l->step[j]));
    return most;
}

/* Halves the step until the objective falls. A whole step that changes it by no more than rounding is taken too and counts as
 * `level`: near the end the gradient tells more. False when no step helps. */
static bool descend(logit *l, double *weight, double *value, bool *level) {
    static const double rounding = 1e-13;
    size_t all = l->width + 1;
    for (double t = 1; t > 1e-12; t /= 2) {
        for (size_t j = 0; j < all; j++) l->trial[j] = weight[j] - t * l->step[j];
        double next = objective(l, l->trial);
        *level = t == 1 && fabs(next - *value) <= rounding * *value;
        if (next >= *value && !*level) continue;
        *value = next;
        memcpy(weight, l->trial, all * sizeof *weight);
        return true;
    }
    *value = objective(l, weight);
    return false;
}

static bool all_one_value(const double *y, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (y[i] != y[0]) return false;
    return true;
}

mr_status mr_logit_fit(const double *x, const double *y, size_t n, size_t width, double c,
                       mr_scratch *scratch, const mr_ticker *tick, double *weight, mr_error *err) {
    enum { STEPS_MAX = 200 };
    size_t all = width + 1;
    logit l = {.x = x, .y = y, .n = n, .width = width, .c = c};
    mr_scratch_mark mark = mr_scratch_here(scratch);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += y[i];
    memset(weight, 0, all * sizeof *weight);
    weight[width] = log((sum + 0.5) / ((double)n - sum + 0.5));
    if (all_one_value(y, n)) return MR_OK;
    l.hessian = mr_scratch_get(scratch, (all + 1) * all, sizeof(double));
    l.step = mr_scratch_get(scratch, all, sizeof(double));
    l.trial = mr_scratch_get(scratch, all, sizeof(double));
    l.p = mr_scratch_get(scratch, n, sizeof(double));
    l.loss = mr_scratch_get(scratch, n, sizeof(double));
    l.left = mr_scratch_get(scratch, STEP * (all + 1), sizeof(double));
    l.right = mr_scratch_get(scratch, STEP * all, sizeof(double));
    if (!l.hessian || !l.step || !l.trial || !l.p || !l.loss || !l.left || !l.right)
        return mr_fail(err, MR_E_MEMORY, "no memory for a logistic regression on %zu columns", width);
    double value = objective(&l, weight), most = INFINITY;
    bool level = false;
    for (int i = 0; i < STEPS_MAX; i++) {
        double before = most;
        MR_TRY(mr_ticker_call(tick));
        most = newton_system(&l, weight);
        if (most <= 1e-10 * c * (double)n || (level && most > before / 2) || !mr_cholesky(l.hessian, all)) break;
        mr_cholesky_solve(l.hessian, all, l.step);
        if (!descend(&l, weight, &value, &level)) break;
    }
    mr_scratch_back(scratch, mark);
    if (most <= 1e-8 * fmax(1, c * (double)n)) return MR_OK;
    return mr_fail(err, MR_E_INTERNAL,
                   "logistic regression on %zu rows did not converge (gradient %.3g); scale the columns", n,
                   most);
}
