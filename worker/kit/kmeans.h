/* kmeans.h: k-means by Lloyd's rounds from k-means++ starts (Arthur and Vassilvitskii 2007, the greedy form
 * of their section 5: the best of 2 + floor(ln k) draws becomes the next centre), the start with the least
 * inertia kept. */
#ifndef MR_KIT_KMEANS_H
#define MR_KIT_KMEANS_H

#include "common/rng.h"
#include "worker/kit/neighbours.h"

enum { MR_KMEANS_ROUNDS = 300 };

/* Everything lives in the arena. */
typedef struct mr_kmeans {
    size_t k;        /* fewer than asked for when the rows have fewer distinct places */
    double *centre;  /* k x width */
    int32_t *label;  /* n, numbered by the lowest row they hold */
    double inertia;  /* sum of squared distances to the nearest centre */
    unsigned rounds; /* of the start that was kept */
} mr_kmeans;

/* 1 <= k <= n, starts >= 1. The same rows in the same order and the same seed give the same bytes. O(n k
 * width) a round. Errors: E_MEMORY, what `tick` says. */
mr_status mr_kmeans_fit(const mr_points *p, size_t k, unsigned starts, uint64_t seed, mr_arena *arena,
                        const mr_ticker *tick, mr_kmeans *out, mr_error *err) MR_MUST_CHECK;

/* The nearest centre, ties to the lower. */
int32_t mr_kmeans_assign(const mr_kmeans *fit, size_t width, const double *row);

#endif
