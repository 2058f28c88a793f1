/* spectral.h: the smoothest ways to lay a connected graph out: the eigenvectors of its normalised Laplacian with the least
 * eigenvalues above 0 (Belkin and Niyogi 2003), by Lanczos iteration with full reorthogonalisation, started again from the
 * vectors found until they are good (Golub and Van Loan, Matrix Computations, 4th ed., sections 10.1 and 10.3). */
#ifndef MR_KIT_SPECTRAL_H
#define MR_KIT_SPECTRAL_H

#include "worker/kit/umap_graph.h"

typedef struct mr_spectral {
    double *vectors;  /* count x n: unit rows; the least eigenvalue first */
    double *values;   /* of the Laplacian, in [0, 2] */
    double residual;  /* largest |L v - value v| */
} mr_spectral;

/* g: connected, count < n. Ends when the residual is below `enough` or after ten starts. O(n) memory times 40 + 4 count.
 * Errors: E_MEMORY, what `tick` says, E_INTERNAL. */
mr_status mr_spectral_fit(const mr_graph *g, size_t count, double enough, uint64_t seed, mr_arena *arena,
                          const mr_ticker *tick, mr_spectral *out, mr_error *err) MR_MUST_CHECK;

#endif
