/* power.h: how large a difference of two groups is, how sure that is, and what could have been seen. */
#ifndef MR_WORKER_KIT_POWER_H
#define MR_WORKER_KIT_POWER_H

#include "worker/kit/hypothesis.h"

/* Cohen's d = (mean 0 - mean 1) / pooled sd; its interval by inverting the noncentral t distribution (Steiger
 * and Fouladi 1997); Hedges' g = d J with the exact J = gamma(df/2) / (sqrt(df/2) gamma((df-1)/2)) (Hedges
 * 1981). All NaN when a group has under two rows or nothing spreads. */
typedef struct mr_effect {
    double d, d_low, d_high, g;
} mr_effect;
mr_effect mr_effect_size(const mr_summary *g0, const mr_summary *g1, double level);

/* Power of the two-sided two-sample t test (equal variances) at a true d, both tails counted. */
double mr_power_t(double d, double n0, double n1, double alpha);
/* The least |d| that is found with the given power. */
double mr_detectable_t(double power, double n0, double n1, double alpha);
/* Rows in each group for the given power at a true d; NaN when d = 0. */
double mr_rows_needed_t(double d, double power, double alpha);

/* The JZS Bayes factor of "the means differ" over "they are equal" (Rouder et al. 2009, the two-sample form):
 * a Cauchy prior of scale r on d, Jeffreys' on the variance, from Student's t; by trapezoidal quadrature over
 * log g, relative error 1e-10. Returned as its natural logarithm, which cannot overflow. */
double mr_log_bayes_factor_t(double t, double n0, double n1, double r);

#endif
