#include "worker/kit/mixture.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const double LEAST_VARIANCE = 1e-6;

typedef struct em {
    const double *rows;
    size_t n;
    double *share;   /* n x k: how far each row belongs to each component */
    double *scratch; /* k + width */
} em;

/* In place, the lower triangle; false when `a` is not positive definite. */
static bool cholesky(double *a, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (size_t f = 0; f < j; f++) sum -= a[i * n + f] * a[j * n + f];
            if (i == j && !(sum > 0)) return false;
            a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
        }
    return true;
}

/* ---- expectation ---- */

/* (x - mean)' covariance^-1 (x - mean); `y` has width places. */
static double mahalanobis(const mr_mixture *m, size_t c, const double *x, double *y) {
    size_t w = m->width;
    const double *mean = m->mean + c * w;
    double sum = 0;
    if (!m->full) {
        const double *sd = m->factor + c * w;
        for (size_t f = 0; f < w; f++) sum += (x[f] - mean[f]) / sd[f] * ((x[f] - mean[f]) / sd[f]);
        return sum;
    }
    const double *l = m->factor + c * w * w;
    for (size_t i = 0; i < w; i++) {
        double v = x[i] - mean[i];
        for (size_t f = 0; f < i; f++) v -= l[i * w + f] * y[f];
        y[i] = v / l[i * w + i];
        sum += y[i] * y[i];
    }
    return sum;
}

/* Log densities times weights into out[k]; returns the log of their sum. */
static double log_densities(const mr_mixture *m, const double *x, double *out, double *y) {
    double top = -INFINITY, sum = 0;
    for (size_t c = 0; c < m->k; c++) {
        out[c] = m->log_scale[c] - 0.5 * mahalanobis(m, c, x, y);
        top = fmax(top, out[c]);
    }
    for (size_t c = 0; c < m->k; c++) sum += exp(out[c] - top);
    return top + log(sum);
}

static mr_status expect(const em *e, mr_mixture *m, const mr_ticker *tick) {
    double total = 0;
    for (size_t i = 0; i < e->n; i++) {
        if (i % 64 == 0) MR_TRY(mr_ticker_call(tick));
        double *share = e->share + i * m->k,
               all = log_densities(m, e->rows + i * m->width, share, e->scratch);
        for (size_t c = 0; c < m->k; c++) share[c] = exp(share[c] - all);
        total += all;
    }
    m->log_likelihood = total / (double)e->n;
    return MR_OK;
}

/* ---- maximisation ---- */

static void weighted_mean(const em *e, mr_mixture *m, size_t c, double rows) {
    double *mean = m->mean + c * m->width;
    memset(mean, 0, m->width * sizeof *mean);
    for (size_t i = 0; i < e->n; i++) {
        double share = e->share[i * m->k + c];
        for (size_t f = 0; f < m->width; f++) mean[f] += share * e->rows[i * m->width + f];
    }
    for (size_t f = 0; f < m->width; f++) mean[f] /= rows;
}

static bool diagonal(const em *e, mr_mixture *m, size_t c, double rows) {
    size_t w = m->width;
    double *sd = m->factor + c * w, log_det = 0;
    memset(sd, 0, w * sizeof *sd);
    for (size_t i = 0; i < e->n; i++)
        for (size_t f = 0; f < w; f++) {
            double d = e->rows[i * w + f] - m->mean[c * w + f];
            sd[f] += e->share[i * m->k + c] * d * d;
        }
    for (size_t f = 0; f < w; f++) {
        sd[f] = sqrt(sd[f] / rows + LEAST_VARIANCE);
        log_det += log(sd[f]);
    }
    m->log_scale[c] -= log_det;
    return true;
}

