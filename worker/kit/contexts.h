/* contexts.h: the dense groups that context_learner finds (hdbscan.h), as it keeps them: a model that puts new rows into the
 * groups, and a state from which clustering goes on when rows arrive. */
#ifndef MR_KIT_CONTEXTS_H
#define MR_KIT_CONTEXTS_H

#include "worker/kit/columns.h"
#include "worker/kit/hdbscan.h"

enum { MR_CONTEXTS_WIDTH = 512 };

typedef struct mr_contexts_options {
    int64_t min_cluster_size, min_samples /* 0: as min_cluster_size */, max_rows;
    bool standardise, allow_single_cluster;
} mr_contexts_options;

/* Rows and where they stood among all rows seen. Borrowed. */
typedef struct mr_context_rows {
    size_t n, width;
    const uint64_t *position; /* n, ascending */
    const double *features;   /* n x width */
} mr_context_rows;

/* Everything lives in the arena. */
typedef struct mr_contexts {
    mr_names names;
    mr_context_rows rows;    /* that clusters were sought in */
    const uint32_t *drawn;   /* their places among the rows given; NULL: they are all */
    double *mean, *sd;       /* of the columns as they came */
    double *shift, *divisor; /* what was clustered is (value - shift) / divisor: mean and sd, or 0 and 1 */
    double *x;               /* what was clustered */
    mr_points points;
    mr_hdbscan found;
    size_t min_samples;
} mr_contexts;

/* At most max_rows of `all`, by lottery of seed and position (sample.h), so the same rows whatever the others are. Features
 * were checked. Errors: E_INVALID as mr_hdbscan_fit, and for no rows; E_MEMORY; what `tick` says. */
mr_status mr_contexts_fit(const mr_context_rows *all, mr_names names, const mr_contexts_options *o, uint64_t seed,
                          mr_arena *arena, const mr_ticker *tick, mr_contexts *out, mr_error *err) MR_MUST_CHECK;

/* All but `found` of the fit that had the `count` rows of `all` with fitted[i] = 1. Errors: E_MEMORY. */
mr_status mr_contexts_of_rows(const mr_context_rows *all, const uint8_t *fitted, size_t count, mr_names names,
                              const mr_contexts_options *o, mr_arena *arena, mr_contexts *out, mr_error *err) MR_MUST_CHECK;

/* Labels and strengths of n rows: those with fitted[i] = 1 are the rows of the fit, in order, and have what it gave them; the
 * others (all, when `fitted` is NULL) are put into the clusters. Errors: E_MEMORY, what `tick` says. */
mr_status mr_contexts_place(const mr_contexts *c, const double *features, size_t n, const uint8_t *fitted, mr_arena *arena,
                            const mr_ticker *tick, int32_t *label, double *strength, mr_error *err) MR_MUST_CHECK;

/* ---- the model: the clustered rows, their core distances and labels, and each cluster's birth and death ---- */
void mr_contexts_pack_model(const mr_contexts *c, mr_arena *arena, mr_buf *out);
/* What mr_contexts_place needs. Errors: E_CORRUPT, E_MEMORY. */
mr_status mr_contexts_read_model(mr_contexts *c, mr_span bytes, mr_arena *arena, mr_error *err) MR_MUST_CHECK;

/* ---- the state: the rows kept (those of the fit, and those since that the next fit would draw), and the fit ---- */
typedef struct mr_contexts_state {
    mr_contexts_options options;
    uint64_t seed, seen, seen_at_fit; /* rows */
    mr_names names;
    mr_context_rows rows;
    uint8_t *fitted; /* rows.n: 1 for a row of the fit */
} mr_contexts_state;

/* Options, seed and the numbers of rows seen come from `s`; the rows from `all`, those of the fit among them
 * (`fitted`, all->n flags). At most 2 max_rows are kept. Errors: E_MEMORY; `out` fails with
 * E_LIMIT when they are too many for it. */
mr_status mr_contexts_pack_state(const mr_contexts_state *s, const mr_contexts *c, const mr_context_rows *all,
                                 const uint8_t *fitted, mr_arena *arena, mr_buf *out, mr_error *err) MR_MUST_CHECK;
bool mr_contexts_is_state(mr_span bytes);
/* The fit is as it was. Errors: E_INVALID when the state was left with other options than `o`; E_CORRUPT; E_MEMORY. */
mr_status mr_contexts_read_state(mr_contexts_state *s, mr_contexts *c, const mr_contexts_options *o, mr_span bytes,
                                 mr_arena *arena, mr_error *err) MR_MUST_CHECK;

/* ---- is the fit still right? ---- */
typedef enum mr_context_change { MR_CONTEXTS_KEPT, MR_CONTEXTS_GREW, MR_CONTEXTS_NOISE, MR_CONTEXTS_STRENGTH } mr_context_change;

typedef struct mr_context_drift {
    mr_context_change change;   /* the first that holds, in that order */
    double growth;              /* rows since the fit over those before */
    size_t rows, noise;         /* of the fit */
    size_t new_rows, new_noise; /* since the fit */
    double noise_p;             /* Fisher's exact test, two-sided; NaN when all or none are noise */
    double strength, new_strength; /* mean of rows in clusters */
    double strength_p;          /* Welch's t test, two-sided; NaN when it is not defined */
} mr_context_drift;

/* label and strength of rows that `fitted` says belong to the fit, and of rows since. Changed: growth at or over
 * `growth`; noise_p below `alpha`; strength_p below `alpha` and the new mean lower. Errors: E_MEMORY. */
mr_status mr_contexts_drift(const mr_contexts_state *s, const int32_t *label, const double *strength, const uint8_t *fitted,
                            size_t n, double growth, double alpha, mr_arena *arena, mr_context_drift *out,
                            mr_error *err) MR_MUST_CHECK;

#endif
