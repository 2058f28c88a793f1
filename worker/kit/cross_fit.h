/* cross_fit.h: fixed policies that are learnt on one half of a log of choices and valued on the other, so
 * that no row judges what it taught (cross-fitting: Chernozhukov et al. 2018). */
#ifndef MR_KIT_CROSS_FIT_H
#define MR_KIT_CROSS_FIT_H

#include "worker/kit/off_policy.h"

enum { MR_FOLDS = 2 };

/* What the rows of the other fold tell. */
typedef struct mr_cross_half {
    double *model;    /* by arm: mean reward, drawn to the mean of all as by one row of it */
    double *thompson; /* by arm: probability to be the best (Beta posteriors); rewards from 0 to 1 only */
    size_t best;      /* the arm with the largest model, ties to the lower */
    mr_bandit linear;
} mr_cross_half;

typedef struct mr_cross_options {
    bool unit;           /* all rewards are from 0 to 1 */
    bool linear;         /* learn linear models of the context too */
    double lambda, clip; /* as in bandit.h and off_policy.h */
} mr_cross_options;

/* Everything lives in the arena. */
typedef struct mr_cross_fit {
    const mr_choices *log;
    const uint8_t *fold; /* n: 0 or 1 */
    mr_cross_options options;
    mr_cross_half half[MR_FOLDS];       /* [f]: for the rows of fold f, learnt from all others */
    double *target, *expected, *fitted; /* n, scratch */
} mr_cross_fit;

/* `log` and `fold` are borrowed. Errors: E_MEMORY, what `tick` says. */
mr_status mr_cross_fit_init(mr_cross_fit *c, const mr_choices *log, const uint8_t *fold,
                            const mr_cross_options *options, mr_arena *arena, const mr_ticker *tick,
                            mr_error *err) MR_MUST_CHECK;

/* The policy that takes arm a with probability share[f][a] on the rows of fold f. */
mr_off_policy mr_cross_shares(const mr_cross_fit *c, double *const share[MR_FOLDS]);

/* Always the arm that the linear model of the other fold likes best. Errors: what `tick` says. */
mr_status mr_cross_linear(mr_cross_fit *c, const mr_ticker *tick, mr_off_policy *out) MR_MUST_CHECK;

#endif
