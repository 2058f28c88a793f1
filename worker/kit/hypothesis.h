/* hypothesis.h: tests of one or two samples. Samples are arrays of finite numbers; a caller leaves missing
 * values out. All p-values are two-sided but those of the normality tests. Where a test is not defined for
 * the data (too few rows, no spread), `p` is NaN and `name` still says which test it would have been. Scratch
 * memory comes from the caller's arena. */
#ifndef MR_WORKER_KIT_HYPOTHESIS_H
#define MR_WORKER_KIT_HYPOTHESIS_H

#include "common/mem.h"
#include "common/rng.h"
#include "worker/kit/tick.h"

/* n, mean, variance with divisor n - 1 (0 for n < 2), least and greatest. n = 0: all but n are NaN. */
typedef struct mr_summary {
    size_t n;
    double mean, var, min, max;
} mr_summary;
mr_summary mr_summarise(const double *x, size_t n);

/* Ascending, in place (heapsort: no memory, no bad case). No NaN. */
void mr_sort_numbers(double *v, size_t n);
/* Of sorted numbers, by linear interpolation (R type 7); NaN for n = 0. */
double mr_sorted_quantile(const double *sorted, size_t n, double p);

typedef struct mr_test {
    const char *name; /* what the p-value must always be shown with */
    double statistic; /* t, U of group 0, F, W, K2 or the difference of means */
    double df, df2;   /* NaN where the test has none */
    double p;
} mr_test;

/* t test for unequal variances (Welch 1947), on mean 0 - mean 1, and its interval at `level`. */
mr_test mr_welch(const mr_summary *g0, const mr_summary *g1);
void mr_welch_interval(const mr_summary *g0, const mr_summary *g1, double level, double *low, double *high);
/* Student's t with the pooled variance. */
mr_test mr_student(const mr_summary *g0, const mr_summary *g1);

/* Mann and Whitney (1947). Both samples sorted. Without ties and with both groups under 50 rows exact, else
 * the normal approximation with tie and continuity correction; `name` says which. U counts pairs with x > y,
 * ties as a half. Errors: E_MEMORY. */
mr_status mr_mann_whitney(const double *x, size_t n0, const double *y, size_t n1, const mr_mem *mem,
                          mr_test *out, mr_error *err) MR_MUST_CHECK;

/* Brown and Forsythe (1974): Levene's test on distances from the medians. Both samples sorted. */
mr_test mr_brown_forsythe(const double *x, size_t n0, const double *y, size_t n1);

/* Normality. Shapiro-Wilk by Royston (1995, AS R94) for 3 <= n <= 5000, D'Agostino and Pearson's K2 (skewness
 * by D'Agostino 1970, kurtosis by Anscombe and Glynn 1983) for n >= 20. The sample must be sorted. `weights`
 * has room for n numbers. */
enum { MR_SHAPIRO_MAX = 5000 };
mr_test mr_shapiro_wilk(const double *sorted, size_t n, double *weights);
mr_test mr_dagostino_pearson(const double *x, size_t n);

/* Permutation test of the difference of means: p = (count + 1) / (rounds + 1), where count is the number of
 * random relabellings with a difference at least as large in absolute value (to 1e-12 relative, so that equal
 * splits count). `pool` holds group 0 and then group 1, and is shuffled. Errors: what `tick` returns, asked
 * every round. */
mr_status mr_permutation_test(double *pool, size_t n0, size_t n1, unsigned rounds, mr_rng *rng,
                              const mr_ticker *tick, mr_test *out) MR_MUST_CHECK;

#endif