static bool full_matrix(const em *e, mr_mixture *m, size_t c, double rows) {
    size_t w = m->width;
    double *a = m->factor + c * w * w, *d = e->scratch, log_det = 0;
    memset(a, 0, w * w * sizeof *a);
    for (size_t i = 0; i < e->n; i++) {
        double share = e->share[i * m->k + c];
        if (share < DBL_MIN) continue;
        for (size_t f = 0; f < w; f++) d[f] = e->rows[i * w + f] - m->mean[c * w + f];
        for (size_t f = 0; f < w; f++)
            for (size_t g = 0; g <= f; g++) a[f * w + g] += share * d[f] * d[g];
    }
    for (size_t f = 0; f < w; f++)
        for (size_t g = 0; g <= f; g++) a[f * w + g] = a[f * w + g] / rows + (f == g ? LEAST_VARIANCE : 0);
    if (!cholesky(a, w)) return false;
    for (size_t f = 0; f < w; f++) log_det += log(a[f * w + f]);
    m->log_scale[c] -= log_det;
    return true;
}

static mr_status maximise(const em *e, mr_mixture *m, const mr_ticker *tick, mr_error *err) {
    for (size_t c = 0; c < m->k; c++) {
        MR_TRY(mr_ticker_call(tick));
        double rows = 10 * DBL_EPSILON; /* keeps an empty component from dividing by zero */
        for (size_t i = 0; i < e->n; i++) rows += e->share[i * m->k + c];
        m->weight[c] = rows / (double)e->n;
        m->log_scale[c] = log(m->weight[c]) - (double)m->width * 0.5 * log(2 * M_PI);
        weighted_mean(e, m, c, rows);
        if (!(m->full ? full_matrix : diagonal)(e, m, c, rows))
            return mr_fail(err, MR_E_INVALID, "the covariance of component %zu is not positive definite", c);
    }
    return MR_OK;
}

static mr_status mixture_init(mr_mixture *m, em *e, mr_arena *arena, mr_error *err) {
    size_t w = m->width, k = m->k;
    m->weight = mr_arena_alloc(arena, k, sizeof(double));
    m->mean = mr_arena_alloc(arena, k * w, sizeof(double));
    m->factor = mr_arena_alloc(arena, k * w, m->full ? w * sizeof(double) : sizeof(double));
    m->log_scale = mr_arena_alloc(arena, k, sizeof(double));
    e->share = mr_arena_alloc(arena, e->n * k, sizeof(double));
    e->scratch = mr_arena_alloc(arena, k + w, sizeof(double));
    if (m->weight && m->mean && m->factor && m->log_scale && e->share && e->scratch) return MR_OK;
    return mr_fail(err, MR_E_MEMORY, "no memory for %zu components of %zu rows", k, e->n);
}

mr_status mr_mixture_fit(const double *rows, size_t n, size_t width, const int32_t *label, size_t k,
                         bool full, double gain, mr_arena *arena, const mr_ticker *tick, mr_mixture *out,
                         mr_error *err) {
    em e = {.rows = rows, .n = n};
    *out = (mr_mixture){.k = k, .width = width, .full = full};
    MR_TRY(mixture_init(out, &e, arena, err));
    for (size_t i = 0; i < n; i++) e.share[i * k + (size_t)label[i]] = 1;
    double last = -INFINITY;
    while (!out->converged && out->rounds < MR_MIXTURE_ROUNDS) {
        MR_TRY(maximise(&e, out, tick, err));
        MR_TRY(expect(&e, out, tick));
        out->converged = fabs(out->log_likelihood - last) < gain;
        last = out->log_likelihood;
        out->rounds++;
    }
    double each = (double)width + (full ? 0.5 * (double)(width * (width + 1)) : (double)width);
    out->bic = -2 * (double)n * last + ((double)k * each + (double)k - 1) * log((double)n);
    return MR_OK;
}

int32_t mr_mixture_assign(const mr_mixture *m, const double *row, double *scratch) {
    size_t top = 0;
    log_densities(m, row, scratch, scratch + m->k);
    for (size_t c = 1; c < m->k; c++)
        if (scratch[c] > scratch[top]) top = c;
    return (int32_t)top;
}
