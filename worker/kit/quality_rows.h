/* quality_rows.h: what quality_scorer keeps of prompts: counts, exact sums of their dimensions, and a bottom-k sample. They
 * merge exactly. */
#ifndef MR_KIT_QUALITY_ROWS_H
#define MR_KIT_QUALITY_ROWS_H

#include "worker/kit/exact.h"
#include "worker/kit/prompt_quality.h"
#include "worker/kit/sample.h"

enum { MR_QUALITY_WIDTH = MR_QUALITY_DIMENSIONS + 1 };

typedef struct mr_quality_rows {
    uint64_t rows, empty, labelled;
    mr_exact sum[MR_QUALITY_DIMENSIONS];
    mr_sample sample; /* rows: the dimensions, the feedback (-1: none) */
} mr_quality_rows;

void mr_quality_rows_init(mr_quality_rows *p, mr_arena *arena, uint64_t seed, size_t sample);
/* v: the dimensions (NaN: an empty prompt) and the feedback (NaN: none, becomes -1). Errors: E_MEMORY. */
mr_status mr_quality_rows_add(mr_quality_rows *p, uint64_t position, double v[MR_QUALITY_WIDTH], mr_error *err) MR_MUST_CHECK;

/* The one byte form; afterwards nothing can be added. Errors of both: E_CORRUPT, E_MEMORY. */
mr_status mr_quality_rows_pack(mr_quality_rows *p, mr_buf *out, mr_error *err) MR_MUST_CHECK;
mr_status mr_quality_rows_add_packed(mr_quality_rows *p, mr_span bytes, mr_error *err) MR_MUST_CHECK;

#endif
