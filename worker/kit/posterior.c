#include "worker/kit/posterior.h"

#include "worker/kit/dist.h"
#include "worker/kit/special.h"

#include <math.h>

static const mr_posterior unknown = {NAN, NAN, NAN, NAN};

static double t_density(double t, double df) {
    return exp(mr_log_gamma((df + 1) / 2) - mr_log_gamma(df / 2) - (df + 1) / 2 * log1p(t * t / df)) /
           sqrt(df * M_PI);
}

/* E max(T - a, 0); infinite for df <= 1. */
static double t_excess(double a, double df) {
    if (!(df > 1)) return NAN;
    return t_density(a, df) * (df + a * a) / (df - 1) - a * mr_t_sf(a, df);
}

mr_posterior mr_posterior_mean(const mr_summary *d, double level) {
    double scale = sqrt(d->var / (double)d->n), df = (double)d->n - 1, centre = d->mean / scale;
    if (d->n < 2 || !(scale > 0)) return unknown;
    double half = mr_t_quantile(0.5 + level / 2, df) * scale;
    return (mr_posterior){mr_t_cdf(centre, df), scale * t_excess(centre, df), d->mean - half, d->mean + half};
}

/* ---- a difference of two unknowns: its distribution function, and where that reaches p ---- */

typedef double (*difference_cdf)(const void *pair, double at);

/* Secant steps on the normal scale, where the function is nearly a line; `low` and `high` start it. */
static double quantile_of(difference_cdf cdf, const void *pair, double p, double a, double b) {
    double want = mr_normal_quantile(p), fa = mr_normal_quantile(cdf(pair, a)) - want,
           fb = mr_normal_quantile(cdf(pair, b)) - want;
    for (int step = 0; step < 50 && fb != fa && isfinite(fa) && isfinite(fb); step++) {
        double next = b - fb * (b - a) / (fb - fa);
        a = b, fa = fb;
        b = next, fb = mr_normal_quantile(cdf(pair, b)) - want;
        if (fabs(fb) < 1e-10) break;
    }
    return b;
}

/* Two scaled t variables, centre + s (narrow) - or + r (wide): signs do not matter, t is symmetric. The
 * narrower one is integrated over, so that the other's distribution function is smooth on its scale. */
typedef struct two_t {
    double centre, narrow, narrow_df, wide, wide_df;
} two_t;

/* The integral of density(t) f(t) with t = sinh(v): doubly exponential for large df, exponential for small.
 */
static double over_t(const two_t *p, double at, double (*f)(double, double)) {
    static const double step = 1.0 / 16;
    double sum = 0;
    for (int sign = -1; sign <= 1; sign += 2)
        for (int k = sign > 0 ? 0 : 1; k < 640; k++) {
            double v = sign * k * step, t = sinh(v), density = t_density(t, p->narrow_df) * cosh(v);
            if (density < 1e-22) break;
            sum += density * f((at - p->centre - p->narrow * t) / p->wide, p->wide_df);
        }
    return sum * step;
}

static double two_t_cdf(const void *pair, double at) { return over_t(pair, at, mr_t_cdf); }
/* E max(z + T, 0), as P(T >= -z) = P(T <= z). */
static double shortfall(double z, double df) { return t_excess(-z, df); }

mr_posterior mr_posterior_means(const mr_summary *treated, const mr_summary *control, double level) {
    double s1 = sqrt(treated->var / (double)treated->n), s0 = sqrt(control->var / (double)control->n);
    double df1 = (double)treated->n - 1, df0 = (double)control->n - 1,
           difference = treated->mean - control->mean;
    if (treated->n < 2 || control->n < 2 || !(s1 > 0 && s0 > 0)) return unknown;
    two_t p = s1 < s0 ? (two_t){difference, s1, df1, s0, df0} : (two_t){difference, s0, df0, s1, df1};
    double z = mr_normal_quantile(0.5 + level / 2) * sqrt(s1 * s1 + s0 * s0);
    return (mr_posterior){1 - two_t_cdf(&p, 0), df1 > 1 && df0 > 1 ? p.wide * over_t(&p, 0, shortfall) : NAN,
                          quantile_of(two_t_cdf, &p, (1 - level) / 2, difference - z, difference - 1.1 * z),
                          quantile_of(two_t_cdf, &p, (1 + level) / 2, difference + z, difference + 1.1 * z)};
}

/* ---- rates ---- */

typedef struct two_beta {
    double a1, b1, a0, b0;
} two_beta;

/* P(p1 > p0) for whole a1, the sum over i < a1 of B(a0 + i, b1 + b0)/((b1 + i) B(1 + i, b1) B(a0, b0)). */
static double win_sum(two_beta p) {
    double sum = 0, base = mr_log_beta(p.a0, p.b0);
    for (double i = 0; i < p.a1; i++)
        sum += exp(mr_log_beta(p.a0 + i, p.b0 + p.b1) - log(p.b1 + i) - mr_log_beta(1 + i, p.b1) - base);
    return fmin(1, sum);
}

/* The same from the shorter of two sums: p1 > p0 is 1 - p0 > 1 - p1. */
static double win(two_beta p) {
    return p.a1 <= p.b0 ? win_sum(p) : win_sum((two_beta){p.b0, p.a0, p.b1, p.a1});
}

static double beta_cdf_within(double x, double a, double b) {
    return x <= 0 ? 0 : x >= 1 ? 1 : mr_beta_cdf(x, a, b);
}

/* P(p1 - p0 <= at), integrated over the log odds of p0. */
static double beta_difference_cdf(const void *pair, double at) {
    const two_beta *p = pair;
    double sd = sqrt(1 / p->a0 + 1 / p->b0), centre = log(p->a0 / p->b0), step = sd / 16;
    double reach = 9 * sd + 40 / fmin(p->a0, p->b0), base = mr_log_beta(p->a0, p->b0), sum = 0;
    int steps = (int)ceil(reach / step);
    for (int k = -steps; k <= steps; k++) {
        double v = centre + k * step, log_q = -log1p(exp(v)), log_p = v + log_q;
        double density = exp(p->a0 * log_p + p->b0 * log_q - base);
        if (density > 1e-22) sum += density * beta_cdf_within(exp(log_p) + at, p->a1, p->b1);
    }
    return fmin(fmax(sum * step, 0), 1);
}

mr_posterior mr_posterior_rates(double k1, double n1, double k0, double n0, double level) {
    two_beta p = {k1 + 1, n1 - k1 + 1, k0 + 1, n0 - k0 + 1};
    double m1 = p.a1 / (p.a1 + p.b1), m0 = p.a0 / (p.a0 + p.b0);
    double sd = sqrt(m1 * (1 - m1) / (n1 + 3) + m0 * (1 - m0) / (n0 + 3)),
           z = mr_normal_quantile(0.5 + level / 2) * sd;
    double lost0 = 1 - win((two_beta){p.a1, p.b1, p.a0 + 1, p.b0}),
           lost1 = 1 - win((two_beta){p.a1 + 1, p.b1, p.a0, p.b0});
    return (mr_posterior){
        win(p), fmax(0, m0 * lost0 - m1 * lost1),
        quantile_of(beta_difference_cdf, &p, (1 - level) / 2, m1 - m0 - z, m1 - m0 - 0.9 * z),
        quantile_of(beta_difference_cdf, &p, (1 + level) / 2, m1 - m0 + z, m1 - m0 + 0.9 * z)};
}
