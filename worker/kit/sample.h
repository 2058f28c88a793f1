/* sample.h: a uniform sample of rows that does not depend on how the rows were cut into batches: of all rows
 * seen, the k whose hash of (seed, position) is smallest (bottom-k sampling, Cohen and Kaplan 2007). The
 * samples of two sets of rows merge into the sample of their union exactly. */
#ifndef MR_KIT_SAMPLE_H
#define MR_KIT_SAMPLE_H

#include "common/pack.h"

typedef struct mr_sample_lot {
    uint64_t ticket;
    size_t at; /* its row's place in the sample */
} mr_sample_lot;

typedef struct mr_sample {
    uint64_t seed;
    size_t k, width, count, capacity;
    uint64_t *row;       /* positions */
    double *values;      /* count x width */
    mr_sample_lot *heap; /* of a full sample that more rows were offered to */
    mr_arena *arena;
} mr_sample;

/* Memory grows with what is kept: 8 (width + 1) bytes a row, at most k rows (and as much again while it
 * grows), and 16 bytes for each of k when more than k are offered. k and width > 0. */
void mr_sample_init(mr_sample *s, mr_arena *arena, uint64_t seed, size_t k, size_t width);

/* Offers one row (width values); each position is offered once. Errors: E_MEMORY. */
mr_status mr_sample_add(mr_sample *s, uint64_t row, const double *values, mr_error *err) MR_MUST_CHECK;

/* Puts the rows into the order of their positions; nothing can be added afterwards.
 * Errors: E_MEMORY; E_CORRUPT when a position was offered twice. */
mr_status mr_sample_sort(mr_sample *s, mr_error *err) MR_MUST_CHECK;

/* The same lottery for rows that are all at hand: k of the positions first .. first + n - 1, in order, into `out`, as their
 * distance from `first`. k <= n. Errors: E_MEMORY. */
mr_status mr_sample_draw(mr_arena *arena, uint64_t seed, uint64_t first, uint32_t n, uint32_t k, uint32_t *out,
                         mr_error *err) MR_MUST_CHECK;

/* The same among n rows at these positions, ascending; `out` gets their places. */
mr_status mr_sample_draw_among(mr_arena *arena, uint64_t seed, const uint64_t *position, uint32_t n, uint32_t k, uint32_t *out,
                               mr_error *err) MR_MUST_CHECK;

/* The one byte form of a sorted sample, msgpack [rows, positions, values] with little-endian binary blocks:
 * 8 (width + 1) bytes a row and at most 15 more. */
void mr_sample_pack(const mr_sample *s, mr_buf *out);
/* The most rows whose packed form fits in `bytes`. */
size_t mr_sample_fits(size_t bytes, size_t width);

/* Offers all rows of a packed sample of the same width. Errors: E_CORRUPT, E_MEMORY. */
mr_status mr_sample_add_packed(mr_sample *s, mr_unpack *in, mr_error *err) MR_MUST_CHECK;

#endif
