/* glm.h: least squares and logistic regression without penalty, for a few dozen columns. Plain loops in a
 * fixed order, so the same bits everywhere. */
#ifndef MR_KIT_GLM_H
#define MR_KIT_GLM_H

#include "common/mem.h"
#include "worker/kit/tick.h"

/* n x p, row-major. An intercept is a column of ones that the caller puts in; columns of one scale (z-scores)
 * keep the normal equations accurate. */
typedef struct mr_design {
    const double *x;
    size_t n, p;
} mr_design;

typedef struct mr_fit {
    double *beta;     /* p; 0 for a dropped column */
    double *inverse;  /* p x p: of X'WX over the kept columns, 0 elsewhere */
    uint8_t *dropped; /* p: 1 when the column is a linear combination of those before it (1 - R^2 < 1e-11) */
    size_t rank;
    double weight;  /* sum of the weights */
    double rss;     /* least squares: weighted sum of squared residuals */
    bool separated; /* logistic: no finite maximum: some fitted odds are beyond e^25, or no convergence */
} mr_fit;

/* Minimises sum of weight (y - x'beta)^2; `weight` NULL: all 1; rows with weight 0 do not count. Normal
 * equations with Cholesky and one step of iterative refinement. Errors: E_MEMORY, what `tick` says. */
mr_status mr_least_squares(const mr_design *d, const double *y, const double *weight, mr_arena *arena,
                           const mr_ticker *tick, mr_fit *out, mr_error *err) MR_MUST_CHECK;

/* Maximises the likelihood of hit[i] in {0, 1} with log odds x'beta by Newton's method with halved steps
 * (McCullagh and Nelder 1989, section 4.4). `inverse` is then the inverse of the information. Errors as
 * above. */
mr_status mr_logistic(const mr_design *d, const uint8_t *hit, mr_arena *arena, const mr_ticker *tick,
                      mr_fit *out, mr_error *err) MR_MUST_CHECK;

/* x'beta of one row. */
double mr_design_dot(const mr_design *d, size_t row, const double *beta);

/* The inverse of a symmetric positive semidefinite p x p matrix over its independent columns, as in mr_fit.
 * `a` is destroyed. Returns the rank. */
size_t mr_spd_inverse(double *a, size_t p, double *inverse, uint8_t *dropped);

#endif
