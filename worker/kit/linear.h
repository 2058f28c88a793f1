/* linear.h: linear models with a quadratic penalty: ridge regression from moments, and logistic regression by
 * Newton's method. Only +, -, *, /, sqrt and worker/kit/fixmath.h in a fixed order, so the same input gives the same
 * bytes. Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, sections 3.4 and 4.4. */
#ifndef MR_KIT_LINEAR_H
#define MR_KIT_LINEAR_H

#include "common/mem.h"
#include "worker/kit/scratch.h"
#include "worker/kit/tick.h"

/* a = L L' for a symmetric positive definite a, n x n, row-major, of which the lower triangle is read and
 * overwritten with L. False when a pivot is at most 1e-12 of its diagonal entry: a is singular to rounding.
 */
bool mr_cholesky(double *a, size_t n);
/* b becomes the solution of L L' x = b. */
void mr_cholesky_solve(const double *l, size_t n, double *b);

/* Of width columns and, last, the target: means and population covariances, (width + 1)^2. */
typedef struct mr_moments {
    size_t width;
    double rows;
    double *mean, *covariance;
} mr_moments;
mr_status mr_moments_of(const double *x, const double *y, size_t n, size_t width, mr_arena *arena,
                        mr_moments *out, mr_error *err) MR_MUST_CHECK;
/* Those of the rows of both (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance"). */
void mr_moments_join(mr_moments *m, const mr_moments *more);

/* Least squares with the penalty lambda |b|^2 on z-scored columns (population sd), the intercept free: the
 * least of RSS + lambda |b|^2. A column that does not vary has b = 0. */
typedef struct mr_ridge {
    double *beta;  /* width: on the z-scores */
    double *error; /* width: standard error, from sigma^2 A^-1 X'X A^-1 with A = X'X + lambda I; the penalty's
                      bias is not in it */
    double intercept;   /* the target's mean */
    double df, rss, r2; /* effective degrees of freedom trace(X A^-1 X'), without the intercept */
} mr_ridge;
/* Errors: E_INVALID when lambda = 0 and the columns are collinear; E_MEMORY; what `tick` says. */
mr_status mr_ridge_fit(const mr_moments *m, double lambda, mr_arena *arena, const mr_ticker *tick,
                       mr_ridge *out, mr_error *err) MR_MUST_CHECK;

/* The least of 0.5 |b|^2 + c sum of log losses, the intercept free; y in [0, 1], a value between counts as a
 * share of both outcomes. When all y are equal, b = 0 and the intercept is the log odds with half a row added
 * to each side. weight: width slopes, then the intercept. Errors: E_MEMORY, what `tick` says; E_INTERNAL when
 * 200 Newton steps do not reach a gradient of 1e-8 (relative to c n). */
mr_status mr_logit_fit(const double *x, const double *y, size_t n, size_t width, double c,
                       mr_scratch *scratch, const mr_ticker *tick, double *weight,
                       mr_error *err) MR_MUST_CHECK;

/* weight . (row, 1) */
double mr_linear_at(const double *weight, const double *row, size_t width);
/* 1 / (1 + exp(-x)), and log(1 + exp(x)), both without overflow. */
double mr_sigmoid(double x);
double mr_softplus(double x);

#endif
