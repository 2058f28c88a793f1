/* embedding_quality.h: does a layout keep the neighbours? Trustworthiness and continuity by ranks (Venna and Kaski 2001,
 * "Neighborhood preservation in nonlinear projection methods"):
 *     T = 1 - 2 / (n k (2n - 3k - 1)) sum over i, over j among the k nearest of i in the layout but not in the original
 *         space, of (rank of j by distance from i in the original space - k);
 * continuity is the same with the spaces swapped. Euclidean; of equal distances the lower row ranks first. */
#ifndef MR_KIT_EMBEDDING_QUALITY_H
#define MR_KIT_EMBEDDING_QUALITY_H

#include "worker/kit/neighbours.h"

typedef struct mr_embedding_quality {
    double trustworthiness, continuity; /* 0 to 1; NaN when n <= 2k */
    size_t centres;                     /* rows i that the sums run over; ranks are always among all n rows */
} mr_embedding_quality;

/* k >= 1. `centres`: at most so many rows are asked, drawn evenly by the seed; 0: all. O(centres n (widths + k)).
 * Errors: E_MEMORY, what `tick` says. */
mr_status mr_embedding_quality_of(const mr_points *original, const mr_points *layout, size_t k, size_t centres,
                                  uint64_t seed, mr_arena *arena, const mr_ticker *tick, mr_embedding_quality *out,
                                  mr_error *err) MR_MUST_CHECK;

#endif
