/* comparison.h: the difference of two groups, or of pairs, by the bootstrap and by t; and less noise by an
 * earlier measure. Treatment minus control. */
#ifndef MR_KIT_COMPARISON_H
#define MR_KIT_COMPARISON_H

#include "worker/kit/resample.h"
#include "worker/kit/hypothesis.h"

/* What is compared: y[1] are the treated rows; in pairs y[1] are differences and y[0] is not looked at. */
typedef struct mr_samples {
    const double *y[2], *pre[2]; /* pre: the earlier measure, NaN where there is none */
    size_t n[2];
    bool pairs;
} mr_samples;

typedef struct mr_comparison {
    mr_test test; /* paired t or Welch t */
    mr_summary of[2];
    double difference, se, t_low, t_high; /* t_low, t_high: by Student's t */
    mr_boot_intervals boot;
} mr_comparison;

/* At least two values in each group. Errors: E_MEMORY, what `tick` says. */
mr_status mr_compare(const mr_samples *s, double level, unsigned rounds, mr_boot want, mr_rng *rng, mr_arena *arena,
                     const mr_ticker *tick, mr_comparison *out, mr_error *err) MR_MUST_CHECK;

typedef struct mr_cuped {
    bool done; /* false: an earlier measure is missing or nothing varies */
    double theta, correlation;
    double reduction; /* of the difference's variance, as a share */
    mr_test balance;  /* Welch t: does the earlier measure differ between the groups? */
    mr_comparison adjusted;
} mr_cuped;

/* Compares y - theta (pre - mean of pre), theta = cov(pre, y)/var(pre) of both groups pooled (Deng, Xu,
 * Kohavi and Walker 2013). Not for pairs. Errors: as above. */
mr_status mr_cuped_compare(const mr_samples *s, const mr_comparison *plain, double level, unsigned rounds,
                           mr_boot want, mr_rng *rng, mr_arena *arena, const mr_ticker *tick, mr_cuped *out,
                           mr_error *err) MR_MUST_CHECK;

#endif
