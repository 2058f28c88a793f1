/* moments.h: what a batch of feature rows leaves behind for an analysis of all rows: exact sums (worker/kit/exact.h) and a
 * uniform sample of the rows (worker/kit/sample.h). Both merge exactly, so all that follows has the same bits for any
 * batches and workers. */
#ifndef MR_KIT_MOMENTS_H
#define MR_KIT_MOMENTS_H

#include "worker/kit/columns.h"
#include "worker/kit/sample.h"
#include "worker/kit/tick.h"

/* Up to so many columns the sums of all products are kept, w (w + 3) / 2 of them; beyond it only sums and sums of squares. */
enum { MR_MOMENTS_NARROW = 512 };

typedef struct mr_moments_options {
    size_t sample; /* rows at most; fewer where so many would not fit (mr_moments_sample) */
    uint64_t seed;
} mr_moments_options;

/* How many rows a sample can hold so that the packed form stays below 8 MiB: 4.5 MiB of rows, or 7 MiB when wide. */
size_t mr_moments_sample(size_t asked, size_t width);

/* Packs the moments of a batch whose features are finite; its rows count as positions `first` and on.
 * Errors: E_MEMORY, what `tick` says. */
mr_status mr_moments_put(const mr_batch *batch, uint64_t first, const mr_moments_options *o, mr_arena *arena,
                         const mr_ticker *tick, mr_buf *out, mr_error *err) MR_MUST_CHECK;

/* Several packed moments seen as one. */
typedef struct mr_moments {
    uint64_t rows;
    mr_names names;
    mr_moments_options options;
    mr_sample sample; /* sorted by position */
    uint32_t count;
    mr_span *rest; /* of each: the sums that were not read yet */
} mr_moments;

/* `partials` are borrowed until the sums are read. Errors: E_CORRUPT, E_INVALID when columns differ, E_MEMORY. */
mr_status mr_moments_open(mr_moments *m, const mr_span *partials, uint32_t count, mr_arena *arena,
                          mr_error *err) MR_MUST_CHECK;

/* Both read the sums, so only one of them can be called, once. */
mr_status mr_moments_pack(mr_moments *m, const mr_ticker *tick, mr_buf *out, mr_error *err) MR_MUST_CHECK;

typedef struct mr_spread {
    uint64_t rows;
    size_t width, constants; /* constants: columns of one value only */
    double *mean, *sd;       /* population standard deviation; 0 exactly in a constant column */
    double *comoment;        /* width x width: n sum(xy) - sum(x) sum(y), each rounded once; NULL when wide */
} mr_spread;
mr_status mr_moments_finish(mr_moments *m, mr_arena *arena, const mr_ticker *tick, mr_spread *out,
                            mr_error *err) MR_MUST_CHECK;

#endif
