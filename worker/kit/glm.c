#include "worker/kit/glm.h"

#include <math.h>
#include <string.h>

enum { TICK_ROWS = 4096, STEPS_MAX = 60, HALVINGS_MAX = 30 };
static const double ALIASED = 1e-11, ODDS_MAX = 25, STEP_LEAST = 1e-11;

/* Four sums, so that additions need not wait for each other; always in this order. */
double mr_design_dot(const mr_design *d, size_t row, const double *beta) {
    const double *x = d->x + row * d->p;
    double sum[4] = {0, 0, 0, 0};
    size_t j = 0;
    for (; j + 4 <= d->p; j += 4)
        for (size_t k = 0; k < 4; k++) sum[k] += x[j + k] * beta[j + k];
    for (; j < d->p; j++) sum[0] += x[j] * beta[j];
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

/* The lower factor of `a` in place; a column without anything of its own gets a zero row and column. */
static size_t cholesky(double *a, size_t p, uint8_t *dropped) {
    size_t rank = 0;
    for (size_t j = 0; j < p; j++) {
        double diagonal = a[j * p + j], left = diagonal;
        for (size_t k = 0; k < j; k++) left -= a[j * p + k] * a[j * p + k];
        dropped[j] = !(left > ALIASED * diagonal) || !isfinite(left);
        rank += !dropped[j];
        double root = dropped[j] ? 0 : sqrt(left);
        a[j * p + j] = root;
        for (size_t i = j + 1; i < p; i++) {
            double v = a[i * p + j];
            for (size_t k = 0; k < j; k++) v -= a[i * p + k] * a[j * p + k];
            a[i * p + j] = dropped[j] ? 0 : v / root;
        }
    }
    return rank;
}

/* One column of the inverse from the factor. */
static void inverse_column(const double *l, size_t p, const uint8_t *dropped, size_t at, double *out) {
    for (size_t i = 0; i < p; i++) {
        double v = i == at;
        for (size_t k = 0; k < i; k++) v -= l[i * p + k] * out[k];
        out[i] = dropped[i] ? 0 : v / l[i * p + i];
    }
    for (size_t i = p; i-- > 0;) {
        for (size_t k = i + 1; k < p; k++) out[i] -= l[k * p + i] * out[k];
        out[i] = dropped[i] ? 0 : out[i] / l[i * p + i];
    }
}

size_t mr_spd_inverse(double *a, size_t p, double *inverse, uint8_t *dropped) {
    size_t rank = cholesky(a, p, dropped);
    for (size_t j = 0; j < p; j++) {
        if (dropped[j])
            memset(inverse + j * p, 0, p * sizeof *inverse);
        else
            inverse_column(a, p, dropped, j, inverse + j * p);
    }
    return rank;
}

static void multiply(const double *m, size_t p, const double *v, double *out) {
    for (size_t i = 0; i < p; i++) {
        out[i] = 0;
        for (size_t j = 0; j < p; j++) out[i] += m[i * p + j] * v[j];
    }
}

static mr_status fit_alloc(mr_fit *f, size_t p, mr_arena *arena, mr_error *err) {
    *f = (mr_fit){.beta = mr_arena_alloc(arena, p, sizeof(double)),
                  .inverse = mr_arena_alloc(arena, p * p, sizeof(double)),
                  .dropped = mr_arena_alloc(arena, p, 1)};
    if (f->beta && f->inverse && f->dropped) return MR_OK;
    return mr_fail(err, MR_E_MEMORY, "no memory for a regression on %zu columns", p);
}

/* The lower half of X'WX gains one row. */
static void add_outer(double *restrict a, size_t p, const double *restrict x, double w) {
    for (size_t i = 0; i < p; i++) {
        double wx = w * x[i];
        for (size_t j = 0; j <= i; j++) a[i * p + j] += wx * x[j];
    }
}

static void add_scaled(double *restrict g, size_t p, const double *restrict x, double w) {
    for (size_t j = 0; j < p; j++) g[j] += w * x[j];
}

static mr_status tick_at(const mr_ticker *tick, size_t row) {
    return row % TICK_ROWS ? MR_OK : mr_ticker_call(tick);
}

/* ---- least squares ---- */

static double weight_of(const double *weight, size_t i) { return weight ? weight[i] : 1; }

/* beta += inverse X'W(y - X beta): from zero the solution, from there its refinement. */
static mr_status improve(const mr_design *d, const double *y, const double *weight, const mr_ticker *tick,
                         mr_fit *f, double *gradient, double *step) {
    memset(gradient, 0, d->p * sizeof *gradient);
    for (size_t i = 0; i < d->n; i++) {
        MR_TRY(tick_at(tick, i));
        double w = weight_of(weight, i);
        if (w != 0) add_scaled(gradient, d->p, d->x + i * d->p, w * (y[i] - mr_design_dot(d, i, f->beta)));
    }
    multiply(f->inverse, d->p, gradient, step);
    for (size_t j = 0; j < d->p; j++) f->beta[j] += step[j];
    return MR_OK;
}

static double residual_squares(const mr_design *d, const double *y, const double *weight,
                               const double *beta) {
    double sum = 0;
    for (size_t i = 0; i < d->n; i++) {
        double w = weight_of(weight, i), r = w != 0 ? y[i] - mr_design_dot(d, i, beta) : 0;
        sum += w * r * r;
    }
    return sum;
}

mr_status mr_least_squares(const mr_design *d, const double *y, const double *weight, mr_arena *arena,
                           const mr_ticker *tick, mr_fit *f, mr_error *err) {
    size_t p = d->p;
    MR_TRY(fit_alloc(f, p, arena, err));
    double *a = mr_arena_alloc(arena, p * p + 2 * p, sizeof *a);
    if (!a) return mr_fail(err, MR_E_MEMORY, "no memory for a regression on %zu columns", p);
    for (size_t i = 0; i < d->n; i++) {
        MR_TRY(tick_at(tick, i));
        double w = weight_of(weight, i);
        if (w == 0) continue;
        add_outer(a, p, d->x + i * p, w);
        f->weight += w;
    }
    f->rank = mr_spd_inverse(a, p, f->inverse, f->dropped);
    for (int round = 0; round < 2; round++) MR_TRY(improve(d, y, weight, tick, f, a + p * p, a + p * p + p));
    f->rss = residual_squares(d, y, weight, f->beta);
    return MR_OK;
}

/* ---- logistic ---- */

/* log(1 + e^v) without overflow. */
static double softplus(double v) { return v > 0 ? v + log1p(exp(-v)) : log1p(exp(v)); }

/* Keeps each row's log odds, and the largest size of one. */
static double log_likelihood(const mr_design *d, const uint8_t *hit, const double *beta, double *kept,
                             double *most) {
    double sum = 0;
    *most = 0;
    for (size_t i = 0; i < d->n; i++) {
        double odds = kept[i] = mr_design_dot(d, i, beta);
        *most = fmax(*most, fabs(odds));
        sum += (hit[i] ? odds : 0) - softplus(odds);
    }
    return sum;
}

typedef struct newton {
    double *information, *gradient, *step, *trial, *odds; /* odds: n, of the coefficients last tried */
    double likelihood, largest;                           /* the largest of the odds in size */
} newton;

static mr_status newton_direction(const mr_design *d, const uint8_t *hit, const mr_ticker *tick, mr_fit *f,
                                  newton *s) {
    size_t p = d->p;
    memset(s->information, 0, p * p * sizeof(double));
    memset(s->gradient, 0, p * sizeof(double));
    for (size_t i = 0; i < d->n; i++) {
        MR_TRY(tick_at(tick, i));
        double e = 1 / (1 + exp(-s->odds[i]));
        add_scaled(s->gradient, p, d->x + i * p, hit[i] - e);
        add_outer(s->information, p, d->x + i * p, e * (1 - e));
    }
    f->rank = mr_spd_inverse(s->information, p, f->inverse, f->dropped);
    multiply(f->inverse, p, s->gradient, s->step);
    return MR_OK;
}

/* Goes along the step, halved while the likelihood falls; returns the largest change. */
static double newton_move(const mr_design *d, const uint8_t *hit, mr_fit *f, newton *s) {
    double most = 0, share = 1;
    for (int k = 0; k < HALVINGS_MAX; k++, share /= 2) {
        for (size_t j = 0; j < d->p; j++) s->trial[j] = f->beta[j] + share * s->step[j];
        double likelihood = log_likelihood(d, hit, s->trial, s->odds, &s->largest);
        if (!(likelihood >= s->likelihood - 1e-12 * fabs(s->likelihood))) continue;
        s->likelihood = likelihood;
        for (size_t j = 0; j < d->p; j++) most = fmax(most, fabs(s->trial[j] - f->beta[j]));
        memcpy(f->beta, s->trial, d->p * sizeof(double));
        return most;
    }
    return 0;
}

mr_status mr_logistic(const mr_design *d, const uint8_t *hit, mr_arena *arena, const mr_ticker *tick,
                      mr_fit *f, mr_error *err) {
    size_t p = d->p;
    MR_TRY(fit_alloc(f, p, arena, err));
    double *room = mr_arena_alloc(arena, p * p + 3 * p + d->n, sizeof *room);
    if (!room) return mr_fail(err, MR_E_MEMORY, "no memory for a regression on %zu columns", p);
    newton s = {room, room + p * p, room + p * p + p, room + p * p + 2 * p, room + p * p + 3 * p, 0, 0};
    s.likelihood = log_likelihood(d, hit, f->beta, s.odds, &s.largest);
    bool converged = false;
    f->weight = (double)d->n;
    for (int step = 0; step < STEPS_MAX && !converged && !f->separated; step++) {
        MR_TRY(newton_direction(d, hit, tick, f, &s));
        converged = newton_move(d, hit, f, &s) < STEP_LEAST;
        f->separated = s.largest > ODDS_MAX;
    }
    f->separated |= !converged;
    return MR_OK;
}
