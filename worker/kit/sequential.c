#include "worker/kit/sequential.h"

#include "worker/kit/dist.h"
#include "worker/kit/fixmath.h"
#include "worker/kit/wide.h"

#include <math.h>
#include <string.h>

enum { NODES_MAX = 64 + 2 * MR_LOOKS_MAX };

const char *const mr_bound_names[MR_BOUNDS] = {"obrien_fleming", "pocock", "lan_demets_obrien_fleming",
                                               "lan_demets_pocock"};

/* ---- Gauss-Legendre quadrature ---- */

typedef struct quadrature {
    size_t n;
    double x[NODES_MAX], w[NODES_MAX]; /* on [-1, 1] */
} quadrature;

static void quadrature_init(quadrature *q, size_t n) {
    q->n = n;
    for (size_t i = 0; i < n; i++) {
        double x = cos(M_PI * ((double)i + 0.75) / ((double)n + 0.5)), slope = 1;
        for (int round = 0; round < 100; round++) {
            double p = 1, before = 0;
            for (size_t k = 1; k <= n; k++) {
                double next = ((2.0 * (double)k - 1) * x * p - ((double)k - 1) * before) / (double)k;
                before = p;
                p = next;
            }
            slope = (double)n * (x * p - before) / (x * x - 1);
            double step = p / slope;
            x -= step;
            if (fabs(step) < 1e-15) break;
        }
        q->x[i] = x;
        q->w[i] = 2 / ((1 - x * x) * slope * slope);
    }
}

/* ---- the density of the score among the trials that go on (Armitage, McPherson and Rowe 1969) ---- */

/* The score is Brownian motion B(t) with mean drift t, seen at t = 1/K, 2/K, ..., 1; z = B / sqrt(t). */
typedef struct going_on {
    const quadrature *q;
    size_t looks, done;
    bool two_sided;
    double drift;
    double at[NODES_MAX], mass[NODES_MAX]; /* nodes and density x weight after `done` looks */
} going_on;

static void going_on_init(going_on *g, const quadrature *q, size_t looks, bool two_sided, double drift) {
    *g = (going_on){.q = q, .looks = looks, .two_sided = two_sided, .drift = drift};
}

static double share_at(const going_on *g, size_t look) { return (double)look / (double)g->looks; }

/* The probability to stop at the next look when its bound is z. */
static void stop_next(const going_on *g, double z, double *upper, double *lower) {
    double step = 1 / (double)g->looks, sd = sqrt(step), bound = z * sqrt(share_at(g, g->done + 1));
    double mean = g->drift * step;
    size_t count = g->done ? g->q->n : 1;
    *upper = *lower = 0;
    for (size_t i = 0; i < count; i++) {
        double from = g->done ? g->at[i] + mean : mean, mass = g->done ? g->mass[i] : 1;
        *upper += mass * mr_normal_sf((bound - from) / sd);
        if (g->two_sided) *lower += mass * mr_normal_cdf((-bound - from) / sd);
    }
}

/* The densities of n steps of these lengths in standard deviations, but for a factor. */
MR_WIDE_BODY bells(double *d, size_t n) {
    for (size_t i = 0; i < n; i++) d[i] = mr_fix_exp(-0.5 * d[i] * d[i]);
}
static void bells_any(double *d, size_t n) { bells(d, n); }
MR_WIDE static void bells_wide(double *d, size_t n) { bells(d, n); }

