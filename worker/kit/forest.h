/* forest.h: isolation forest (Liu, Ting and Zhou 2008, "Isolation Forest"): rows that random cuts part from
 * the rest after few cuts are anomalous. Each tree is grown on a subsample without replacement up to height
 * ceil(log2(subsample)); a cut takes a feature at random among those that vary in the node, at a point
 * uniform between its least and largest value. */
#ifndef MR_KIT_FOREST_H
#define MR_KIT_FOREST_H

#include "common/pack.h"
#include "worker/kit/tick.h"

/* Trees in flat arrays: the trees' nodes one after the other, the two children of a node side by side. */
typedef struct mr_forest_node {
    double cut; /* rows with value <= cut go to `child`, others to child + 1; in a leaf: its path length */
    int32_t feature; /* -1 in a leaf */
    uint32_t child;
} mr_forest_node;

typedef struct mr_forest {
    size_t trees, subsample, width, nodes;
    uint32_t *root; /* per tree */
    mr_forest_node *node;
} mr_forest;

/* The mean path length of an unsuccessful search in a binary search tree of n rows:
 * 2 (ln(n - 1) + 0.5772156649) - 2 (n - 1) / n; c(2) = 1, c(1) = c(0) = 0. */
double mr_forest_c(size_t n);

/* `rows` is n x width, n >= 2. A subsample larger than n is n. The same rows in the same order and the same
 * seed give the same forest. Errors: E_MEMORY, what `tick` says. */
mr_status mr_forest_fit(mr_forest *f, mr_arena *arena, const double *rows, size_t n, size_t width,
                        size_t trees, size_t subsample, uint64_t seed, const mr_ticker *tick,
                        mr_error *err) MR_MUST_CHECK;

/* The path length of a row in one tree: cuts on the way, and c(rows in the leaf). */
double mr_forest_path(const mr_forest *f, size_t tree, const double *row);

/* 2^(-mean path length / c(subsample)): near 1 anomalous, well below 0.5 ordinary. */
double mr_forest_score(const mr_forest *f, const double *row);

void mr_forest_pack(const mr_forest *f, mr_buf *out);
/* Checks that every child and feature lies inside. Errors: E_CORRUPT, E_MEMORY. */
mr_status mr_forest_unpack(mr_forest *f, mr_arena *arena, size_t width, mr_unpack *in,
                           mr_error *err) MR_MUST_CHECK;

#endif
