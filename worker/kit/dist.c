#include "worker/kit/dist.h"

#include "worker/kit/special.h"

#include <float.h>
#include <math.h>

double mr_normal_pdf(double x) { return exp(-0.5 * x * x) / sqrt(2 * M_PI); }
double mr_normal_cdf(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }
double mr_normal_sf(double x) { return 0.5 * erfc(x * M_SQRT1_2); }

/* A start for the lower half, good to 4.5e-4 (Abramowitz and Stegun 26.2.23). */
static double normal_start(double p) {
    double t = sqrt(-2 * log(p));
    return -(t - (2.515517 + 0.802853 * t + 0.010328 * t * t) /
                     (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t));
}

double mr_normal_quantile(double p) {
    if (!(p >= 0 && p <= 1)) return NAN;
    if (p == 0) return -INFINITY;
    if (p == 1) return INFINITY;
    if (p > 0.5) return -mr_normal_quantile(1 - p);
    if (p == 0.5) return 0;
    double x = normal_start(p);
    for (int i = 0; i < 4; i++) { /* Halley on the logarithm's scale: safe in the far tail */
        double cdf = mr_normal_cdf(x), step = (cdf - p) / mr_normal_pdf(x);
        x -= step / (1 + 0.5 * x * step);
    }
    return x;
}

/* ---- quantiles of continuous distributions ---- */

typedef double (*tail_fn)(double x, double a, double b);

/* The root of tail(x) = p on [low, high]; `rising` tells a cdf from an sf. Alternates the secant in the
 * bracket (Illinois rule) with bisection, so it needs no derivative and always ends. */
static double solve(tail_fn tail, double a, double b, double p, double low, double high, bool rising) {
    double f_low = tail(low, a, b) - p, f_high = tail(high, a, b) - p;
    for (int i = 0; i < 400; i++) {
        double mid = 0.5 * (low + high);
        if (i % 3 && f_high != f_low) {
            double cut = high - f_high * (high - low) / (f_high - f_low);
            if (cut > low && cut < high) mid = cut;
        }
        if (mid <= low || mid >= high) break;
        double f = tail(mid, a, b) - p;
        if (f == 0) return mid;
        if ((f < 0) == rising) {
            low = mid;
            f_low = f;
            if (i % 3) f_high *= 0.5;
        } else {
            high = mid;
            f_high = f;
            if (i % 3) f_low *= 0.5;
        }
        if (high - low <= 2 * DBL_EPSILON * fabs(mid)) break;
    }
    return 0.5 * (low + high);
}

/* Quantile of a distribution on [0, infinity): the bracket grows from 1 by halving and doubling. */
static double positive_quantile(tail_fn cdf, tail_fn sf, double a, double b, double p) {
    if (!(p >= 0 && p <= 1)) return NAN;
    if (p == 0) return 0;
    if (p == 1) return INFINITY;
    bool rising = p < 0.5;
    tail_fn tail = rising ? cdf : sf;
    double want = rising ? p : 1 - p, low = 1, high = 1;
    while (low > DBL_MIN && (tail(low, a, b) > want) == rising) low *= 0.5;
    while (high < DBL_MAX / 4 && (tail(high, a, b) < want) == rising) high *= 2;
    return solve(tail, a, b, want, low, high, rising);
}

/* ---- t ---- */

double mr_t_two_sided(double t, double df) {
    if (!(df > 0) || isnan(t)) return NAN;
    if (isinf(t)) return 0;
    if (isinf(df)) return 2 * mr_normal_sf(fabs(t));
    double t2 = t * t;
    if (isinf(t2)) return 0;
    return mr_beta_p(df / 2, 0.5, df / (df + t2), t2 / (df + t2));
}

double mr_t_sf(double t, double df) {
    double half = 0.5 * mr_t_two_sided(t, df);
    return t >= 0 ? half : 1 - half;
}

double mr_t_cdf(double t, double df) { return mr_t_sf(-t, df); }

static double t_tail(double t, double df, double unused) {
    (void)unused;
    return mr_t_sf(t, df);
}

double mr_t_quantile(double p, double df) {
    if (!(p >= 0 && p <= 1) || !(df > 0)) return NAN;
    if (p == 0.5) return 0;
    if (p == 0 || p == 1) return p == 0 ? -INFINITY : INFINITY;
    double tail = p < 0.5 ? p : 1 - p, high = 1;
    while (high < DBL_MAX / 4 && mr_t_sf(high, df) > tail) high *= 2;
    double t = solve(t_tail, df, 0, tail, 0, high, false);
    return p < 0.5 ? -t : t;
}

/* ---- chi-square, gamma, F, beta ---- */

double mr_gamma_cdf(double x, double shape, double scale) {
    return scale > 0 ? mr_gamma_p(shape, x <= 0 ? 0 : x / scale) : NAN;
}
double mr_gamma_sf(double x, double shape, double scale) {
    return scale > 0 ? mr_gamma_q(shape, x <= 0 ? 0 : x / scale) : NAN;
}
double mr_gamma_quantile(double p, double shape, double scale) {
    if (!(shape > 0 && scale > 0)) return NAN;
    return scale * positive_quantile(mr_gamma_cdf, mr_gamma_sf, shape, 1, p);
}

