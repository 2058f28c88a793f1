/* refute.h: what stands against an estimated effect: which columns confound it, and how the estimate fares
 * under a placebo treatment and beside random common causes (Sharma and Kiciman 2020 name both refutations).
 */
#ifndef MR_KIT_REFUTE_H
#define MR_KIT_REFUTE_H

#include "common/rng.h"
#include "worker/kit/effects.h"

/* What an adjusting column does to the naive difference. */
typedef struct mr_confounder {
    const char *name;
    double before, after; /* standardised mean difference, unweighted and weighted (NaN without weights) */
    double treatment_p;   /* Welch's t: does the column differ between the groups? */
    double outcome_p;     /* t of its coefficient beside the treatment and the other columns */
    double coefficient,
        bias;        /* bias: coefficient x difference of means, its part in naive - adjusted difference */
    bool confounder; /* both p-values under alpha / columns (Bonferroni) */
} mr_confounder;

/* One regression of y on the design and the treatment; the biases add up to the naive difference minus
 * *effect, its coefficient of the treatment, exactly. *out: p - 1 entries, for columns 1 to p - 1 of the
 * design. `propensity` may be NULL. Errors: E_MEMORY, what `tick` says. */
mr_status mr_confounders_judge(const mr_design *d, const char *const *names, const uint8_t *treated,
                               const double *y, const double *propensity, double alpha, mr_arena *arena,
                               const mr_ticker *tick, mr_confounder **out, double *effect,
                               mr_error *err) MR_MUST_CHECK;

enum { MR_REFUTE_CAUSES = 5 };
typedef struct mr_refutation {
    size_t runs; /* placebo runs that gave an effect; 0: nothing was refuted */
    double mean, sd,
        p; /* of the placebo effects; p = (as large as the effect + 1)/(runs + 1), by permutation */
    double cause_change; /* the largest change of the effect beside one of MR_REFUTE_CAUSES random columns */
} mr_refutation;

/* The doubly robust `effect` against `runs` permuted treatments and random normal columns. Memory: about 40
 * bytes a row and 8 p. Errors: as above, and those of mr_effects_estimate. */
mr_status mr_refute(const mr_design *d, const uint8_t *treated, const double *y, double effect, size_t runs,
                    mr_arena *arena, mr_rng *rng, const mr_ticker *tick, mr_refutation *out,
                    mr_error *err) MR_MUST_CHECK;

#endif
