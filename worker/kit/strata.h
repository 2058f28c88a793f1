/* strata.h: learnt stratification. Strata are the leaves of a regression tree that foresees the outcome from
 * columns measured before the treatment, without looking at the treatment; each half of the rows is cut by
 * the tree grown on the other half, so the outcome of a row has no say in its own stratum. The effect is the
 * mean of the differences in the strata, weighted by their rows (post-stratification: Miratrix, Sekhon and Yu
 * 2013). */
#ifndef MR_KIT_STRATA_H
#define MR_KIT_STRATA_H

#include "worker/kit/boost.h"

enum { MR_STRATA_LEAVES = 16 };

typedef struct mr_strata {
    size_t n, strata;             /* n = 0: a stratum lacks rows of one arm, so there is no estimate */
    double difference, variance;  /* treated minus control, and the variance of that, with strata */
    double plain, plain_variance; /* of the same rows without strata */
} mr_strata;

/* x is n x width; treated and half are 0 or 1 for each row; at most `leaves` strata in each half. Errors:
 * E_MEMORY, what `tick` says. */
mr_status mr_strata_estimate(const double *x, const double *y, const uint8_t *treated, const uint8_t *half,
                             size_t n, size_t width, size_t leaves, mr_scratch *scratch,
                             const mr_ticker *tick, mr_strata *out, mr_error *err) MR_MUST_CHECK;

#endif
