/* mixture.h: mixtures of Gaussians by expectation and maximisation (Dempster, Laird and Rubin 1977), from a
 * first partition of the rows, with full or diagonal covariances; 1e-6 is added to every variance, so that a
 * component on few rows keeps a finite density. */
#ifndef MR_KIT_MIXTURE_H
#define MR_KIT_MIXTURE_H

#include "common/mem.h"
#include "common/status.h"
#include "worker/kit/tick.h"

/* Everything lives in the arena. */
typedef struct mr_mixture {
    size_t k, width;
    bool full;
    double *weight; /* k */
    double *mean;   /* k x width */
    double *factor; /* k x width x width lower triangles L with L L' = covariance, or k x width deviations */
    double *log_scale;     /* k: log weight - log sqrt(determinant) - width log sqrt(2 pi) */
    double log_likelihood; /* mean over the rows */
    double bic;            /* smaller is better */
    unsigned rounds;
    bool converged;
} mr_mixture;

enum { MR_MIXTURE_ROUNDS = 200 };

/* `rows` is n x width; `label` puts every row into one of k non-empty classes, the first guess. Stops when
 * the mean log-likelihood gains less than `gain`. O(n k width^2) a round with full covariances, O(n k width)
 * without. Errors: E_INVALID when a covariance is not positive definite (values of very different size);
 * E_MEMORY; what `tick` says. */
mr_status mr_mixture_fit(const double *rows, size_t n, size_t width, const int32_t *label, size_t k,
                         bool full, double gain, mr_arena *arena, const mr_ticker *tick, mr_mixture *out,
                         mr_error *err) MR_MUST_CHECK;

/* The component that most probably made the row, ties to the lower. `scratch` has room for k + width numbers.
 */
int32_t mr_mixture_assign(const mr_mixture *m, const double *row, double *scratch);

#endif
