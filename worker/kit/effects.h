/* effects.h: the average effect of a treatment that was not given at random, adjusted for columns, in four
 * ways: difference   mean of the treated minus mean of the others, unadjusted (Welch's standard error)
 *   regression   least squares with intercept, fitted apart in each group, both predictions averaged over all
 * rows weighting    weights 1/e and 1/(1 - e), normalised in each group (Hajek), e by unpenalised logistic
 * regression robust       both: right when either model is (augmented weighting; Robins, Rotnitzky and Zhao
 * 1994) Standard errors from influence functions; those of regression and weighting count the fitted
 * parameters in (Lunceford and Davidian 2004; Stefanski and Boos 2002). */
#ifndef MR_KIT_EFFECTS_H
#define MR_KIT_EFFECTS_H

#include "worker/kit/glm.h"

enum { MR_EFFECT_DIFFERENCE, MR_EFFECT_REGRESSION, MR_EFFECT_WEIGHTING, MR_EFFECT_ROBUST, MR_EFFECT_METHODS };

typedef struct mr_effect_estimate {
    double mean1, mean0; /* mean outcome were all treated, were none treated */
    double effect, se;   /* mean1 - mean0 */
} mr_effect_estimate;

typedef struct mr_effects {
    size_t n, treated;
    mr_effect_estimate by[MR_EFFECT_METHODS];
    double *propensity; /* n */
    double propensity_min, propensity_max;
    double effective1, effective0; /* rows that the weights of each group are worth: (sum w)^2 / sum w^2 */
    bool separated;                /* the columns predict the treatment perfectly for some rows */
    size_t dropped;                /* columns that are combinations of others, overall or in one group */
} mr_effects;

/* The design has an intercept in column 0. Needs more rows than columns in each group. Everything is in the
 * arena. Errors: E_INVALID too few rows in a group; E_MEMORY; what `tick` says. */
mr_status mr_effects_estimate(const mr_design *d, const uint8_t *treated, const double *y, mr_arena *arena,
                              const mr_ticker *tick, mr_effects *out, mr_error *err) MR_MUST_CHECK;

/* (mean of the treated - mean of the others) over the root of the mean of both variances, of one column,
 * weighted by 1/e and 1/(1 - e) when `propensity` is not NULL; the variances are unweighted. 0 without
 * spread. */
double mr_balance(const mr_design *d, size_t column, const uint8_t *treated, const double *propensity);

#endif
