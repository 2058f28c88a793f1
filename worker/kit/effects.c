#include "worker/kit/effects.h"

#include <math.h>
#include <string.h>

/* What the four estimators share: fits, and predictions of each row. */
typedef struct work {
    const mr_design *d;
    const uint8_t *treated;
    const double *y;
    double *e, *m1, *m0, *influence;
    mr_fit propensity, fit1, fit0;
} work;

static void set_error(mr_effect_estimate *r, const double *influence, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += influence[i] * influence[i];
    r->effect = r->mean1 - r->mean0;
    r->se = sqrt(sum) / (double)n;
}

static mr_effect_estimate naive(const work *w) {
    double sum[2] = {0, 0}, squares[2] = {0, 0}, rows[2] = {0, 0}, mean[2];
    for (size_t i = 0; i < w->d->n; i++) {
        sum[w->treated[i]] += w->y[i];
        rows[w->treated[i]] += 1;
    }
    for (int k = 0; k < 2; k++) mean[k] = sum[k] / rows[k];
    for (size_t i = 0; i < w->d->n; i++) {
        double r = w->y[i] - mean[w->treated[i]];
        squares[w->treated[i]] += r * r;
    }
    double se = sqrt(squares[1] / (rows[1] - 1) / rows[1] + squares[0] / (rows[0] - 1) / rows[0]);
    return (mr_effect_estimate){mean[1], mean[0], mean[1] - mean[0], se};
}

/* out = m v. */
static void apply(const double *m, size_t p, const double *v, double *out) {
    for (size_t i = 0; i < p; i++) {
        out[i] = 0;
        for (size_t j = 0; j < p; j++) out[i] += m[i * p + j] * v[j];
    }
}

/* Means of the predictions; the influence counts how each group's coefficients depend on its rows. `room`: 3
 * p. */
static mr_effect_estimate by_regression(work *w, double *room) {
    size_t n = w->d->n, p = w->d->p;
    double *mean = room, *pull1 = room + p, *pull0 = room + 2 * p;
    mr_effect_estimate r = {0};
    memset(mean, 0, p * sizeof *mean);
    for (size_t i = 0; i < n; i++) {
        r.mean1 += w->m1[i] / (double)n;
        r.mean0 += w->m0[i] / (double)n;
        for (size_t j = 0; j < p; j++) mean[j] += w->d->x[i * p + j];
    }
    apply(w->fit1.inverse, p, mean, pull1); /* n (inverse mean), as the influence needs it */
    apply(w->fit0.inverse, p, mean, pull0);
    for (size_t i = 0; i < n; i++) {
        double own = w->treated[i] ? mr_design_dot(w->d, i, pull1) * (w->y[i] - w->m1[i])
                                   : -mr_design_dot(w->d, i, pull0) * (w->y[i] - w->m0[i]);
        w->influence[i] = w->m1[i] - w->m0[i] - (r.mean1 - r.mean0) + own;
    }
    set_error(&r, w->influence, n);
    return r;
}

typedef struct weights {
    double sum[2], squares[2], weighted[2];
} weights;

static double weight_of(const work *w, size_t i) { return w->treated[i] ? 1 / w->e[i] : 1 / (1 - w->e[i]); }

static weights sum_weights(const work *w) {
    weights s = {{0, 0}, {0, 0}, {0, 0}};
    for (size_t i = 0; i < w->d->n; i++) {
        double v = weight_of(w, i);
        s.sum[w->treated[i]] += v;
        s.squares[w->treated[i]] += v * v;
        s.weighted[w->treated[i]] += v * w->y[i];
    }
    return s;
}

/* `room`: 2 p. */
static mr_effect_estimate by_weighting(work *w, const weights *s, double *room) {
    size_t n = w->d->n, p = w->d->p;
    double *slope = room, *pull = room + p;
    mr_effect_estimate r = {s->weighted[1] / s->sum[1], s->weighted[0] / s->sum[0], 0, 0};
    memset(slope, 0, p * sizeof *slope);
    for (size_t i = 0; i < n; i++) {
        int t = w->treated[i];
        double off = weight_of(w, i) * (w->y[i] - (t ? r.mean1 : r.mean0)) / s->sum[t] * (double)n;
        double change = t ? 1 - w->e[i] : w->e[i]; /* of the weight with the log odds, relative */
        w->influence[i] = t ? off : -off;
        for (size_t j = 0; j < p; j++) slope[j] -= off * change * w->d->x[i * p + j];
    }
    apply(w->propensity.inverse, p, slope, pull);
    for (size_t i = 0; i < n; i++)
        w->influence[i] += mr_design_dot(w->d, i, pull) * (w->treated[i] - w->e[i]);
    set_error(&r, w->influence, n);
    return r;
}

