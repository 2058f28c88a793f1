/* off_policy.h: what a policy would have earned, from choices that another policy made and logged with their
 * probabilities. */
#ifndef MR_KIT_OFF_POLICY_H
#define MR_KIT_OFF_POLICY_H

#include "worker/kit/bandit.h"

typedef struct mr_value {
    double value, low, high; /* normal interval at 95 % */
} mr_value;

typedef struct mr_off_policy {
    mr_value ips;   /* mean of w r, w = target / propensity (Horvitz and Thompson 1952) */
    mr_value snips; /* sum(w r) / sum(w) (Swaminathan and Joachims 2015), interval by the delta method */
    mr_value dr;    /* mean of model + w (r - fitted) (Dudik, Langford and Li 2011); NaN without a model */
    double largest_weight;
    double effective; /* rows: sum(w)^2 / sum(w^2) (Kish 1965) */
} mr_off_policy;

/* target[i]: the probability that the policy in question would have given to the logged arm of row i.
 * `model`: the expected reward of its choice by a reward model; `fitted`: that model's reward of the logged
 * arm; both NULL: no doubly robust value. Weights above `clip` are cut to it (0: none is). */
mr_off_policy mr_off_policy_value(const mr_choices *log, const double *target, const double *model,
                                  const double *fitted, double clip);

/* For each arm the probability that its mean is the largest: Beta(1 + sum, 1 + n - sum) each when `unit`,
 * else normal with `mean` and `se`. By quadrature on a grid of 512 points; they add up to 1. Errors:
 * E_MEMORY, what `tick` says. */
typedef struct mr_arm_belief {
    double a, b; /* of the Beta distribution, or mean and standard error of the normal */
} mr_arm_belief;
mr_status mr_probability_best(const mr_arm_belief *belief, size_t arms, bool beta, double *out,
                              mr_arena *arena, const mr_ticker *tick, mr_error *err) MR_MUST_CHECK;

#endif
