/* causalresult.h: the effect that a result of causal_inference_analyzer tells, read back to be cited. */
#ifndef MR_KIT_CAUSALRESULT_H
#define MR_KIT_CAUSALRESULT_H

#include "worker/component.h"

typedef struct mr_causal_effect {
    bool known; /* false: that result estimated none, and the rest is empty */
    mr_span comparison, method; /* borrowed from the result */
    double effect, low, high;
    uint64_t rows;     /* treated and untreated */
    uint32_t adjusted; /* columns that were adjusted for */
} mr_causal_effect;

/* Of the methods that gave a number it takes the last, which is the doubly robust one where that could be had. E_INVALID when the bytes are no such
 * result. */
mr_status mr_causal_effect_read(mr_span result, mr_causal_effect *out, mr_error *err) MR_MUST_CHECK;
/* A map of what is known; nil when nothing is. */
void mr_causal_effect_put(mr_out *out, const char *field, const mr_causal_effect *e);

#endif
