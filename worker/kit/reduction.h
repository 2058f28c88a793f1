/* reduction.h: several ways into fewer dimensions, tried on the same sampled rows, scored alike, the best kept.
 *
 * Scores: trustworthiness and continuity (worker/kit/embedding_quality.h), and for the ways that give rows back the share
 * of the variance that they keep: principal components by their eigenvalues, the autoencoder on rows it was not fitted on.
 * Information kept is the least of those that are known. The simplest way (in the order of mr_projection_kind) whose
 * information is within 0.005 of the best is kept. */
#ifndef MR_KIT_REDUCTION_H
#define MR_KIT_REDUCTION_H

#include "worker/kit/pca.h"
#include "worker/kit/projection.h"

enum { MR_REDUCE_AUTO = MR_PROJECTIONS, MR_REDUCE_CENTRES = 2000, MR_REDUCE_EXACT = 4000 };

typedef struct mr_reduction_options {
    int method;          /* an mr_projection_kind, or MR_REDUCE_AUTO: all that are feasible */
    size_t neighbours;   /* of UMAP and of the scores; the scores need more than twice as many rows */
    double min_dist;     /* UMAP; spread 1 */
    size_t hidden, iterations; /* autoencoder */
    uint64_t seed;
} mr_reduction_options;

typedef struct mr_candidate {
    bool tried;
    const char *why_not; /* a sentence, when it was not tried */
    double variance_kept, trustworthiness, continuity, information; /* NaN where not known */
    double usual_error;  /* mean of what mr_projection_run calls errors, over rows it was not fitted on where there are any */
    mr_projection model;
    double *scores;      /* sampled rows x dimensions */
} mr_candidate;

typedef struct mr_reduction {
    mr_candidate of[MR_PROJECTIONS];
    mr_projection_kind kept;
    size_t centres, score_neighbours; /* rows asked for the scores (all up to MR_REDUCE_EXACT, else MR_REDUCE_CENTRES); k */
    /* of the autoencoder, when it was tried: mean squared errors in [0, 1] units on the rows left out of both fits */
    size_t test_rows;
    double test_error, pca_test_error;
} mr_reduction;

/* `pca` comes from all rows; the others are fitted on the sample, in as many dimensions. Errors: E_INVALID when the method
 * asked for is not feasible, E_MEMORY, what `tick` says, E_INTERNAL. */
mr_status mr_reduce(const mr_spread *spread, const mr_pca *pca, const mr_sample *sample, mr_names names,
                    const mr_reduction_options *o, mr_arena *arena, const mr_ticker *tick, mr_reduction *out,
                    mr_error *err) MR_MUST_CHECK;

/* The same with a model that is kept as it is, only scored on the sample. `usual_error` is the model's own. */
mr_status mr_reduce_again(const mr_spread *spread, const mr_pca *pca, const mr_sample *sample, const mr_projection *model,
                          double usual_error, const mr_reduction_options *o, mr_arena *arena, const mr_ticker *tick,
                          mr_reduction *out, mr_error *err) MR_MUST_CHECK;

#endif
