/* policy_put.h: values of policies with their intervals, as fields of a result. */
#ifndef MR_KIT_POLICY_PUT_H
#define MR_KIT_POLICY_PUT_H

#include "worker/component.h"
#include "worker/kit/off_policy.h"

/* The list [low, high]. */
void mr_put_ends(mr_out *out, const char *field, mr_value v);
/* ips, snips and dr, each with its interval, largest_weight and effective_rows, into the map that is open. */
void mr_put_off_policy(mr_out *out, const mr_off_policy *v);
/* A map of `policy` and the above, into the list that is open. */
void mr_put_policy(mr_out *out, const char *name, const mr_off_policy *v);

#endif
