/* risk.h: the probability that a row fails, from two things that are easy to explain: the share of failures
 * among its nearest labelled rows, and its isolation-forest score. A logistic regression weighs the two, so
 * that the outcome is a probability; it is fitted on rows that are not among their own neighbours. */
#ifndef MR_KIT_RISK_H
#define MR_KIT_RISK_H

#include "worker/kit/forest.h"
#include "worker/kit/neighbours.h"

enum { MR_RISK_WEIGHTS = 3 };

typedef struct mr_risk {
    const mr_points *points; /* labelled rows, standardised; borrowed */
    const uint8_t *failed;   /* for each of them 1 or 0; borrowed */
    const mr_forest *forest; /* borrowed */
    size_t neighbours;
    double weight[MR_RISK_WEIGHTS]; /* of 1, the log odds of failure among the neighbours, and the score */
} mr_risk;

/* Sets the weights by Newton's method, penalty 0.01 |weight|^2 / 2 on all but the first. Needs both failures
 * and successes and neighbours < points. Errors: E_MEMORY, what `tick` says. */
mr_status mr_risk_fit(mr_risk *r, mr_arena *arena, const mr_ticker *tick, mr_error *err) MR_MUST_CHECK;

/* 0 to 1. `except` is a point not to look at (MR_NOBODY: none); `near` has room for `neighbours`. */
double mr_risk_of(const mr_risk *r, const double *row, size_t except, mr_neighbour *near);

/* How well it does on rows that it was not fitted on: a quarter of the rows, drawn by hash of (seed, number).
 */
typedef struct mr_risk_measure {
    size_t rows, failures;
    double accuracy;            /* share that is on the right side of 0.5 */
    double false_positive_rate; /* share of the successes that are called failures */
    double recall;              /* share of the failures that are called failures */
    double auc;
    double brier; /* mean squared difference of probability and outcome */
} mr_risk_measure;

/* x is n x width, standardised. rows == 0 in the outcome when the split leaves either side without failures
 * or successes, or too few rows. Errors: E_MEMORY, what `tick` says. */
mr_status mr_risk_hold_out(const double *x, const uint8_t *failed, size_t n, size_t width, size_t neighbours,
                           size_t trees, size_t subsample, uint64_t seed, mr_arena *arena,
                           const mr_ticker *tick, mr_risk_measure *out, mr_error *err) MR_MUST_CHECK;

/* The probability that a positive row scores higher than a negative one, ties counting half (the area under
 * the ROC curve, by ranks: Mann and Whitney 1947). NaN when either is missing or there is no memory. */
double mr_auc(const double *score, const uint8_t *positive, size_t n, mr_arena *arena);

#endif
