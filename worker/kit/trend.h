/* trend.h: does a series rise or fall? */
#ifndef MR_KIT_TREND_H
#define MR_KIT_TREND_H

#include "common/mem.h"
#include "worker/kit/tick.h"

typedef struct mr_trend {
    size_t n;
    double s, variance, z, p; /* Mann-Kendall, two-sided */
    double tau;               /* tau-a: S over all pairs */
    double factor;            /* what the variance was multiplied with for autocorrelation; 1 without */
} mr_trend;

/* Mann (1945) and Kendall: `t` ascending, pairs with equal t count 0; variance with the ties of x and of t
 * (Kendall and Gibbons 1990, chapter 4), continuity correction. p is NaN for n < 3 or without spread. O(n log
 * n). Errors: E_MEMORY. */
mr_status mr_mann_kendall(const double *t, const double *x, size_t n, mr_arena *arena, mr_trend *out,
                          mr_error *err) MR_MUST_CHECK;

/* The correction for autocorrelation (Hamed and Rao 1998): ranks of the series without its Theil-Sen slope
 * on 1..n, lags that are significant at 5 %. Changes variance, z and p. O(n^2). Errors: E_MEMORY, what `tick`
 * says. */
mr_status mr_hamed_rao(const double *x, size_t n, mr_arena *arena, const mr_ticker *tick, mr_trend *trend,
                       mr_error *err) MR_MUST_CHECK;

enum { MR_THEIL_SEN_ROWS = 2048 };
/* Theil (1950) and Sen (1968): the median of the slopes of all pairs with different t; intercept = median(x)
 * - slope median(t). Of longer series only every k-th point is used, at most MR_THEIL_SEN_ROWS. NaN without
 * such a pair. Errors: E_MEMORY, what `tick` says. */
mr_status mr_theil_sen(const double *t, const double *x, size_t n, mr_arena *arena, const mr_ticker *tick,
                       double *slope, double *intercept, mr_error *err) MR_MUST_CHECK;

/* Median of v, which is reordered; NaN for n = 0. Expected O(n). */
double mr_median(double *v, size_t n);

#endif
