/* projection.h: rows in fewer dimensions by a stored model: principal components, an autoencoder or UMAP, behind one door.
 * The bytes of each kind are msgpack arrays: ["pca-1", names, means, scales, dimensions, loadings],
 * ["autoencoder-1", names, means, scales, hidden, dimensions, low, range, weights] and
 * ["umap-1", names, means, scales, rows, dimensions, neighbours, a, b, seed, fitted rows (scaled), their places];
 * lists of numbers are binary blocks of little-endian float64, matrices row-major (loadings: dimensions x columns). */
#ifndef MR_KIT_PROJECTION_H
#define MR_KIT_PROJECTION_H

#include "worker/kit/autoencoder.h"
#include "worker/kit/columns.h"
#include "worker/kit/umap.h"

typedef enum mr_projection_kind { MR_PROJECT_PCA, MR_PROJECT_AUTOENCODER, MR_PROJECT_UMAP, MR_PROJECTIONS } mr_projection_kind;
extern const char *const mr_projection_words[]; /* by kind, NULL-terminated */

typedef struct mr_projection {
    mr_projection_kind kind;
    size_t dimensions;
    mr_names names;
    double *mean, *scale;       /* of each column: what is subtracted, and then divided by */
    double *loadings;           /* pca: dimensions x columns */
    mr_autoencoder autoencoder; /* of scaled rows */
    mr_umap umap;
    mr_points points; /* umap: the fitted rows, scaled */
} mr_projection;

void mr_projection_pack(const mr_projection *p, mr_buf *out);
/* Errors: E_CORRUPT, E_MEMORY. */
mr_status mr_projection_read(mr_projection *p, mr_span bytes, mr_arena *arena, mr_error *err) MR_MUST_CHECK;

/* x: n rows as they came; scores: n x dimensions. errors: n: pca and autoencoder: mean squared difference between a scaled
 * value and the one given back; umap: mean distance to the fitted neighbours. A row's numbers do not depend on the others.
 * Errors: E_MEMORY, what `tick` says. */
mr_status mr_projection_run(const mr_projection *p, const double *x, size_t n, mr_arena *arena, const mr_ticker *tick,
                            double *scores, double *errors, mr_error *err) MR_MUST_CHECK;

#endif
