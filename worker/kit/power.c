#include "worker/kit/power.h"

#include "worker/kit/dist.h"
#include "worker/kit/special.h"

#include <math.h>

mr_effect mr_effect_size(const mr_summary *g0, const mr_summary *g1, double level) {
    mr_effect e = {NAN, NAN, NAN, NAN};
    mr_test t = mr_student(g0, g1);
    if (isnan(t.statistic)) return e;
    double df = t.df, scale = sqrt(1 / (double)g0->n + 1 / (double)g1->n);
    e.d = t.statistic * scale;
    if (isfinite(t.statistic)) {
        e.d_low = scale * mr_nct_shift((1 + level) / 2, t.statistic, df);
        e.d_high = scale * mr_nct_shift((1 - level) / 2, t.statistic, df);
    }
    if (df > 1) e.g = e.d * exp(mr_log_gamma(df / 2) - mr_log_gamma((df - 1) / 2)) / sqrt(df / 2);
    return e;
}

double mr_power_t(double d, double n0, double n1, double alpha) {
    if (!(n0 >= 2 && n1 >= 2) || !(alpha > 0 && alpha < 1)) return NAN;
    double df = n0 + n1 - 2, shift = d * sqrt(n0 * n1 / (n0 + n1)), cut = mr_t_quantile(1 - alpha / 2, df);
    return mr_nct_sf(cut, df, shift) + mr_nct_cdf(-cut, df, shift);
}

double mr_detectable_t(double power, double n0, double n1, double alpha) {
    if (!(n0 >= 2 && n1 >= 2) || !(alpha > 0 && alpha < 1) || !(power > alpha && power < 1)) return NAN;
    double low = 0, high = 1;
    while (mr_power_t(high, n0, n1, alpha) < power) high *= 2;
    for (int i = 0; i < 60 && high - low > 1e-12 * high; i++) {
        double mid = 0.5 * (low + high);
        if (mr_power_t(mid, n0, n1, alpha) < power)
            low = mid;
        else
            high = mid;
    }
    return high;
}

double mr_rows_needed_t(double d, double power, double alpha) {
    if (!(fabs(d) > 1e-4) || !(alpha > 0 && alpha < 1) || !(power > alpha && power < 1)) return NAN;
    double low = 1, high = 2; /* power at low is too small or undefined */
    while (mr_power_t(d, high, high, alpha) < power) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        double mid = floor(0.5 * (low + high));
        if (mr_power_t(d, mid, mid, alpha) < power)
            low = mid;
        else
            high = mid;
    }
    return high;
}

/* log of the integrand over u = log g: Rouder et al. 2009, equation 1, times g. */
static double jzs_term(double u, double t2, double n_r2, double df) {
    double g = exp(u), spread = 1 + n_r2 * g;
    return -0.5 * log(spread) - 0.5 * (df + 1) * log1p(t2 / (spread * df)) - 0.5 * log(2 * M_PI) - 0.5 * u -
           0.5 / g;
}

double mr_log_bayes_factor_t(double t, double n0, double n1, double r) {
    if (!(n0 >= 2 && n1 >= 2) || !(r > 0) || isnan(t)) return NAN;
    if (isinf(t * t)) return INFINITY;
    double df = n0 + n1 - 2, n_r2 = n0 * n1 / (n0 + n1) * r * r, t2 = t * t, h = 1.0 / 32, top = -INFINITY,
           sum = 0;
    /* Below log g = -7 the prior is e^-500; far above, the integrand falls as 1/g. */
    double from = -7, to = 60 + 2 * log1p(t2);
    for (double u = from; u < to; u += h) top = fmax(top, jzs_term(u, t2, n_r2, df));
    for (double u = from; u < to; u += h) sum += exp(jzs_term(u, t2, n_r2, df) - top);
    return top + log(sum * h) + 0.5 * (df + 1) * log1p(t2 / df);
}
