/* causalresult.h: the effect that a result of causal_inference_analyzer tells, cited by another component. */
#ifndef MR_KIT_CAUSALRESULT_H
#define MR_KIT_CAUSALRESULT_H

#include "worker/component.h"

/* Writes the fields `causal_from` and `causal`, and a finding, when the call was given such a result; it is not estimated
 * again. Of the methods that gave a number it takes the last, which is the doubly robust one where that could be had.
 * E_INVALID when what was given is no such result. */
mr_status mr_causal_effect_cite(mr_ctx *ctx, mr_out *out, mr_error *err) MR_MUST_CHECK;

#endif
