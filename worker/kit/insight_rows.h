/* insight_rows.h: what insight_generation_engine keeps of rows: a bottom-k sample (trends, adjusted associations, medians; all
 * rows up to k) and, for each column, exact sums and the outermost values of the rows that did not fail (anomalies). They
 * merge exactly. Bound of the bytes: MR_INSIGHT_SAMPLE for the sample and MR_EXTREMES_BYTES_MAX for each column. */
#ifndef MR_KIT_INSIGHT_ROWS_H
#define MR_KIT_INSIGHT_ROWS_H

#include "worker/kit/columns.h"
#include "worker/kit/outliers.h"
#include "worker/kit/sample.h"

enum { MR_INSIGHT_WIDTH = 64, MR_INSIGHT_SAMPLE = 6 << 20, MR_INSIGHT_SAMPLED = 20000 };
/* Behind the features in every row of the sample; the first three are measures too. */
enum {
    MR_INSIGHT_OUTCOME,
    MR_INSIGHT_SCORE,
    MR_INSIGHT_SUCCESS,
    MR_INSIGHT_TREATMENT,
    MR_INSIGHT_TIME,
    MR_INSIGHT_EXTRA
};
enum { MR_INSIGHT_MEASURES = 2 /* outcome, score: success is 0 or 1 and has no anomalies */ };
extern const char *const mr_insight_extra[MR_INSIGHT_EXTRA];

typedef struct mr_insight_rows {
    uint64_t rows, kept; /* kept: rows that did not fail */
    mr_names names;
    mr_sample sample;
    mr_extremes *extremes; /* for each feature, then outcome and score */
} mr_insight_rows;

/* Features, outcome and score. */
size_t mr_insight_measures(const mr_insight_rows *r);
/* Whether a row with these numbers behind its features is not known to have failed. */
bool mr_insight_not_failed(const double extra[MR_INSIGHT_EXTRA]);

mr_status mr_insight_rows_init(mr_insight_rows *r, mr_arena *arena, uint64_t seed, mr_names names, mr_error *err) MR_MUST_CHECK;
/* `row` has room for features and extras. Errors: E_INVALID for a number beyond 1e140; E_MEMORY. */
mr_status mr_insight_rows_add(mr_insight_rows *r, const mr_batch *b, uint32_t i, double *row, mr_error *err) MR_MUST_CHECK;

/* The one byte form; afterwards nothing can be added. Errors of both: E_CORRUPT, E_MEMORY; E_INVALID for other columns. */
mr_status mr_insight_rows_pack(mr_insight_rows *r, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* `first`: initialises *r from the bytes. */
mr_status mr_insight_rows_add_packed(mr_insight_rows *r, mr_arena *arena, uint64_t seed, mr_span bytes, bool first,
                                     mr_error *err) MR_MUST_CHECK;

#endif
