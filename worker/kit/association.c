#include "worker/kit/association.h"

#include "worker/kit/columns.h"
#include "worker/kit/dist.h"

#include <math.h>

void mr_holm(const double *p, size_t n, double *adjusted) {
    size_t left = 0;
    double least = 0;
    for (size_t i = 0; i < n; i++) {
        adjusted[i] = NAN;
        left += isnan(p[i]) ? 0 : 1;
    }
    for (; left > 0; left--) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (!isnan(p[i]) && isnan(adjusted[i]) && (best == n || p[i] < p[best])) best = i;
        adjusted[best] = least = fmax(least, fmin(1, p[best] * (double)left));
    }
}

/* Has the column exactly two values? Then its range and the share of the higher one. */
static bool two_valued(const double *x, size_t n, size_t width, size_t column, double *range, double *above) {
    double low = INFINITY, high = -INFINITY, highs = 0;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, x[i * width + column]);
        high = fmax(high, x[i * width + column]);
    }
    for (size_t i = 0; i < n; i++) {
        double v = x[i * width + column];
        if (v != low && v != high) return false;
        highs += v == high;
    }
    *range = high - low;
    *above = highs / (double)n;
    return true;
}

/* White 1980, with the factor n/(n - rank) of MacKinnon and White 1985. */
static double robust_variance(const mr_design *d, const double *y, const mr_fit *f, size_t j) {
    double sum = 0, n = (double)d->n;
    for (size_t i = 0; i < d->n; i++) {
        double pull = mr_design_dot(d, i, f->inverse + j * d->p), rest = y[i] - mr_design_dot(d, i, f->beta);
        sum += pull * pull * rest * rest;
    }
    return sum * n / (n - (double)f->rank);
}

/* The coefficient of z-scores becomes that of the column's step. */
static void judge(const mr_design *d, const double *y, const mr_fit *f, size_t j, double sd, double level,
                  mr_association *a) {
    double scale = a->two ? a->step / sd : 1;
    a->coefficient = f->beta[j] * scale;
    a->df = (double)d->n - (double)f->rank;
    a->se = sqrt(robust_variance(d, y, f, j)) * scale;
    a->p = a->se > 0 && !f->dropped[j] ? mr_t_two_sided(a->coefficient / a->se, a->df) : NAN;
    double half = mr_t_quantile(0.5 + level / 2, a->df) * a->se;
    a->low = a->coefficient - half;
    a->high = a->coefficient + half;
}

static mr_status correct(mr_association *a, size_t count, mr_arena *arena, mr_error *err) {
    double *p = mr_arena_alloc(arena, 2 * count + 1, sizeof *p);
    if (!p) return mr_fail(err, MR_E_MEMORY, "no memory for %zu p-values", count);
    for (size_t j = 0; j < count; j++) p[j] = a[j].p;
    mr_holm(p, count, p + count);
    for (size_t j = 0; j < count; j++) a[j].holm = p[count + j];
    return MR_OK;
}

mr_status mr_associate(const double *x, const char *const *names, const double *y, size_t n, size_t width,
                       double level, mr_arena *arena, const mr_ticker *tick, mr_association **out,
                       size_t *count, mr_error *err) {
    double *moments = mr_arena_alloc(arena, 2 * width + 1, sizeof *moments), *mean = moments,
           *sd = moments + width;
    double *z = mr_arena_alloc(arena, n * (width + 1) + 1, sizeof *z), y_mean, y_sd;
    mr_association *a = mr_arena_alloc(arena, width + 1, sizeof *a);
    size_t *from = mr_arena_alloc(arena, width + 1, sizeof *from), used = 0;
    mr_fit f;
    *out = a;
    *count = 0;
    if (!moments || !z || !a || !from)
        return mr_fail(err, MR_E_MEMORY, "no memory to associate %zu columns", width);
    mr_mean_sd(x, n, width, mean, sd);
    mr_mean_sd(y, n, 1, &y_mean, &y_sd);
    for (size_t j = 0; j < width; j++)
        if (sd[j] > 0) from[used++] = j;
    if (used == 0 || n < 2 * (used + 1) + 3 || !(y_sd > 0)) return MR_OK;
    for (size_t i = 0; i < n; i++) {
        z[i * (used + 1)] = 1;
        for (size_t k = 0; k < used; k++)
            z[i * (used + 1) + k + 1] = (x[i * width + from[k]] - mean[from[k]]) / sd[from[k]];
    }
    mr_design d = {z, n, used + 1};
    MR_TRY(mr_least_squares(&d, y, NULL, arena, tick, &f, err));
    for (size_t k = 0; k < used; k++) {
        a[k] = (mr_association){.name = names[from[k]], .step = sd[from[k]], .above = 0.5};
        a[k].two = two_valued(x, n, width, from[k], &a[k].step, &a[k].above);
        judge(&d, y, &f, k + 1, sd[from[k]], level, &a[k]);
    }
    *count = used;
    return correct(a, used, arena, err);
}
