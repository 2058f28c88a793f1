#include "worker/kit/hypothesis.h"

#include "worker/kit/dist.h"

#include <math.h>

enum { EXACT_ROWS = 50 };

mr_summary mr_summarise(const double *x, size_t n) {
    mr_summary s = {n, NAN, NAN, NAN, NAN};
    if (n == 0) return s;
    double sum = 0, squares = 0, rest = 0;
    s.min = s.max = x[0];
    for (size_t i = 0; i < n; i++) {
        sum += x[i];
        if (x[i] < s.min) s.min = x[i];
        if (x[i] > s.max) s.max = x[i];
    }
    s.mean = s.min == s.max ? s.min : sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - s.mean;
        squares += d * d;
        rest += d;
    }
    s.var = n < 2 ? 0 : fmax(0, squares - rest * rest / (double)n) / (double)(n - 1);
    return s;
}

static void sift(double *v, size_t root, size_t n) {
    double top = v[root];
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && v[child + 1] > v[child]) child++;
        if (v[child] <= top) break;
        v[root] = v[child];
    }
    v[root] = top;
}

void mr_sort_numbers(double *v, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sift(v, i, n);
    for (size_t end = n; end-- > 1;) {
        double top = v[0];
        v[0] = v[end];
        v[end] = top;
        sift(v, 0, end);
    }
}

