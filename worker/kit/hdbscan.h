/* hdbscan.h: HDBSCAN: Campello, Moulavi and Sander 2013 ("Density-based clustering based on hierarchical
 * density estimates"), with the condensed tree and lambda = 1/distance of McInnes and Healy 2017
 * ("Accelerated hierarchical density based clustering").
 *
 * Choices that implementations make differently: core distance = distance to the min_samples-th neighbour,
 * the point itself not counted; edges of equal weight are joined one after the other in the order in which
 * Prim's algorithm from row 0 found them, which gives the labels of R's dbscan (the paper would remove them
 * together, which gives other clusters where ties meet min_cluster_size); excess of mass, a parent is kept
 * when it is as stable as its children together; the root is chosen only when allowed, and then holds every
 * row; a distance of 0 (duplicates) counts as half the smallest other edge of the tree, so that densities
 * stay finite. */
#ifndef MR_KIT_HDBSCAN_H
#define MR_KIT_HDBSCAN_H

#include "worker/kit/mst.h"

enum { MR_NOISE = -1 };

typedef struct mr_hdbscan_options {
    size_t min_cluster_size; /* >= 2 */
    size_t min_samples;      /* 1 .. n - 1 */
    bool allow_single_cluster;
} mr_hdbscan_options;

/* A cluster of the condensed tree; a parent comes before its children. */
typedef struct mr_condensed {
    int32_t parent;   /* -1 for the root, which is number 0 */
    int32_t label;    /* of the cluster that was chosen here; MR_NOISE when this one was not */
    uint32_t size;    /* rows at its birth */
    double birth;     /* density (1/distance) at which it splits off; 0 for the root */
    double death;     /* density at which its last row leaves or it splits */
    double stability; /* sum over its rows of (density at which the row leaves - birth) */
} mr_condensed;

/* Everything lives in the arena. */
typedef struct mr_hdbscan {
    size_t n, clusters, tree_size;
    int32_t *label;   /* n: MR_NOISE or 0 .. clusters - 1, numbered by the lowest row they hold */
    double *strength; /* n: 0 for noise, up to 1 */
    double *core;     /* n: core distances */
    uint32_t *chosen; /* clusters: which node of `tree` each label is */
    mr_condensed *tree;
    double tree_weight; /* of the minimum spanning tree of the mutual-reachability graph */
} mr_hdbscan;

/* Errors: E_INVALID when the options do not fit n, when values are beyond 1e140, or when all rows are equal;
 * E_MEMORY; what `tick` says. O(n^2 width) time, O(n) memory. */
mr_status mr_hdbscan_fit(const mr_points *p, const mr_hdbscan_options *options, mr_arena *arena,
                         const mr_ticker *tick, mr_hdbscan *out, mr_error *err) MR_MUST_CHECK;

static inline size_t mr_hdbscan_room(const mr_points *p) { return 2 * p->blocks * MR_POINT_BLOCK + 1; }
/* The cluster that `query` would join without refitting: that of the row with the smallest
 * mutual-reachability distance (ties: smaller distance, then lower row), if that distance is denser than the
 * cluster's birth, else MR_NOISE. `strength` gets 1/distance over the cluster's death, at most 1. Needs
 * label, core, chosen and tree of `fit`. `room`: mr_hdbscan_room(p) numbers. */
int32_t mr_hdbscan_assign(const mr_hdbscan *fit, const mr_points *p, size_t min_samples, const double *query,
                          double *room, double *strength);

/* Adjusted Rand index of two labellings (Hubert and Arabie 1985); every distinct number is a class, noise
 * too. 1 when both put all rows together, or all apart. NaN when there is no memory. */
double mr_adjusted_rand(const int32_t *a, const int32_t *b, size_t n, mr_arena *arena);

#endif
