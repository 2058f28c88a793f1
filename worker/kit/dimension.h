/* dimension.h: how many dimensions rows really fill, whatever the number of their columns, from the distances
 * to their nearest neighbours. */
#ifndef MR_KIT_DIMENSION_H
#define MR_KIT_DIMENSION_H

#include "worker/kit/neighbours.h"

typedef struct mr_dimension {
    size_t rows;   /* that two_nn is computed from: those with a neighbour at a distance above 0 */
    double two_nn; /* Facco et al. 2017: (rows - 1) / sum of ln(r2 / r1) */
    double two_nn_low, two_nn_high; /* 95 %: ln(r2 / r1) is exponential, so the sum is gamma distributed */
    double levina_bickel; /* Levina and Bickel 2004 with `k` neighbours, inverses averaged as MacKay and
                           * Ghahramani 2005 */
} mr_dimension;

/* Duplicates (distance 0) are passed over. NaN where there are too few rows. O(n^2 width). Errors: E_MEMORY,
 * what `tick` says. */
mr_status mr_intrinsic_dimension(const mr_points *p, size_t k, mr_arena *arena, const mr_ticker *tick,
                                 mr_dimension *out, mr_error *err) MR_MUST_CHECK;

#endif
