#include "worker/kit/abtest.h"
#include "worker/kit/dist.h"
#include "worker/kit/special.h"

#include <math.h>

mr_test mr_pooled_z(double k0, double n0, double k1, double n1) {
    mr_test t = {"pooled z", NAN, NAN, NAN, NAN};
    double p = (k0 + k1) / (n0 + n1), v = p * (1 - p) * (1 / n0 + 1 / n1);
    if (!(v > 0)) return t;
    t.statistic = (k1 / n1 - k0 / n0) / sqrt(v);
    t.p = 2 * mr_normal_sf(fabs(t.statistic));
    return t;
}

/* P(B > A) for A ~ Beta(a0, b0) and B ~ Beta(a1, b1) as a sum of a1 terms, whose ratios are rational. They rise and then fall;
 * the sum is kept in units of the first, less a power of two where they would overflow. */
static double sum_over_first(double a0, double b0, double a1, double b1) {
    static const double large = 0x1p600, nothing = 0x1p-56;
    double first = mr_log_beta(a0, b0 + b1) - mr_log_beta(a0, b0), term = 1, sum = 0;
    for (double i = 0; i < a1; i++) {
        double ratio = (a0 + i) * (b1 + i) / ((a0 + i + b0 + b1) * (1 + i));
        sum += term;
        if (ratio < 1 && term * (a1 - i) < nothing * sum) break;
        term *= ratio;
        if (term < large) continue;
        term /= large;
        sum /= large;
        first += 600 * M_LN2;
    }
    return fmin(exp(first + log(sum)), 1);
}

static double beta_variance(double a, double b) { return a * b / (a + b) / (a + b) / (a + b + 1); }

static double beats(double a0, double b0, double a1, double b1) {
    static const double terms_max = 2e6;
    double least = fmin(fmin(a0, b0), fmin(a1, b1));
    if (least > terms_max)
        return mr_normal_cdf((a1 / (a1 + b1) - a0 / (a0 + b0)) /
                             sqrt(beta_variance(a0, b0) + beta_variance(a1, b1)));
    if (least == a1) return sum_over_first(a0, b0, a1, b1);
    if (least == b0) return sum_over_first(b1, a1, b0, a0);
    if (least == a0) return 1 - sum_over_first(a1, b1, a0, b0);
    return 1 - sum_over_first(b0, a0, b1, a1);
}

mr_belief mr_belief_proportions(double k0, double n0, double k1, double n1) {
    double a0 = 1 + k0, b0 = 1 + n0 - k0, a1 = 1 + k1, b1 = 1 + n1 - k1;
    double m0 = a0 / (a0 + b0), m1 = a1 / (a1 + b1);
    mr_belief out = {.better = beats(a0, b0, a1, b1)};
    /* E[p0; p0 > p1] = m0 P(p0' > p1) with p0' ~ Beta(a0 + 1, b0), and likewise for p1. */
    out.loss1 = fmax(0, m0 * beats(a1, b1, a0 + 1, b0) - m1 * beats(a1 + 1, b1, a0, b0));
    out.loss0 = fmax(0, m1 * beats(a0, b0, a1 + 1, b1) - m0 * beats(a0 + 1, b0, a1, b1));
    return out;
}

mr_belief mr_belief_means(double difference, double variance) {
    double se = sqrt(variance), z = difference / se;
    if (!(se > 0)) return (mr_belief){NAN, NAN, NAN};
    double density = se * mr_normal_pdf(z);
    return (mr_belief){mr_normal_cdf(z), fmax(0, density - difference * mr_normal_sf(z)),
                       fmax(0, density + difference * mr_normal_cdf(z))};
}

double mr_mixture_log_ratio(double difference, double variance, double tau) {
    double t = tau * tau, both = variance + t;
    return 0.5 * (log(variance / both) + difference * difference * t / (variance * both));
}

double mr_mixture_margin(double variance, double tau, double alpha) {
    double t = tau * tau, both = variance + t;
    return sqrt(variance * both / t * (log(both / variance) - 2 * log(alpha)));
}

double mr_sprt_log_ratio(double difference, double variance, double effect) {
    return (effect * difference - effect * effect / 2) / variance;
}
