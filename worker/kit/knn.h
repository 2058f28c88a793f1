/* knn.h: the k nearest other points of every point, Euclidean. Few points are compared all with all, exactly. For many, a
 * forest of random projection trees (Dasgupta and Freund 2008) gives first neighbours, and neighbours of neighbours are
 * tried until hardly any is nearer (NN-descent: Dong, Moses and Li 2011); that misses a few in a hundred. The same seed
 * gives the same answer. */
#ifndef MR_KIT_KNN_H
#define MR_KIT_KNN_H

#include "worker/kit/neighbours.h"

typedef struct mr_knn {
    size_t n, k;
    uint32_t *row;    /* n x k, nearest first, ties to the lower row; the point itself is not among them */
    double *distance; /* n x k */
    bool exact;
} mr_knn;

/* All with all: O(n^2 width). 1 <= k < n. Errors of these: E_MEMORY, what `tick` says. */
mr_status mr_knn_exact(const mr_points *p, size_t k, mr_arena *arena, const mr_ticker *tick, mr_knn *out,
                       mr_error *err) MR_MUST_CHECK;
/* About O(n^1.14 k^2 width), as measured in its paper. k < n. */
mr_status mr_knn_descent(const mr_points *p, size_t k, uint64_t seed, mr_arena *arena, const mr_ticker *tick,
                         mr_knn *out, mr_error *err) MR_MUST_CHECK;
/* Exact while n^2 (width + 10) is at most 6e9 (a second or two), else by descent. */
mr_status mr_knn_fit(const mr_points *p, size_t k, uint64_t seed, mr_arena *arena, const mr_ticker *tick, mr_knn *out,
                     mr_error *err) MR_MUST_CHECK;

#endif
