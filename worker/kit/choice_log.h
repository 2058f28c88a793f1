/* choice_log.h: a log of choices as it is gathered from batches (arm, reward, propensity, context), its
 * partial, and the log in order. Roles: item is the arm; outcome (else success) the reward; treatment the
 * propensity with which the arm was chosen; score the probability with which a policy to be evaluated would
 * have chosen it; time the order. */
#ifndef MR_KIT_CHOICE_LOG_H
#define MR_KIT_CHOICE_LOG_H

#include "worker/kit/bandit.h"
#include "worker/kit/columns.h"
#include "worker/kit/sample.h"
#include "worker/kit/words.h"

enum { MR_CHOICE_ARMS_MAX = 1024, MR_CHOICE_WIDTH_MAX = 64 };

typedef struct mr_choice_log {
    uint64_t seed, rows,
        skipped; /* skipped: without an arm, a reward, or a propensity where there is a column */
    bool propensities, targets; /* there are such columns */
    mr_names names;
    mr_words arms;
    mr_sample sample; /* a row: arm (as a hash), reward, propensity, target, time, features */
    mr_arena *arena;
} mr_choice_log;

/* Keeps at most `most` rows, and fewer when the packed form would not fit into `bytes`. Errors: E_MEMORY. */
mr_status mr_choice_log_init(mr_choice_log *l, mr_arena *arena, uint64_t seed, size_t most, size_t bytes,
                             mr_names names, mr_error *err) MR_MUST_CHECK;

/* Adds all rows of a batch. Errors: E_INVALID with the row and what to do: no arm or reward column, a
 * propensity outside (0, 1], a missing feature, rewards beyond 1e140; E_LIMIT too many arms; E_MEMORY; what
 * `tick` says. */
mr_status mr_choice_log_add(mr_choice_log *l, const mr_batch *b, const mr_ticker *tick,
                            mr_error *err) MR_MUST_CHECK;

/* Both of the next before a log is packed or put in order: mr_sample_sort of its sample. */
mr_status mr_choice_log_pack(const mr_choice_log *l, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* `first`: `l` is initialised from what is read. Errors: E_CORRUPT, E_INVALID other columns, E_MEMORY. */
mr_status mr_choice_log_add_packed(mr_choice_log *l, mr_arena *arena, uint64_t seed, size_t most,
                                   size_t bytes, mr_span packed, bool first, mr_error *err) MR_MUST_CHECK;

/* The log by time, of equal times by position. */
typedef struct mr_logged {
    mr_choices log;
    mr_span *name;            /* arms */
    double *target;           /* n; NaN where it is not known */
    uint8_t *fold;            /* n: 0 or 1 by a hash of (seed, position) */
    bool unit, binary;        /* all rewards lie in 0 to 1; are 0 or 1 */
    bool uniform, has_target; /* all propensities are equal; every row has a target */
} mr_logged;

/* Without a propensity column each arm's share of the choices stands in. Errors: E_CORRUPT, E_MEMORY. */
mr_status mr_choice_log_order(const mr_choice_log *l, mr_logged *out, mr_error *err) MR_MUST_CHECK;

#endif
