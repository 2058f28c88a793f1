/* umap_layout.h: the descent of UMAP (McInnes, Healy and Melville 2018, section 3.2 and appendix C): edges pull their ends
 * together as often as they are heavy, and random points push away. */
#ifndef MR_KIT_UMAP_LAYOUT_H
#define MR_KIT_UMAP_LAYOUT_H

#include "worker/kit/umap_graph.h"
#include "common/rng.h"

enum { MR_UMAP_DIMENSIONS_MAX = 64 };

/* Similarity in the layout: 1 / (1 + a d^(2b)), fitted by least squares to 1 up to min_dist and exp(-(d - min_dist) / spread)
 * from there, at 300 points on [0, 3 spread] (Levenberg and Marquardt). */
void mr_umap_curve(double min_dist, double spread, double *a, double *b);

/* Force over distance as a function of the squared distance: pull (of an edge) and push (of a random point), from tables
 * of straight pieces, 64 to a doubling, within 2e-4 of the formulas. */
typedef struct mr_umap_forces mr_umap_forces;
/* Errors: NULL, no memory. */
mr_umap_forces *mr_umap_forces_new(double a, double b, mr_arena *arena);
double mr_umap_pull(const mr_umap_forces *f, double squared);
double mr_umap_push(const mr_umap_forces *f, double squared);

enum { MR_UMAP_PUSHES = 5 }; /* random points for each pull */

/* Moves n points (layout: n x dims) for `epochs` rounds with a step that falls from 1 to 0.
 * Errors: E_MEMORY, what `tick` says. */
mr_status mr_umap_descend(const mr_graph *g, const mr_umap_forces *f, size_t dims, size_t epochs, mr_rng *rng,
                          mr_arena *arena, const mr_ticker *tick, double *layout, mr_error *err) MR_MUST_CHECK;

/* Moves one new point (at: dims) among n that stay; its neighbours are rows near[] with weights in (0, 1]. `due` is scratch
 * for `count` numbers. */
void mr_umap_settle(const mr_umap_forces *f, const double *layout, size_t n, size_t dims, const uint32_t *near,
                    const double *weight, size_t count, size_t epochs, mr_rng *rng, double *due, double *at);

#endif
