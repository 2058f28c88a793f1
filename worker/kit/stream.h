/* stream.h: outcomes as they came in, of one group against a fixed value or of two groups against each other,
 * and what repeated tests of them say. */
#ifndef MR_KIT_STREAM_H
#define MR_KIT_STREAM_H

#include "worker/kit/sequential.h"

#include <stdint.h>

typedef struct mr_stream {
    size_t n;
    const double *outcome;
    const uint8_t *group; /* n: 0 or 1; NULL: one group */
    bool binary;          /* all outcomes are 0 or 1 */
    double null;          /* one group: the mean under the null hypothesis */
} mr_stream;

/* What the first rows tell. */
typedef struct mr_stream_state {
    double n[2], sum[2], squares[2]; /* of the groups; one group: [1] */
} mr_stream_state;
void mr_stream_add(mr_stream_state *s, const mr_stream *stream, size_t row);

/* Mean minus null, or mean of group 1 minus mean of group 0, and its standard error under the null
 * hypothesis: for 0 and 1 from the null value or the pooled share, else from the sample variances (divisor n
 * - 1). NaN while it is not defined. */
typedef struct mr_stream_effect {
    double effect, se;
} mr_stream_effect;
mr_stream_effect mr_stream_effect_of(const mr_stream *stream, const mr_stream_state *s);

/* Wald's test of no effect against `effect`, row by row. One group of 0 and 1: exact likelihoods of null and
 * null + effect. Else the normal likelihood ratio effect (estimate - effect / 2) / se^2, from MR_SPRT_BURN_IN
 * rows in each group. */
typedef struct mr_sprt {
    mr_sprt_bounds bounds;
    double ratio; /* log likelihood ratio at the decision, or at the end */
    int decision; /* 1 effect, -1 no effect, 0 still open */
    size_t rows;  /* used */
} mr_sprt;
enum { MR_SPRT_BURN_IN = 20 };
mr_sprt mr_sprt_run(const mr_stream *stream, double effect, double alpha, double beta);

#endif