static void go_on(going_on *g, double z) {
    double step = 1 / (double)g->looks, sd = sqrt(step), t = share_at(g, g->done + 1);
    double mean = g->drift * step, high = z * sqrt(t),
           low = g->two_sided ? -high : g->drift * t - 9 * sqrt(t);
    double at[NODES_MAX], mass[NODES_MAX], bell[NODES_MAX];
    if (high > g->drift * t + 9 * sqrt(t)) high = g->drift * t + 9 * sqrt(t);
    if (low < g->drift * t - 9 * sqrt(t)) low = g->drift * t - 9 * sqrt(t);
    if (low > high) low = high;
    size_t count = g->done ? g->q->n : 1;
    for (size_t i = 0; i < g->q->n; i++) {
        double density = 0;
        at[i] = (low + high) / 2 + (high - low) / 2 * g->q->x[i];
        for (size_t j = 0; j < count; j++) bell[j] = (at[i] - (g->done ? g->at[j] + mean : mean)) / sd;
        (MR_WIDE_HERE ? bells_wide : bells_any)(bell, count);
        for (size_t j = 0; j < count; j++) density += (g->done ? g->mass[j] : 1) * bell[j];
        mass[i] = density / (sd * sqrt(2 * M_PI)) * (high - low) / 2 * g->q->w[i];
    }
    memcpy(g->at, at, sizeof at);
    memcpy(g->mass, mass, sizeof mass);
    g->done++;
}

static void crossing(const quadrature *q, const double *z, size_t looks, bool two_sided, double drift,
                     double *upper, double *lower) {
    going_on g;
    going_on_init(&g, q, looks, two_sided, drift);
    for (size_t k = 0; k < looks; k++) {
        stop_next(&g, z[k], &upper[k], &lower[k]);
        if (k + 1 < looks) go_on(&g, z[k]);
    }
}

void mr_crossing(const double *z, size_t looks, bool two_sided, double drift, double *upper, double *lower) {
    quadrature q;
    quadrature_init(&q, 64 + 2 * looks);
    crossing(&q, z, looks, two_sided, drift, upper, lower);
}

/* ---- bounds ---- */

static void shape(mr_group_design *d, double constant) {
    d->constant = constant;
    for (size_t k = 0; k < d->looks; k++) {
        double t = (double)(k + 1) / (double)d->looks;
        d->z[k] = d->kind == MR_BOUND_OBRIEN_FLEMING ? constant / sqrt(t) : constant;
    }
}

/* Type I error (spent) of the bounds as they are. */
static double error_of(const quadrature *q, mr_group_design *d) {
    double upper[MR_LOOKS_MAX], lower[MR_LOOKS_MAX], sum = 0;
    crossing(q, d->z, d->looks, d->two_sided, 0, upper, lower);
    for (size_t k = 0; k < d->looks; k++) d->spent[k] = sum += upper[k] + lower[k];
    return sum;
}

/* The power at a drift, the side of the drift alone; *mean: mean share of the largest sample that is used. */
static double power_of(const quadrature *q, const mr_group_design *d, double drift, double *mean) {
    double upper[MR_LOOKS_MAX], lower[MR_LOOKS_MAX], power = 0, left = 1;
    crossing(q, d->z, d->looks, d->two_sided, drift, upper, lower);
    *mean = 0;
    for (size_t k = 0; k < d->looks; k++) {
        *mean += left / (double)d->looks;
        left -= upper[k] + lower[k];
        power += upper[k];
    }
    return power;
}

typedef struct search {
    const quadrature *q;
    mr_group_design *d;
    double wanted, mean;
} search;

/* Where f, which only falls or only rises, is 0, looked for from low < high on: false position, where an end that stays
 * counts half (Dowell and Jarratt 1971, "A modified regula falsi method"). Ends with f at the answer. */
static void find_zero(double (*f)(search *s, double x), search *s, double low, double high) {
    double at_low = f(s, low), at_high = f(s, high);
    for (int i = 0; i < 20 && (at_low < 0) == (at_high < 0); i++) {
        double next = high + 2 * (high - low);
        low = high;
        at_low = at_high;
        high = next;
        at_high = f(s, high);
    }
    for (int i = 0; i < 100 && fabs(high - low) > 1e-14; i++) {
        double x = high - at_high * (high - low) / (at_high - at_low), at = f(s, x);
        bool last = fabs(x - high) < 1e-14;
        if ((at < 0) != (at_high < 0)) {
            low = high;
            at_low = at_high;
        } else
            at_low /= 2;
        high = x;
        at_high = at;
        if (at == 0 || last) return;
    }
}