static mr_effect_estimate by_both(work *w) {
    size_t n = w->d->n;
    mr_effect_estimate r = {0};
    for (size_t i = 0; i < n; i++) {
        double rest1 = w->treated[i] ? (w->y[i] - w->m1[i]) / w->e[i] : 0;
        double rest0 = w->treated[i] ? 0 : (w->y[i] - w->m0[i]) / (1 - w->e[i]);
        r.mean1 += (w->m1[i] + rest1) / (double)n;
        r.mean0 += (w->m0[i] + rest0) / (double)n;
        w->influence[i] = w->m1[i] + rest1 - w->m0[i] - rest0;
    }
    for (size_t i = 0; i < n; i++) w->influence[i] -= r.mean1 - r.mean0;
    set_error(&r, w->influence, n);
    return r;
}

static mr_status fit_group(work *w, int group, mr_arena *arena, const mr_ticker *tick, mr_fit *fit,
                           double *predicted, mr_error *err) {
    for (size_t i = 0; i < w->d->n; i++) w->influence[i] = w->treated[i] == group;
    MR_TRY(mr_least_squares(w->d, w->y, w->influence, arena, tick, fit, err));
    for (size_t i = 0; i < w->d->n; i++) predicted[i] = mr_design_dot(w->d, i, fit->beta);
    return MR_OK;
}

static mr_status fit_all(work *w, mr_arena *arena, const mr_ticker *tick, mr_error *err) {
    MR_TRY(mr_logistic(w->d, w->treated, arena, tick, &w->propensity, err));
    for (size_t i = 0; i < w->d->n; i++) w->e[i] = 1 / (1 + exp(-mr_design_dot(w->d, i, w->propensity.beta)));
    MR_TRY(fit_group(w, 1, arena, tick, &w->fit1, w->m1, err));
    return fit_group(w, 0, arena, tick, &w->fit0, w->m0, err);
}

static size_t count_dropped(const work *w) {
    size_t count = 0;
    for (size_t j = 0; j < w->d->p; j++)
        count += w->fit1.dropped[j] || w->fit0.dropped[j] ||
                 (w->propensity.dropped[j] && !w->propensity.separated);
    return count;
}

static mr_status check_groups(const mr_design *d, size_t treated, mr_error *err) {
    size_t others = d->n - treated, least = treated < others ? treated : others;
    if (least > d->p) return MR_OK;
    return mr_fail(
        err, MR_E_INVALID,
        "%zu treated and %zu untreated rows are too few: a regression on %zu columns in each group needs at "
        "least %zu; give more rows or fewer columns",
        treated, others, d->p - 1, d->p + 1);
}

mr_status mr_effects_estimate(const mr_design *d, const uint8_t *treated, const double *y, mr_arena *arena,
                              const mr_ticker *tick, mr_effects *out, mr_error *err) {
    size_t n = d->n;
    *out = (mr_effects){.n = n, .propensity_min = 1};
    for (size_t i = 0; i < n; i++) out->treated += treated[i];
    MR_TRY(check_groups(d, out->treated, err));
    double *room = mr_arena_alloc(arena, 4 * n + 3 * d->p, sizeof *room);
    if (!room) return mr_fail(err, MR_E_MEMORY, "no memory for the effects over %zu rows", n);
    work w = {.d = d,
              .treated = treated,
              .y = y,
              .e = room,
              .m1 = room + n,
              .m0 = room + 2 * n,
              .influence = room + 3 * n};
    MR_TRY(fit_all(&w, arena, tick, err));
    weights s = sum_weights(&w);
    out->by[MR_EFFECT_DIFFERENCE] = naive(&w);
    out->by[MR_EFFECT_REGRESSION] = by_regression(&w, room + 4 * n);
    out->by[MR_EFFECT_WEIGHTING] = by_weighting(&w, &s, room + 4 * n);
    out->by[MR_EFFECT_ROBUST] = by_both(&w);
    out->propensity = w.e;
    for (size_t i = 0; i < n; i++) {
        out->propensity_min = fmin(out->propensity_min, w.e[i]);
        out->propensity_max = fmax(out->propensity_max, w.e[i]);
    }
    out->effective1 = s.sum[1] * s.sum[1] / s.squares[1];
    out->effective0 = s.sum[0] * s.sum[0] / s.squares[0];
    out->separated = w.propensity.separated;
    out->dropped = count_dropped(&w);
    return MR_OK;
}

double mr_balance(const mr_design *d, size_t column, const uint8_t *treated, const double *propensity) {
    double weight[2] = {0, 0}, mean[2] = {0, 0}, rows[2] = {0, 0}, plain[2] = {0, 0}, squares[2] = {0, 0};
    for (size_t i = 0; i < d->n; i++) {
        int t = treated[i];
        double v = d->x[i * d->p + column],
               w = propensity ? (t ? 1 / propensity[i] : 1 / (1 - propensity[i])) : 1;
        weight[t] += w;
        mean[t] += w * v;
        plain[t] += v;
        rows[t] += 1;
    }
    for (size_t i = 0; i < d->n; i++) {
        double r = d->x[i * d->p + column] - plain[treated[i]] / rows[treated[i]];
        squares[treated[i]] += r * r;
    }
    double spread = sqrt((squares[1] / (rows[1] - 1) + squares[0] / (rows[0] - 1)) / 2);
    return spread > 0 ? (mean[1] / weight[1] - mean[0] / weight[0]) / spread : 0;
}
