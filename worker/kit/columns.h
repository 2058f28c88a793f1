/* columns.h: what learners share about feature columns: checking them, bringing them to one scale, and the
 * pieces of which the bytes of partials and models are made. */
#ifndef MR_KIT_COLUMNS_H
#define MR_KIT_COLUMNS_H

#include "common/batch.h"
#include "common/pack.h"

enum { MR_COLUMNS_MAX = 4096 };

/* An mr_mem whose memory comes from the arena and is freed with it: for an mr_buf inside a component. */
mr_mem mr_arena_mem(mr_arena *arena);

/* Errors: E_INVALID when there is no feature column, more than `width_max`, or a value that is missing (NaN),
 * infinite or beyond 1e140: the sentence names row and column. */
mr_status mr_check_features(const mr_batch *batch, uint32_t width_max, mr_error *err) MR_MUST_CHECK;

/* For an update: a stored state takes in its new rows as one batch, because each batch would give an update of its own.
 * Errors: E_INVALID for a batch that is not the first. */
mr_status mr_check_only_batch(const mr_batch *batch, mr_error *err) MR_MUST_CHECK;

/* Means and population standard deviations (divisor n) of the columns of x, n x width, row-major, in two
 * passes. A column whose values are all equal has sd 0 exactly. */
void mr_mean_sd(const double *x, size_t n, size_t width, double *mean, double *sd);
/* out = (x - mean) / sd; 0 in a column with sd 0. `out` may be x. */
void mr_standardise(const double *x, size_t n, size_t width, const double *mean, const double *sd,
                    double *out);

typedef struct mr_names {
    uint32_t count;
    const char *const *items; /* NUL-terminated */
} mr_names;

/* Errors: E_INVALID naming the first difference; `what` is what `theirs` belongs to ("the model"). */
mr_status mr_same_names(mr_names ours, mr_names theirs, const char *what, mr_error *err) MR_MUST_CHECK;

/* ---- bytes ---- */
void mr_pack_names(mr_buf *b, mr_names names);
void mr_pack_doubles(mr_buf *b, const double *v, size_t n); /* one binary block, little-endian */
/* Errors of the readers: E_CORRUPT, E_MEMORY. */
mr_status mr_unpack_names(mr_unpack *u, mr_arena *arena, mr_names *out, mr_error *err) MR_MUST_CHECK;
/* A block of n values of `size` bytes each; *out gets a copy. */
mr_status mr_unpack_block(mr_unpack *u, size_t n, size_t size, mr_arena *arena, void *out,
                          mr_error *err) MR_MUST_CHECK;
mr_status mr_unpack_doubles(mr_unpack *u, size_t n, mr_arena *arena, double **out,
                            mr_error *err) MR_MUST_CHECK;
/* Reads an array header and its first item, which must be the text `magic`, with `count` items in all. */
mr_status mr_unpack_magic(mr_unpack *u, const char *magic, uint32_t count, mr_error *err) MR_MUST_CHECK;

#endif
