/* dist.h: probability distributions. For each: cdf = P(X <= x), sf = P(X > x) (computed apart, so a small
 * tail keeps its digits), quantile = the least x with cdf >= p. Reference values agree to 1e-10. Parameters
 * outside the domain give NaN. Pure functions. */
#ifndef MR_WORKER_KIT_DIST_H
#define MR_WORKER_KIT_DIST_H

#include "common/mem.h"
#include "common/status.h"

double mr_normal_pdf(double x);
double mr_normal_cdf(double x);
double mr_normal_sf(double x);
double mr_normal_quantile(double p); /* Halley steps from Abramowitz and Stegun 26.2.23 */

/* Student's t with df > 0 degrees of freedom. */
double mr_t_cdf(double t, double df);
double mr_t_sf(double t, double df);
double mr_t_quantile(double p, double df);
double mr_t_two_sided(double t, double df); /* P(|T| >= |t|) */

double mr_chi2_cdf(double x, double df);
double mr_chi2_sf(double x, double df);
double mr_chi2_quantile(double p, double df);

double mr_f_cdf(double x, double df1, double df2);
double mr_f_sf(double x, double df1, double df2);
double mr_f_quantile(double p, double df1, double df2);

double mr_beta_cdf(double x, double a, double b);
double mr_beta_sf(double x, double a, double b);
double mr_beta_quantile(double p, double a, double b);

double mr_gamma_cdf(double x, double shape, double scale);
double mr_gamma_sf(double x, double shape, double scale);
double mr_gamma_quantile(double p, double shape, double scale);

double mr_binomial_pmf(double k, double n, double p); /* Loader 2000 */
double mr_binomial_cdf(double k, double n, double p);
double mr_binomial_sf(double k, double n, double p);
double mr_binomial_quantile(double q, double n, double p);

double mr_poisson_pmf(double k, double mean);
double mr_poisson_cdf(double k, double mean);
double mr_poisson_sf(double k, double mean);

/* Noncentral t with df > 0 and noncentrality `shift`: T = (Z + shift) / sqrt(V / df). By the trapezoidal rule
 * on the mixture over log sqrt(V / df), which converges exponentially (Trefethen and Weideman 2014). Absolute
 * error 1e-12. */
double mr_nct_cdf(double t, double df, double shift);
double mr_nct_sf(double t, double df, double shift);
/* The noncentrality for which cdf(t) = p: the end of an interval for an effect size. */
double mr_nct_shift(double p, double t, double df);

/* P(U <= u) and P(U >= u) of the Mann-Whitney statistic without ties, exact, for group sizes n0, n1 <= 64.
 * Scratch comes from `mem` and is given back. Errors: E_LIMIT larger groups, E_MEMORY. */
mr_status mr_mann_whitney_exact(unsigned n0, unsigned n1, double u, const mr_mem *mem, double *cdf,
                                double *sf, mr_error *err) MR_MUST_CHECK;

/* Wilson's score interval for k of n at the confidence `level` (Wilson 1927); n = 0 gives [0, 1]. */
void mr_wilson(double k, double n, double level, double *low, double *high);
/* Interval for p1 - p0 from two Wilson intervals (Newcombe 1998, method 10). */
void mr_newcombe(double k0, double n0, double k1, double n1, double level, double *low, double *high);

#endif
