/* special.h: the special functions that the distributions stand on. Double precision; relative errors near
 * 1e-13 in the body and below 1e-11 for parameters up to 1e8. Arguments outside a function's domain give NaN.
 * Pure functions. */
#ifndef MR_WORKER_KIT_SPECIAL_H
#define MR_WORKER_KIT_SPECIAL_H

/* log |gamma(x)|; unlike lgamma() it writes no global. */
double mr_log_gamma(double x);
/* log of the beta function, a, b > 0. */
double mr_log_beta(double a, double b);
/* lgamma(n + 1) - [(n + 1/2) log n - n + log(2 pi)/2], n > 0: what Stirling's formula leaves (Loader 2000).
 */
double mr_stirling_error(double n);
/* x log(x / m) + m - x for x, m > 0, without cancellation near x = m (Loader 2000). */
double mr_deviance(double x, double m);

/* Regularised incomplete beta function I_x(a, b), a, b > 0, 0 <= x <= 1 (DLMF 8.17.22). `upper` = 1 - x may
 * be given apart, so that neither tail loses digits. mr_beta_q is 1 - I_x(a, b), exact in its own tail. */
double mr_beta_p(double a, double b, double x, double upper);
double mr_beta_q(double a, double b, double x, double upper);

/* Regularised incomplete gamma functions P(a, x) and Q(a, x) = 1 - P, a > 0, x >= 0 (DLMF 8.11.4, 8.9.2). */
double mr_gamma_p(double a, double x);
double mr_gamma_q(double a, double x);

/* log of the binomial coefficient n over k for real 0 <= k <= n. */
double mr_log_choose(double n, double k);

#endif
