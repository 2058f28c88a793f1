/* rsvd.h: the leading singular values and right singular vectors of a wide matrix by random projection (Halko, Martinsson and
 * Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1): the range of A is sampled by rank + oversample
 * random directions, sharpened by power iterations with an orthonormalisation after every product, and A is decomposed
 * within that range by one-sided Jacobi rotations (Hestenes 1958). Only +, -, *, / and the square root in a fixed order:
 * the same bits on every machine. */
#ifndef MR_KIT_RSVD_H
#define MR_KIT_RSVD_H

#include "common/mem.h"
#include "common/rng.h"
#include "common/status.h"
#include "worker/kit/tick.h"

typedef struct mr_rsvd_options {
    size_t rank, oversample, power; /* rank >= 1; oversample 10 and power 4 are usual */
    uint64_t seed;
} mr_rsvd_options;

typedef struct mr_rsvd {
    size_t rank;     /* as asked for, or min(rows, columns) where that is less */
    double *values;  /* rank singular values, largest first; each at most that of A, up to rounding */
    double *vectors; /* rank x columns: orthonormal rows; those of zero values are zero */
    double total;    /* squared Frobenius norm of A */
    double captured; /* sum of the squared values: what A loses by projection on the vectors is at most total - captured */
} mr_rsvd;

/* a: rows x columns, row-major, finite. O(rows columns (rank + oversample) (2 power + 2)) time and
 * (rank + oversample) (rows + columns) memory from the arena. Errors: E_MEMORY, what `tick` says, E_INTERNAL when the
 * rotations do not converge. */
mr_status mr_rsvd_fit(const double *a, size_t rows, size_t columns, const mr_rsvd_options *o, mr_arena *arena,
                      const mr_ticker *tick, mr_rsvd *out, mr_error *err) MR_MUST_CHECK;

#endif