static double error_left(search *s, double constant) {
    shape(s->d, constant);
    return error_of(s->q, s->d) - s->wanted;
}

static double spending(mr_bound_kind kind, double side, double t) {
    if (kind == MR_BOUND_SPEND_POCOCK) return side * log(1 + (M_E - 1) * t);
    return 2 * mr_normal_sf(mr_normal_quantile(1 - side / 2) / sqrt(t));
}

static void spend(const quadrature *q, mr_group_design *d, double alpha) {
    double side = d->two_sided ? alpha / 2 : alpha, before = 0, upper, lower;
    going_on g;
    going_on_init(&g, q, d->looks, d->two_sided, 0);
    d->constant = NAN;
    for (size_t k = 0; k < d->looks; k++) {
        double all = spending(d->kind, side, (double)(k + 1) / (double)d->looks), low = -12, high = 40;
        for (int i = 0; i < 60; i++) {
            d->z[k] = (low + high) / 2;
            stop_next(&g, d->z[k], &upper, &lower);
            if (upper > all - before)
                low = d->z[k];
            else
                high = d->z[k];
        }
        before = all;
        if (k + 1 < d->looks) go_on(&g, d->z[k]);
    }
}

/* Between the bound of a single look and Bonferroni's. */
static void find_constant(const quadrature *q, mr_group_design *d, double alpha) {
    double side = d->two_sided ? alpha / 2 : alpha, low = mr_normal_quantile(1 - side);
    double high = mr_normal_quantile(1 - side / (double)d->looks);
    find_zero(error_left, &(search){.q = q, .d = d, .wanted = alpha}, low - 1e-3, high + 1e-3);
}

static double power_left(search *s, double drift) {
    s->d->drift = drift;
    return power_of(s->q, s->d, drift, &s->mean) - s->wanted;
}

static void find_drift(const quadrature *q, mr_group_design *d, double alpha, double power) {
    double fixed = mr_normal_quantile(1 - (d->two_sided ? alpha / 2 : alpha)) + mr_normal_quantile(power), null;
    search s = {.q = q, .d = d, .wanted = power};
    find_zero(power_left, &s, fmax(fixed, 0), 1.2 * fmax(fixed, 1));
    power_of(q, d, 0, &null);
    d->inflation = d->drift / fixed * (d->drift / fixed);
    d->expected_null = d->inflation * null;
    d->expected_drift = d->inflation * s.mean;
}

mr_group_design mr_group_design_of(mr_bound_kind kind, size_t looks, double alpha, double power,
                                   bool two_sided) {
    MR_ASSERT(looks >= 1 && looks <= MR_LOOKS_MAX);
    mr_group_design d = {.kind = kind, .looks = looks, .two_sided = two_sided};
    quadrature q;
    quadrature_init(&q, 64 + 2 * looks);
    if (kind == MR_BOUND_OBRIEN_FLEMING || kind == MR_BOUND_POCOCK)
        find_constant(&q, &d, alpha);
    else
        spend(&q, &d, alpha);
    error_of(&q, &d);
    find_drift(&q, &d, alpha, power);
    return d;
}

mr_sprt_bounds mr_sprt_bounds_of(double alpha, double beta) {
    return (mr_sprt_bounds){log(beta / (1 - alpha)), log((1 - beta) / alpha)};
}

double mr_predictive_power(double z, double t, double bound, bool two_sided) {
    if (t >= 1) return (two_sided ? fabs(z) : z) >= bound;
    double mean = z / sqrt(t), sd = sqrt((1 - t) / t);
    double p = mr_normal_sf((bound - mean) / sd);
    return two_sided ? p + mr_normal_cdf((-bound - mean) / sd) : p;
}
