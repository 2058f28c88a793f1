/* failure_rows.h: what failure_mode_analyzer keeps of rows: counts, and a uniform sample (sample.h). Two of them merge
 * exactly into that of all their rows, so the cut into batches, workers or days cannot change a byte. */
#ifndef MR_KIT_FAILURE_ROWS_H
#define MR_KIT_FAILURE_ROWS_H

#include "worker/kit/columns.h"
#include "worker/kit/sample.h"
#include "worker/kit/tick.h"

enum { MR_FAILURE_WIDTH = 512 };

/* A sampled row: its features, then its success (1 or 0; -1: not known). */
typedef struct mr_failure_rows {
    uint64_t rows, failed, succeeded;
    mr_names names;
    mr_sample sample;
} mr_failure_rows;

typedef struct mr_failure_draw {
    uint64_t seed;
    size_t rows;      /* to keep at most; fewer where they would not fit into bytes_max */
    size_t bytes_max; /* of the packed form */
} mr_failure_draw;

void mr_failure_rows_init(mr_failure_rows *r, mr_arena *arena, const mr_failure_draw *draw, mr_names names);

/* Takes the rows of a batch; their positions are batch->first, ... and `behind` more. Features were checked. Errors:
 * E_INVALID for a success other than 0, 1 and absent; E_MEMORY; what `tick` says. */
mr_status mr_failure_rows_add(mr_failure_rows *r, const mr_batch *batch, uint64_t behind, const mr_ticker *tick,
                              mr_error *err) MR_MUST_CHECK;

/* The one byte form; the sample is sorted. */
void mr_failure_rows_pack(const mr_failure_rows *r, mr_buf *out);
/* Adds packed rows; `first`: initialises *r from them. Errors: E_CORRUPT; E_INVALID for other columns; E_MEMORY. */
mr_status mr_failure_rows_add_packed(mr_failure_rows *r, mr_arena *arena, const mr_failure_draw *draw, mr_span bytes,
                                     bool first, mr_error *err) MR_MUST_CHECK;
/* Rows that came from outside the run, such as a stored state, and were just read: as many as there must be, at positions
 * below `rows`, with numbers that a batch may hold. Errors: E_CORRUPT. */
mr_status mr_failure_rows_check(const mr_failure_rows *r, mr_error *err) MR_MUST_CHECK;

#endif