double mr_sorted_quantile(const double *sorted, size_t n, double p) {
    if (n == 0 || !(p >= 0 && p <= 1)) return NAN;
    double at = p * (double)(n - 1);
    size_t i = (size_t)at;
    if (i + 1 >= n) return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

/* ---- t tests ---- */

static mr_test no_test(const char *name) { return (mr_test){name, NAN, NAN, NAN, NAN}; }

/* Standard error and Welch-Satterthwaite degrees of freedom; false when there is no spread or too few rows.
 */
static bool welch_scale(const mr_summary *g0, const mr_summary *g1, double *se, double *df) {
    if (g0->n < 2 || g1->n < 2) return false;
    double v0 = g0->var / (double)g0->n, v1 = g1->var / (double)g1->n, v = v0 + v1;
    if (!(v > 0)) return false;
    *se = sqrt(v);
    *df = v * v / (v0 * v0 / (double)(g0->n - 1) + v1 * v1 / (double)(g1->n - 1));
    return true;
}

mr_test mr_welch(const mr_summary *g0, const mr_summary *g1) {
    mr_test r = no_test("Welch t");
    double se;
    if (!welch_scale(g0, g1, &se, &r.df)) return r;
    r.statistic = (g0->mean - g1->mean) / se;
    r.p = mr_t_two_sided(r.statistic, r.df);
    return r;
}

void mr_welch_interval(const mr_summary *g0, const mr_summary *g1, double level, double *low, double *high) {
    double se, df;
    *low = *high = NAN;
    if (!welch_scale(g0, g1, &se, &df)) return;
    double half = se * mr_t_quantile(0.5 + level / 2, df);
    *low = g0->mean - g1->mean - half;
    *high = g0->mean - g1->mean + half;
}

mr_test mr_student(const mr_summary *g0, const mr_summary *g1) {
    mr_test r = no_test("Student t");
    if (g0->n < 2 || g1->n < 2) return r;
    double n0 = (double)g0->n, n1 = (double)g1->n, df = n0 + n1 - 2;
    double pooled = ((n0 - 1) * g0->var + (n1 - 1) * g1->var) / df;
    if (!(pooled > 0)) return r;
    r.df = df;
    r.statistic = (g0->mean - g1->mean) / sqrt(pooled * (1 / n0 + 1 / n1));
    r.p = mr_t_two_sided(r.statistic, df);
    return r;
}

/* ---- Mann-Whitney ---- */

/* How many numbers from v[i] on equal `value`. */
static size_t run_of(const double *v, size_t i, size_t n, double value) {
    size_t from = i;
    while (i < n && v[i] == value) i++;
    return i - from;
}

/* U of x by walking both sorted samples; `ties` gets the sum of t^3 - t over the groups of equal values. */
static double count_pairs(const double *x, size_t n0, const double *y, size_t n1, double *ties) {
    double u = 0;
    *ties = 0;
    for (size_t i = 0, j = 0; i < n0 || j < n1;) {
        double value = j == n1 || (i < n0 && x[i] <= y[j]) ? x[i] : y[j];
        size_t a = run_of(x, i, n0, value), b = run_of(y, j, n1, value);
        double t = (double)(a + b);
        u += (double)a * ((double)j + 0.5 * (double)b);
        *ties += t * t * t - t;
        i += a;
        j += b;
    }
    return u;
}

mr_status mr_mann_whitney(const double *x, size_t n0, const double *y, size_t n1, const mr_mem *mem,
                          mr_test *out, mr_error *err) {
    *out = no_test("Mann-Whitney (normal approximation)");
    if (n0 == 0 || n1 == 0) return MR_OK;
    double ties, m0 = (double)n0, m1 = (double)n1, n = m0 + m1, u = count_pairs(x, n0, y, n1, &ties);
    double larger = fmax(u, m0 * m1 - u);
    out->statistic = u;
    if (ties == 0 && n0 < EXACT_ROWS && n1 < EXACT_ROWS) {
        double cdf, sf;
        out->name = "Mann-Whitney (exact)";
        MR_TRY(mr_mann_whitney_exact((unsigned)n0, (unsigned)n1, larger, mem, &cdf, &sf, err));
        out->p = fmin(1, 2 * sf);
        return MR_OK;
    }
    double var = m0 * m1 / 12 * (n + 1 - ties / (n * (n - 1)));
    if (var > 0) out->p = fmin(1, 2 * mr_normal_sf((larger - m0 * m1 / 2 - 0.5) / sqrt(var)));
    return MR_OK;
}

/* ---- variances ---- */

typedef struct spread {
    double n, mean, squares; /* of the distances from the median */
} spread;

static spread spread_of(const double *sorted, size_t n) {
    double median = mr_sorted_quantile(sorted, n, 0.5);
    spread s = {(double)n, 0, 0};
    for (size_t i = 0; i < n; i++) s.mean += fabs(sorted[i] - median);
    s.mean /= s.n;
    for (size_t i = 0; i < n; i++) {
        double d = fabs(sorted[i] - median) - s.mean;
        s.squares += d * d;
    }
    return s;
}

mr_test mr_brown_forsythe(const double *x, size_t n0, const double *y, size_t n1) {
    mr_test r = no_test("Brown-Forsythe");
    if (n0 < 2 || n1 < 2) return r;
    spread a = spread_of(x, n0), b = spread_of(y, n1);
    double n = a.n + b.n, mean = (a.n * a.mean + b.n * b.mean) / n, within = a.squares + b.squares;
    double between = a.n * (a.mean - mean) * (a.mean - mean) + b.n * (b.mean - mean) * (b.mean - mean);
    if (!(within > 0) || n < 3) return r;
    r.df = 1;
    r.df2 = n - 2;
    r.statistic = (n - 2) * between / within;
    r.p = mr_f_sf(r.statistic, 1, r.df2);
    return r;
}

/* ---- normality ---- */

static double polynomial(const double *c, int degree, double x) {
    double sum = 0;
    for (int i = degree; i >= 0; i--) sum = sum * x + c[i];
    return sum;
}

/* Royston's approximate weights for the upper half, a[0] for the greatest. */
static void shapiro_weights(double *a, size_t n) {
    static const double last[] = {0, 0.221157, -0.147981, -2.071190, 4.434685, -2.706056};
    static const double second[] = {0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633};
    size_t half = n / 2;
    double squares = 0, u = 1 / sqrt((double)n);
    for (size_t i = 0; i < half; i++) {
        a[i] = -mr_normal_quantile(((double)i + 1 - 0.375) / ((double)n + 0.25));
        squares += 2 * a[i] * a[i];
    }
    if (n == 3) {
        a[0] = M_SQRT1_2;
        return;
    }
    double root = sqrt(squares), a0 = polynomial(last, 5, u) + a[0] / root, scale;
    if (n > 5) {
        double a1 = polynomial(second, 5, u) + a[1] / root;
        scale = sqrt((squares - 2 * a[0] * a[0] - 2 * a[1] * a[1]) / (1 - 2 * a0 * a0 - 2 * a1 * a1));
        a[1] = a1;
    } else {
        scale = sqrt((squares - 2 * a[0] * a[0]) / (1 - 2 * a0 * a0));
    }
    for (size_t i = n > 5 ? 2 : 1; i < half; i++) a[i] /= scale;
    a[0] = a0;
}

static double shapiro_p(double w, double n) {
    static const double mean_small[] = {0.5440, -0.39978, 0.025054, -0.0006714};
    static const double sd_small[] = {1.3822, -0.77857, 0.062767, -0.0020322};
    static const double mean_large[] = {-1.5861, -0.31082, -0.083751, 0.0038915};
    static const double sd_large[] = {-0.4803, -0.082676, 0.0030302};
    if (n == 3) return fmax(0, 6 / M_PI * (asin(sqrt(w)) - asin(sqrt(0.75))));
    double y = log1p(-w), x = log(n);
    if (n > 11) return mr_normal_sf((y - polynomial(mean_large, 3, x)) / exp(polynomial(sd_large, 2, x)));
    double gamma = -2.273 + 0.459 * n;
    if (y >= gamma) return 0;
    return mr_normal_sf((-log(gamma - y) - polynomial(mean_small, 3, n)) / exp(polynomial(sd_small, 3, n)));
}

mr_test mr_shapiro_wilk(const double *sorted, size_t n, double *weights) {
    mr_test r = no_test("Shapiro-Wilk");
    if (n < 3 || n > MR_SHAPIRO_MAX || !(sorted[n - 1] > sorted[0])) return r;
    mr_summary s = mr_summarise(sorted, n);
    double sum = 0;
    shapiro_weights(weights, n);
    for (size_t i = 0; i < n / 2; i++) sum += weights[i] * (sorted[n - 1 - i] - sorted[i]);
    r.statistic = fmin(1, sum * sum / (s.var * (double)(n - 1)));
    r.p = shapiro_p(r.statistic, (double)n);
    return r;
}

static double skewness_z(double g1, double n) {
    double y = g1 * sqrt((n + 1) * (n + 3) / (6 * (n - 2)));
    double beta2 = 3 * (n * n + 27 * n - 70) * (n + 1) * (n + 3) / ((n - 2) * (n + 5) * (n + 7) * (n + 9));
    double w2 = sqrt(2 * (beta2 - 1)) - 1;
    return asinh(y / sqrt(2 / (w2 - 1))) / sqrt(0.5 * log(w2));
}

static double kurtosis_z(double b2, double n) {
    double mean = 3 * (n - 1) / (n + 1);
    double var = 24 * n * (n - 2) * (n - 3) / ((n + 1) * (n + 1) * (n + 3) * (n + 5));
    double x = (b2 - mean) / sqrt(var);
    double skew =
        6 * (n * n - 5 * n + 2) / ((n + 7) * (n + 9)) * sqrt(6 * (n + 3) * (n + 5) / (n * (n - 2) * (n - 3)));
    double a = 6 + 8 / skew * (2 / skew + sqrt(1 + 4 / (skew * skew)));
    return (1 - 2 / (9 * a) - cbrt((1 - 2 / a) / (1 + x * sqrt(2 / (a - 4))))) / sqrt(2 / (9 * a));
}

mr_test mr_dagostino_pearson(const double *x, size_t n) {
    mr_test r = no_test("D'Agostino-Pearson K2");
    if (n < 20) return r;
    double mean = mr_summarise(x, n).mean, m2 = 0, m3 = 0, m4 = 0, rows = (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - mean, d2 = d * d;
        m2 += d2;
        m3 += d2 * d;
        m4 += d2 * d2;
    }
    if (!(m2 > 0)) return r;
    m2 /= rows;
    double z1 = skewness_z(m3 / rows / pow(m2, 1.5), rows), z2 = kurtosis_z(m4 / rows / (m2 * m2), rows);
    r.statistic = z1 * z1 + z2 * z2;
    r.df = 2;
    r.p = mr_chi2_sf(r.statistic, 2);
    return r;
}

/* ---- permutation ---- */

static double sum_of(const double *v, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    return sum;
}

/* Draws `k` of the n numbers without replacement to the front of `pool`; returns their sum. */
static double draw(double *pool, size_t k, size_t n, mr_rng *rng) {
    double sum = 0;
    for (size_t i = 0; i < k; i++) {
        size_t j = i + mr_rng_below(rng, n - i);
        double t = pool[j];
        pool[j] = pool[i];
        pool[i] = t;
        sum += t;
    }
    return sum;
}

mr_status mr_permutation_test(double *pool, size_t n0, size_t n1, unsigned rounds, mr_rng *rng,
                              const mr_ticker *tick, mr_test *out) {
    *out = no_test("permutation of the difference of means");
    if (n0 == 0 || n1 == 0) return MR_OK;
    size_t n = n0 + n1, k = n0 < n1 ? n0 : n1;
    double rows = (double)n, total = sum_of(pool, n), first = sum_of(pool, n0);
    out->statistic = first / (double)n0 - (total - first) / (double)n1;
    /* The difference is a fixed multiple of the drawn sum's distance from its mean, so that is compared. */
    double observed = fabs((n0 <= n1 ? first : total - first) - total * (double)k / rows);
    double slack = 1e-12 * (observed + fabs(total));
    unsigned count = 0;
    for (unsigned b = 0; b < rounds; b++) {
        MR_TRY(mr_ticker_call(tick));
        if (fabs(draw(pool, k, n, rng) - total * (double)k / rows) >= observed - slack) count++;
    }
    out->p = ((double)count + 1) / ((double)rounds + 1);
    return MR_OK;
}
