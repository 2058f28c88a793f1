/* umap_graph.h: the weighted neighbour graph of UMAP (McInnes, Healy and Melville 2018, section 3): each point's distances
 * become memberships on a scale of its own, and the memberships of both directions are joined as a + b - a b. */
#ifndef MR_KIT_UMAP_GRAPH_H
#define MR_KIT_UMAP_GRAPH_H

#include "worker/kit/knn.h"

/* Symmetric, a list of neighbours a row, rising; no point is its own neighbour. */
typedef struct mr_graph {
    size_t n, edges; /* edges: both directions counted */
    uint32_t *start; /* n + 1 */
    uint32_t *to;
    double *weight; /* in (0, 1] */
} mr_graph;

/* Memberships exp(-(d - nearest) / scale), at most 1, of `count` neighbours at rising distances, the scale such that they add
 * up to `target` (64 bisections, to 1e-5), but at least `least_scale`. `nearest`: what is taken off every distance. */
void mr_memberships(const double *distance, size_t count, double nearest, double target, double least_scale, double *out);

/* The graph of neighbours; a point itself counts as the first of k + 1 when the scale is sought, as in the reference
 * implementation. Errors: E_MEMORY. */
mr_status mr_umap_graph(const mr_knn *knn, mr_arena *arena, mr_graph *out, mr_error *err) MR_MUST_CHECK;

/* Leaves out what is lighter than `least`. */
void mr_graph_prune(mr_graph *g, double least);
/* The number of connected parts. Errors: E_MEMORY. */
mr_status mr_graph_parts(const mr_graph *g, mr_arena *arena, size_t *parts, mr_error *err) MR_MUST_CHECK;

#endif