double mr_chi2_cdf(double x, double df) { return mr_gamma_cdf(x, df / 2, 2); }
double mr_chi2_sf(double x, double df) { return mr_gamma_sf(x, df / 2, 2); }
double mr_chi2_quantile(double p, double df) { return mr_gamma_quantile(p, df / 2, 2); }

double mr_f_cdf(double x, double df1, double df2) {
    if (!(df1 > 0 && df2 > 0)) return NAN;
    if (x <= 0) return 0;
    double whole = df1 * x + df2;
    return mr_beta_p(df1 / 2, df2 / 2, df1 * x / whole, df2 / whole);
}
double mr_f_sf(double x, double df1, double df2) {
    if (!(df1 > 0 && df2 > 0)) return NAN;
    if (x <= 0) return 1;
    double whole = df1 * x + df2;
    return mr_beta_q(df1 / 2, df2 / 2, df1 * x / whole, df2 / whole);
}
double mr_f_quantile(double p, double df1, double df2) {
    if (!(df1 > 0 && df2 > 0)) return NAN;
    return positive_quantile(mr_f_cdf, mr_f_sf, df1, df2, p);
}

static double clamp_unit(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

double mr_beta_cdf(double x, double a, double b) { return mr_beta_p(a, b, clamp_unit(x), 1 - clamp_unit(x)); }
double mr_beta_sf(double x, double a, double b) { return mr_beta_q(a, b, clamp_unit(x), 1 - clamp_unit(x)); }

double mr_beta_quantile(double p, double a, double b) {
    if (!(p >= 0 && p <= 1) || !(a > 0 && b > 0)) return NAN;
    if (p == 0 || p == 1) return p;
    return p < 0.5 ? solve(mr_beta_cdf, a, b, p, 0, 1, true) : solve(mr_beta_sf, a, b, 1 - p, 0, 1, false);
}

/* ---- counts ---- */

double mr_poisson_pmf(double k, double mean) {
    if (!(mean >= 0)) return NAN;
    if (k < 0 || k != floor(k)) return 0;
    if (mean == 0) return k == 0;
    if (k == 0) return exp(-mean);
    return exp(-mr_stirling_error(k) - mr_deviance(k, mean)) / sqrt(2 * M_PI * k);
}
double mr_poisson_cdf(double k, double mean) { return k < 0 ? 0 : mr_gamma_q(floor(k) + 1, mean); }
double mr_poisson_sf(double k, double mean) { return k < 0 ? 1 : mr_gamma_p(floor(k) + 1, mean); }

double mr_binomial_pmf(double k, double n, double p) {
    if (!(n >= 0) || !(p >= 0 && p <= 1)) return NAN;
    if (k < 0 || k > n || k != floor(k)) return 0;
    if (p == 0 || p == 1) return k == (p == 0 ? 0 : n);
    if (k == 0) return exp(n * log1p(-p));
    if (k == n) return exp(n * log(p));
    double log_f = mr_stirling_error(n) - mr_stirling_error(k) - mr_stirling_error(n - k) -
                   mr_deviance(k, n * p) - mr_deviance(n - k, n * (1 - p));
    return exp(log_f) * sqrt(n / (2 * M_PI * k * (n - k)));
}

double mr_binomial_cdf(double k, double n, double p) {
    if (!(n >= 0) || !(p >= 0 && p <= 1)) return NAN;
    k = floor(k);
    return k < 0 ? 0 : k >= n ? 1 : mr_beta_q(k + 1, n - k, p, 1 - p);
}
double mr_binomial_sf(double k, double n, double p) {
    if (!(n >= 0) || !(p >= 0 && p <= 1)) return NAN;
    k = floor(k);
    return k < 0 ? 1 : k >= n ? 0 : mr_beta_p(k + 1, n - k, p, 1 - p);
}

double mr_binomial_quantile(double q, double n, double p) {
    if (!(n >= 0) || !(p >= 0 && p <= 1) || !(q >= 0 && q <= 1)) return NAN;
    double low = -1, high = floor(n); /* cdf(low) < q <= cdf(high) */
    while (high - low > 1) {
        double mid = floor(0.5 * (low + high));
        if (mr_binomial_cdf(mid, n, p) >= q)
            high = mid;
        else
            low = mid;
    }
    return high;
}

/* ---- noncentral t ---- */

static const double NCT_LARGE = 1000;

/* For large |t| the normal part is a step: T <= t when S >= shift / t (t > 0), or S <= shift / t (t < 0). */
static double nct_far_tail(double t, double df, double shift, bool upper) {
    double at = shift / t;
    if (at <= 0) return (t > 0) != upper;
    return (t > 0) != upper ? mr_chi2_sf(df * at * at, df) : mr_chi2_cdf(df * at * at, df);
}

/* With S = sqrt(V / df) = e^u, u has the density c exp(df (u - e^2u / 2)). Sums both the mass and the tail
 * over one grid and divides, which needs no constant. The step resolves the density and the normal cdf,
 * whichever is finer. */
static double nct_tail(double t, double df, double shift, bool upper) {
    if (!(df > 0) || isnan(t) || isnan(shift)) return NAN;
    if (isinf(t)) return (t > 0) != upper;
    if (fabs(t) > NCT_LARGE) return nct_far_tail(t, df, shift, upper);
    double width = fmin(1 / sqrt(2 * df), 1 / (1 + fabs(shift) + fmin(fabs(t), 8 * (1 + fabs(shift)))));
    double h = 0.4 * fmin(width, 0.4), mass = 0, tail = 0;
    for (int side = -1; side <= 1; side += 2) {
        for (int64_t i = side > 0 ? 0 : 1;; i++) {
            double u = (double)(side * i) * h, log_g = df * (u - 0.5 * expm1(2 * u));
            if (log_g < -40) break;
            double g = exp(log_g), z = t * exp(u) - shift;
            mass += g;
            tail += g * (upper ? mr_normal_sf(z) : mr_normal_cdf(z));
        }
    }
    return tail / mass;
}

double mr_nct_cdf(double t, double df, double shift) { return nct_tail(t, df, shift, false); }
double mr_nct_sf(double t, double df, double shift) { return nct_tail(t, df, shift, true); }

static double nct_of_shift(double shift, double t, double df) { return mr_nct_cdf(t, df, shift); }

double mr_nct_shift(double p, double t, double df) {
    if (!(p > 0 && p < 1) || !(df > 0) || !isfinite(t)) return NAN;
    double step = 1 + fabs(t) / 2, low = t - step, high = t + step;
    for (int i = 0; i < 60 && mr_nct_cdf(t, df, low) < p; i++) low -= step *= 2;
    step = 1 + fabs(t) / 2;
    for (int i = 0; i < 60 && mr_nct_cdf(t, df, high) > p; i++) high += step *= 2;
    return solve(nct_of_shift, t, df, p, low, high, false);
}

/* ---- Mann-Whitney ---- */

/* ways[k][s]: subsets of the ranks 1..r with k members whose rank sum, less k (k + 1) / 2, is s. Only
 * additions of positive numbers, so counts beyond 2^53 keep their relative precision. */
static void count_subsets(double *ways, unsigned n0, unsigned n1, size_t sums) {
    ways[0] = 1;
    for (unsigned r = 1; r <= n0 + n1; r++) {
        for (unsigned k = r < n0 ? r : n0; k >= 1; k--) {
            size_t gain = r - k; /* what rank r adds beyond the least possible */
            double *to = ways + k * sums;
            const double *from = to - sums;
            for (size_t s = sums; s-- > gain;) to[s] += from[s - gain];
        }
    }
}

mr_status mr_mann_whitney_exact(unsigned n0, unsigned n1, double u, const mr_mem *mem, double *cdf,
                                double *sf, mr_error *err) {
    if (n0 == 0 || n1 == 0 || n0 > 64 || n1 > 64)
        return mr_fail(err, MR_E_LIMIT, "exact Mann-Whitney needs groups of 1 to 64 rows, not %u and %u", n0,
                       n1);
    size_t sums = (size_t)n0 * n1 + 1;
    double *ways = mr_new(mem, (n0 + 1) * sums, sizeof *ways);
    if (!ways) return mr_fail(err, MR_E_MEMORY, "no memory for the exact Mann-Whitney distribution");
    count_subsets(ways, n0, n1, sums);
    const double *row = ways + n0 * sums;
    double all = 0, at_most = 0, at_least = 0;
    for (size_t s = 0; s < sums; s++) {
        all += row[s];
        if ((double)s <= u) at_most += row[s];
        if ((double)s >= u) at_least += row[s];
    }
    *cdf = at_most / all;
    *sf = at_least / all;
    mr_free(mem, ways, (n0 + 1) * sums, sizeof *ways);
    return MR_OK;
}

/* ---- intervals for proportions ---- */

void mr_wilson(double k, double n, double level, double *low, double *high) {
    *low = 0;
    *high = 1;
    if (!(n > 0)) return;
    double z = mr_normal_quantile(0.5 + level / 2), p = k / n, z2 = z * z;
    double centre = p + z2 / (2 * n), half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)), scale = 1 + z2 / n;
    *low = k > 0 ? fmax(0, (centre - half) / scale) : 0;
    *high = k < n ? fmin(1, (centre + half) / scale) : 1;
}

void mr_newcombe(double k0, double n0, double k1, double n1, double level, double *low, double *high) {
    double l0, h0, l1, h1, p0 = n0 > 0 ? k0 / n0 : 0.5, p1 = n1 > 0 ? k1 / n1 : 0.5;
    mr_wilson(k0, n0, level, &l0, &h0);
    mr_wilson(k1, n1, level, &l1, &h1);
    *low = p1 - p0 - hypot(p1 - l1, h0 - p0);
    *high = p1 - p0 + hypot(h1 - p1, p0 - l0);
}
