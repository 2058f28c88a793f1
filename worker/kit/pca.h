/* pca.h: principal components (Jolliffe 2002, Principal Component Analysis, chapters 1 to 3) from moments. Narrow tables: the
 * eigenvectors of the exact covariance (mr_eigen_covariance). Wide ones (more than MR_MOMENTS_NARROW columns): randomised
 * singular value decomposition (worker/kit/rsvd.h) of the sampled rows, less the exact means of all. */
#ifndef MR_KIT_PCA_H
#define MR_KIT_PCA_H

#include "worker/kit/moments.h"

enum { MR_PCA_WIDE_MAX = 256 }; /* components sought in a wide table */

typedef struct mr_pca_options {
    size_t components; /* to keep; 0: as many as `variance` needs */
    double variance;
    bool scale; /* z-scores by the population standard deviation */
} mr_pca_options;

typedef struct mr_pca {
    size_t width, kept, found;     /* found: components known; width of them, or fewer in a wide table */
    size_t fitted;                 /* rows that the components come from: all, or the sample in a wide table */
    double *scale;                 /* what a column is divided by */
    double *values, *vectors;      /* found; found x width */
    double total;                  /* the whole variance */
    bool wide;
} mr_pca;

/* Errors: E_INVALID: fewer than 2 rows, only constant columns, more components asked for than there are; E_MEMORY, what
 * `tick` says, E_INTERNAL. */
mr_status mr_pca_fit(const mr_spread *s, const mr_sample *sample, const mr_pca_options *o, uint64_t seed, mr_arena *arena,
                     const mr_ticker *tick, mr_pca *out, mr_error *err) MR_MUST_CHECK;

/* How many of the leading components carry `share` of the variance; 0 when those found do not. */
size_t mr_pca_needed(const mr_pca *p, double share);
/* The share that components from <= k < to carry. */
double mr_pca_share(const mr_pca *p, size_t from, size_t to);

#endif
