#include "worker/kit/special.h"

#include <float.h>
#include <math.h>

enum { ITERATIONS_MAX = 1000000 };
static const double TINY = 1e-300;

double mr_log_gamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

double mr_stirling_error(double n) {
    if (!(n > 0)) return NAN;
    if (n < 16) return mr_log_gamma(n + 1) - ((n + 0.5) * log(n) - n + 0.5 * log(2 * M_PI));
    double q = 1 / (n * n); /* Stirling's series, DLMF 5.11.1 */
    static const double c[] = {1.0 / 12,   -1.0 / 360,      1.0 / 1260, -1.0 / 1680,
                               1.0 / 1188, -691.0 / 360360, 1.0 / 156,  -3617.0 / 122400};
    double sum = 0;
    for (int i = 7; i >= 0; i--) sum = sum * q + c[i];
    return sum / n;
}

double mr_deviance(double x, double m) {
    if (!(x >= 0 && m > 0)) return NAN;
    if (x == 0) return m;
    double d = x - m;
    if (fabs(d) > 0.1 * (x + m)) return x * log(x / m) + m - x;
    double v = d / (x + m), s = d * v, power = 2 * x * v, v2 = v * v;
    for (int j = 1; j < 1000; j++) {
        power *= v2;
        double next = s + power / (2 * j + 1);
        if (next == s) break;
        s = next;
    }
    return s;
}

double mr_log_beta(double a, double b) {
    if (!(a > 0 && b > 0)) return NAN;
    double low = fmin(a, b), high = fmax(a, b), sum = a + b;
    if (low < 8) {
        if (high < 1e3) return mr_log_gamma(low) + mr_log_gamma(high) - mr_log_gamma(sum);
        /* log gamma(high) - log gamma(high + low), with the large terms taken out by hand. */
        return mr_log_gamma(low) + low - low * log(sum) - (high - 0.5) * log1p(low / high) +
               mr_stirling_error(high) - mr_stirling_error(sum);
    }
    double ratio = low / high;
    return low * log(low / sum) - high * log1p(ratio) + 0.5 * (log(2 * M_PI / low) + log1p(ratio)) +
           mr_stirling_error(low) + mr_stirling_error(high) - mr_stirling_error(sum);
}

double mr_log_choose(double n, double k) {
    if (!(k >= 0 && k <= n)) return NAN;
    if (k == 0 || k == n) return 0;
    return -log1p(n) - mr_log_beta(k + 1, n - k + 1);
}

/* log of x^a (1-x)^b / B(a, b), by deviances when both parameters are large. */
static double log_beta_front(double a, double b, double x, double y) {
    if (fmin(a, b) < 8) {
        double log_x = x < 0.5 ? log(x) : log1p(-y), log_y = y < 0.5 ? log(y) : log1p(-x);
        if (fmax(a, b) < 1e3) return a * log_x + b * log_y - mr_log_beta(a, b);
        return a * log_x + b * log_y - mr_log_beta(a, b);
    }
    double n = a + b;
    return -mr_deviance(a, n * x) - mr_deviance(b, n * y) + 0.5 * (log(a) + log(b) - log(n) - log(2 * M_PI)) +
           mr_stirling_error(n) - mr_stirling_error(a) - mr_stirling_error(b);
}

/* The continued fraction DLMF 8.17.22 by the modified Lentz method; quick for x < (a + 1)/(a + b + 2). */
static double beta_fraction(double a, double b, double x) {
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < TINY ? TINY : d);
    double h = d;
    for (int m = 1; m < ITERATIONS_MAX; m++) {
        double k = m, even = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
        d = 1 + even * d;
        c = 1 + even / c;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        if (fabs(c) < TINY) c = TINY;
        h *= d * c;
        double odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1));
        d = 1 + odd * d;
        c = 1 + odd / c;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        if (fabs(c) < TINY) c = TINY;
        h *= d * c;
        if (fabs(d * c - 1) < 2 * DBL_EPSILON) break;
    }
    return h;
}

double mr_beta_p(double a, double b, double x, double upper) {
    if (!(a > 0 && b > 0) || !(x >= 0 && x <= 1)) return NAN;
    if (x == 0) return 0;
    if (upper == 0) return 1;
    double front = exp(log_beta_front(a, b, x, upper));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, upper) / b;
}

double mr_beta_q(double a, double b, double x, double upper) { return mr_beta_p(b, a, upper, x); }

/* x^a e^-x / gamma(a + 1) */
static double gamma_front(double a, double x) {
    return exp(-mr_deviance(a, x) - mr_stirling_error(a)) / sqrt(2 * M_PI * a);
}

static double gamma_series(double a, double x) {
    double term = 1, sum = 1;
    for (int n = 1; n < ITERATIONS_MAX && term > sum * DBL_EPSILON / 4; n++) {
        term *= x / (a + n);
        sum += term;
    }
    return gamma_front(a, x) * sum;
}

static double gamma_fraction(double a, double x) {
    double b = x + 1 - a, c = 1 / TINY, d = 1 / b, h = d;
    for (int i = 1; i < ITERATIONS_MAX; i++) {
        double an = -i * (i - a);
        b += 2;
        d = an * d + b;
        c = b + an / c;
        d = 1 / (fabs(d) < TINY ? TINY : d);
        if (fabs(c) < TINY) c = TINY;
        h *= d * c;
        if (fabs(d * c - 1) < 2 * DBL_EPSILON) break;
    }
    return gamma_front(a, x) * a * h;
}

double mr_gamma_p(double a, double x) {
    if (!(a > 0 && x >= 0)) return NAN;
    if (x == 0) return 0;
    if (isinf(x)) return 1;
    return x < a + 1 ? gamma_series(a, x) : 1 - gamma_fraction(a, x);
}

double mr_gamma_q(double a, double x) {
    if (!(a > 0 && x >= 0)) return NAN;
    if (x == 0) return 1;
    if (isinf(x)) return 0;
    return x < a + 1 ? 1 - gamma_series(a, x) : gamma_fraction(a, x);
}
