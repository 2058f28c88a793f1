/* report_log.h: outcomes as they are gathered from batches, with nothing left out: of trials (roles item and
 * time, which is the step), or of groups (role treatment) in the order of time. */
#ifndef MR_KIT_REPORT_LOG_H
#define MR_KIT_REPORT_LOG_H

#include "worker/kit/sample.h"
#include "worker/kit/tick.h"
#include "worker/kit/words.h"

#include "common/batch.h"

enum { MR_REPORT_TRIALS_MAX = 8192 };
/* The columns of `reports`; the trial is a hash of `names`. */
enum { MR_REPORT_TRIAL, MR_REPORT_OUTCOME, MR_REPORT_TREATMENT, MR_REPORT_TIME, MR_REPORT_WIDTH };

typedef struct mr_report_log {
    uint64_t rows;                /* seen; those without all that is needed are not kept */
    size_t room;                  /* most rows */
    bool trials, treatment, time; /* which columns there are */
    mr_words names;
    mr_sample reports; /* by position, once it is sorted (mr_sample_sort) */
    mr_arena *arena;
} mr_report_log;

/* Room for as many rows as fit into `bytes` of packed form. Errors: E_MEMORY. */
mr_status mr_report_log_init(mr_report_log *l, mr_arena *arena, size_t bytes, mr_error *err) MR_MUST_CHECK;

/* The outcome is that of the role outcome, else success, else score. Errors: E_INVALID there is none, or a
 * value is infinite or beyond 1e140; E_LIMIT too many rows or trials; E_MEMORY; what `tick` says. */
mr_status mr_report_log_add(mr_report_log *l, const mr_batch *b, const mr_ticker *tick,
                            mr_error *err) MR_MUST_CHECK;

mr_status mr_report_log_pack(const mr_report_log *l, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* Errors: E_CORRUPT, E_LIMIT, E_MEMORY. */
mr_status mr_report_log_add_packed(mr_report_log *l, mr_span packed, mr_error *err) MR_MUST_CHECK;

#endif
