/* advice.h: what to change first. Columns are ranked by what a change of them goes with, adjusted for the other columns, times
 * the share of rows that could still change; where a causal result tells the treatment's effect, that takes the place of the
 * regression's. A column whose difference shows only as long as the others are not held is told apart, not advised. */
#ifndef MR_KIT_ADVICE_H
#define MR_KIT_ADVICE_H

#include "worker/kit/association.h"
#include "worker/kit/causalresult.h"

typedef struct mr_lead {
    mr_association held;  /* with the other columns held */
    mr_association alone; /* the column by itself; p after Holm's correction over all columns */
    bool causal;          /* the treatment, of which a causal result tells the effect */
    bool vanished;        /* a clear difference by itself, none with the others held */
    double effect, low, high; /* what is advised by: of the causal result, else of `held`; in the target's unit */
    double support, priority; /* |effect| in sd of the target times support; 0 when vanished */
} mr_lead;

typedef struct mr_advice {
    mr_lead *leads; /* largest priority first */
    size_t count;
    double sd;       /* of the target */
    bool two_valued; /* the target is 0 or 1 */
    size_t used;     /* rows with a target, treatment and features */
    const char *target;
    double alpha, level;
    const mr_causal_effect *causal;
} mr_advice;

/* x is n x width, row-major; y the target; names[width - 1] is the treatment when `treated`. `share`: of all rows, n are this
 * part. Fills leads, count, sd and two_valued; the caller sets the rest before. Errors: E_MEMORY, what `tick` says. */
mr_status mr_advise(const double *x, const char *const *names, const double *y, size_t n, size_t width, bool treated,
                    double share, mr_arena *arena, const mr_ticker *tick, mr_advice *a, mr_error *err) MR_MUST_CHECK;

/* Is it an effect that can be acted on? */
bool mr_lead_is_clear(const mr_advice *a, const mr_lead *l);

/* Is the causal effect among the leads, advised or told to have vanished? */
bool mr_advice_tells_causal(const mr_advice *a);

/* The fields `effects` and `recommendations`. */
void mr_advice_put(mr_out *out, const mr_advice *a);
/* Returns how many there were. */
size_t mr_advice_findings(mr_out *out, const mr_advice *a);

#endif
