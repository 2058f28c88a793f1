/* causalresult.h: the effect that a result of causal_inference_analyzer tells, for another component to cite and to act on. It
 * is not estimated again. */
#ifndef MR_KIT_CAUSALRESULT_H
#define MR_KIT_CAUSALRESULT_H

#include "worker/component.h"

enum { MR_CAUSAL_NAMED = 3 };

typedef struct mr_causal_effect {
    const mr_given *from; /* NULL: no such result was given */
    bool known;           /* false: that result estimated no effect, and what follows is empty */
    mr_span comparison, method; /* borrowed from the result; so are the names */
    double effect, low, high;   /* of the last method that gave a number: doubly robust where that could be had */
    double naive, naive_low, naive_high; /* the difference of means, NaN when it gave none */
    uint64_t rows;     /* treated and untreated */
    uint32_t adjusted; /* columns that were adjusted for */
    mr_span confounder[MR_CAUSAL_NAMED]; /* those called confounders, largest bias first */
    uint32_t confounders;                /* of them, named here */
    char where[48];                      /* "run 7" or "this run" */
} mr_causal_effect;

/* E_INVALID when what was given is no such result. */
mr_status mr_causal_effect_read(mr_ctx *ctx, mr_causal_effect *out, mr_error *err) MR_MUST_CHECK;

/* Does the interval leave out 0? */
bool mr_causal_effect_is_clear(const mr_causal_effect *e);
/* Does the naive difference leave out 0 and the adjusted effect not? */
bool mr_causal_effect_vanished(const mr_causal_effect *e);

/* Writes "a and b (and 3 columns more)" into `out`: what was adjusted for, confounders first. */
void mr_causal_effect_adjusters(const mr_causal_effect *e, char *out, size_t size);

/* The fields `causal_from` and `causal`, and a finding; nothing when nothing was given. `ranked`: the effect stands among the
 * recommendations or is said to have vanished, so the finding is left out. */
void mr_causal_effect_put(mr_out *out, const mr_causal_effect *e, bool ranked);

#endif
