/* resample.h: the bootstrap. Replicates are drawn by the caller's stream; intervals are percentile or BCa
 * (bias-corrected and accelerated, Efron 1987). */
#ifndef MR_WORKER_KIT_RESAMPLE_H
#define MR_WORKER_KIT_RESAMPLE_H

#include "common/rng.h"
#include "worker/kit/tick.h"

/* A statistic of two samples; for one-sample statistics y is NULL and n1 = 0. */
typedef double (*mr_statistic)(const double *x, size_t n0, const double *y, size_t n1);
double mr_mean_difference(const double *x, size_t n0, const double *y, size_t n1); /* of x, when n1 = 0 */

/* Fills replicates[rounds] with the statistic of samples drawn with replacement, each group apart. `scratch`
 * has room for n0 + n1 numbers. Errors: what `tick` returns, asked every round. */
mr_status mr_bootstrap(mr_statistic statistic, const double *x, size_t n0, const double *y, size_t n1,
                       unsigned rounds, mr_rng *rng, const mr_ticker *tick, double *scratch,
                       double *replicates) MR_MUST_CHECK;

/* The same for the difference of means without copying the samples; the same stream gives the same
 * replicates. */
mr_status mr_bootstrap_means(const double *x, size_t n0, const double *y, size_t n1, unsigned rounds,
                             mr_rng *rng, const mr_ticker *tick, double *replicates) MR_MUST_CHECK;

/* The acceleration from leaving one row out, groups combined as in Davison and Hinkley (1997, section 5.3.2):
 * sum of l^3/n^3 over 6 (sum of l^2/n^2)^1.5 with l = (n - 1)(mean of the leave-one-out values - value).
 * `scratch` has room for n0 + n1 numbers. 0 when there is no spread. For the means in closed form. */
double mr_acceleration(mr_statistic statistic, const double *x, size_t n0, const double *y, size_t n1,
                       double *scratch);
double mr_acceleration_means(const double *x, size_t n0, const double *y, size_t n1);

/* Sorts `replicates` and gives the BCa interval at `level`. The bias correction counts replicates equal to
 * the estimate as a half, its share kept inside [1/(rounds + 1), rounds/(rounds + 1)]; quantiles of R type 7.
 * NaN for rounds = 0. */
void mr_bca_interval(double *replicates, unsigned rounds, double estimate, double acceleration, double level,
                     double *low, double *high);

#endif
