/* resample.h: the bootstrap. Replicates are drawn by the caller's stream; intervals are BCa (bias-corrected and accelerated,
 * Efron 1987) or symmetric studentised (Hall 1988). */
#ifndef MR_WORKER_KIT_RESAMPLE_H
#define MR_WORKER_KIT_RESAMPLE_H

#include "common/mem.h"
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
 * replicates. `studentised`, unless NULL, gets |replicate - estimate| over the standard error of that replicate's own draws,
 * sqrt(s0^2/n0 + s1^2/n1): infinite for draws without spread that miss the estimate. */
mr_status mr_bootstrap_means(const double *x, size_t n0, const double *y, size_t n1, unsigned rounds,
                             mr_rng *rng, const mr_ticker *tick, double *replicates, double *studentised) MR_MUST_CHECK;

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

/* estimate -+ q se with q the ceil(level (rounds + 1))-th least of `studentised`, which is sorted (Hall 1988, On symmetric
 * bootstrap confidence intervals: coverage errs by 1/n^2). False when that is not finite, as with few rows of 0 and 1, or
 * there are too few rounds for the level; then NaN. */
bool mr_studentised_interval(double *studentised, unsigned rounds, double estimate, double se, double level, double *low,
                             double *high);

/* Both intervals of the mean of x, or of mean x - mean y, from the same draws, and the one that was asked for. The symmetric
 * bootstrap-t gives way to BCa where it is not finite. */
typedef enum mr_boot { MR_BOOT_T, MR_BOOT_BCA } mr_boot;
typedef struct mr_boot_intervals {
    double bca_low, bca_high, t_low, t_high; /* t: symmetric studentised, NaN where not finite */
    double low, high;                        /* the one that counts */
    const char *name;                        /* its name */
} mr_boot_intervals;

/* Errors: E_MEMORY, what `tick` says. */
mr_status mr_boot_means(const double *x, size_t n0, const double *y, size_t n1, unsigned rounds, double level, mr_boot want,
                        mr_rng *rng, mr_arena *arena, const mr_ticker *tick, mr_boot_intervals *out,
                        mr_error *err) MR_MUST_CHECK;

#endif
