/* failures.h: the study of rows that failed and rows that did not: anomaly scores, failure modes, and the
 * probability that a row fails. */
#ifndef MR_KIT_FAILURES_H
#define MR_KIT_FAILURES_H

#include "worker/kit/columns.h"
#include "worker/kit/risk.h"
#include "worker/kit/sample.h"

typedef struct mr_failures_options {
    size_t trees, subsample; /* of the isolation forest */
    size_t min_mode_size;    /* failed rows that make a mode */
    size_t neighbours;       /* see risk.h */
} mr_failures_options;

/* What `group` says of a row that is in no failure mode. */
enum { MR_FAILURES_SCATTERED = -1, MR_FAILURES_SUCCEEDED = -2, MR_FAILURES_UNKNOWN = -3 };
enum { MR_FAILURES_ROWS_MIN = 8, MR_FAILURES_LEARN_MIN = 10 /* failures, and successes, to learn from */ };

/* Everything lives in the arena; `row` and `names` are borrowed. */
typedef struct mr_failures {
    mr_names names;
    size_t n, width;
    const uint64_t *row; /* n: positions */
    double *raw, *z;     /* n x width: as they came, and standardised by mean and sd */
    double *mean, *sd;
    int32_t *group;   /* n: a failed row's mode, from 0, or one of MR_FAILURES_ */
    double *score;    /* n: anomaly scores */
    mr_forest forest; /* grown on z */
    size_t modes, failures, scattered;
    size_t labelled; /* rows whose outcome is known; of these: */
    double *lz;      /* labelled x width, standardised */
    uint8_t *lfailed;
    uint64_t *lrow;
    int32_t *lgroup;
    bool learned;     /* there were enough of both outcomes */
    mr_points points; /* of lz, when learned */
    mr_risk risk;
    mr_risk_measure held_out;
} mr_failures;

/* `sample` is sorted; its last value in each row is the outcome: 1 succeeded, 0 failed, -1 not known. Failure
 * modes are HDBSCAN clusters (a single one allowed) of the failed rows, with min_mode_size for both of its
 * numbers. Errors: E_INVALID fewer than MR_FAILURES_ROWS_MIN rows, or every column constant; E_MEMORY; what
 * `tick` says. */
mr_status mr_failures_study(const mr_sample *sample, mr_names names, const mr_failures_options *options,
                            uint64_t seed, mr_arena *arena, const mr_ticker *tick, mr_failures *out,
                            mr_error *err) MR_MUST_CHECK;

#endif
