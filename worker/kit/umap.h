/* umap.h: uniform manifold approximation and projection (McInnes, Healy and Melville 2018): a layout in few dimensions that
 * keeps neighbours together. One thread, the same bits for the same rows, options and seed. */
#ifndef MR_KIT_UMAP_H
#define MR_KIT_UMAP_H

#include "worker/kit/umap_layout.h"

typedef struct mr_umap_options {
    size_t neighbours; /* the point itself counts as the first; 3 or more, at most n */
    size_t dimensions; /* 1 to MR_UMAP_DIMENSIONS_MAX, below n - 1 */
    size_t epochs;     /* 0: 500 up to 10,000 points, else 200 */
    double min_dist, spread;
    uint64_t seed;
} mr_umap_options;

typedef enum mr_umap_start {
    MR_UMAP_SPECTRAL,  /* eigenvectors of the graph's Laplacian */
    MR_UMAP_PRINCIPAL, /* principal components, because the graph falls into parts that nothing joins */
} mr_umap_start;

typedef struct mr_umap {
    size_t n, dimensions, neighbours;
    double a, b;
    uint64_t seed;
    double *layout; /* n x dimensions */
    /* of a fit only */
    mr_umap_start start;
    size_t parts;           /* connected parts of the graph */
    bool exact_neighbours;
    double usual_distance;  /* mean distance of a point to its nearest `neighbours` - 1 others */
} mr_umap;

/* Starts from the spectral layout, its largest coordinate brought to 10 and blurred by 1e-4. The points must outlive nothing:
 * only `layout` is kept, in the arena. Errors: E_INVALID when there are too few points, E_MEMORY, what `tick` says. */
mr_status mr_umap_fit(const mr_points *p, const mr_umap_options *o, mr_arena *arena, const mr_ticker *tick, mr_umap *out,
                      mr_error *err) MR_MUST_CHECK;

/* Puts new rows among the fitted ones, which stay where they are: at the mean of their neighbours' places, weighted by
 * membership, then settled by the same forces (100 rounds up to 10,000 points, else 30). A row that equals a fitted one gets
 * that one's place. Depends on the row's values alone, not on what else is placed. */
typedef struct mr_umap_placer mr_umap_placer;
/* `u` and `p` (the fitted points) are borrowed. NULL when there is no memory. */
mr_umap_placer *mr_umap_placer_new(const mr_umap *u, const mr_points *p, mr_arena *arena);
/* `out`: dimensions values. Returns the mean distance to the neighbours that it was placed by. */
double mr_umap_place(mr_umap_placer *placer, const double *row, double *out);

#endif
