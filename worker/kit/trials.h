/* trials.h: rules that stop trials (runs of a learner, of a prompt, of a search) on what they have reported
 * so far, played on recorded reports: what each rule would have saved, and what it would have missed. */
#ifndef MR_KIT_TRIALS_H
#define MR_KIT_TRIALS_H

#include "common/mem.h"
#include "common/status.h"
#include "worker/kit/tick.h"

/* One value that a trial reported. */
typedef struct mr_report {
    uint32_t trial; /* numbered by first report */
    double step;    /* rises within a trial */
    double value;   /* larger is better */
} mr_report;

typedef struct mr_trials {
    size_t n, trials;
    const mr_report *row; /* n, in the order of arrival; borrowed */
    size_t *first;        /* trials + 1: where each trial's reports start in `of` */
    uint32_t *of;         /* n: rows, trial by trial */
    double last_step;     /* the largest */
} mr_trials;

/* Errors: E_INVALID when a trial's steps do not rise (names the row as an index); E_MEMORY. */
mr_status mr_trials_init(mr_trials *t, const mr_report *row, size_t n, size_t trials, mr_arena *arena,
                         mr_error *err) MR_MUST_CHECK;

/* What a rule did. `kept[i]`: how many reports trial i made before it was stopped; all of them when it was
 * not. */
typedef struct mr_stopping {
    size_t *kept;
    size_t used, started, finished; /* reports; trials begun; trials that ran to their end */
    double best;                    /* the best value that was seen */
    uint32_t best_trial;
    size_t rank; /* of best_trial's best value among all trials' best values, were none stopped; from 1 */
} mr_stopping;

/* Median rule (Golovin et al. 2017): a report at step s stops its trial when the trial's best value so far is
 * below the median of the values at s of the trials that have run to their end; never before step `start`,
 * nor with fewer than `least` such trials. */
mr_status mr_median_rule(const mr_trials *t, double start, size_t least, mr_arena *arena,
                         const mr_ticker *tick, mr_stopping *out, mr_error *err) MR_MUST_CHECK;

/* ASHA (Li et al. 2020): rungs at steps r eta^k; a trial that reaches a rung (its first report at or past it)
 * goes on when its value is at least the max(1, floor(n / eta))-th largest of the n values seen there, its
 * own included. */
mr_status mr_asha(const mr_trials *t, double r, double eta, mr_arena *arena, const mr_ticker *tick,
                  mr_stopping *out, mr_error *err) MR_MUST_CHECK;

/* Successive halving (Jamieson and Talwalkar 2016): all trials to step r, the best floor(n / eta), at least
 * 1, go on to r eta, and so on; the last run to their end. Ties to the trial that began earlier. */
mr_status mr_successive_halving(const mr_trials *t, double r, double eta, mr_arena *arena,
                                const mr_ticker *tick, mr_stopping *out, mr_error *err) MR_MUST_CHECK;

/* Hyperband (Li et al. 2018): brackets s = s_max .. 0 with s_max = floor(log_eta(R / r)), R the largest step,
 * n = ceil((s_max + 1) / (s + 1) eta^s) trials from step R eta^-s, taken in the order of the trials; again
 * from s_max until there are no more. */
mr_status mr_hyperband(const mr_trials *t, double r, double eta, mr_arena *arena, const mr_ticker *tick,
                       mr_stopping *out, mr_error *err) MR_MUST_CHECK;

typedef struct mr_bracket {
    unsigned s;
    size_t n;
    double r;
} mr_bracket;
enum { MR_BRACKETS_MAX = 40 };
/* The brackets of one round of Hyperband; returns how many. */
size_t mr_hyperband_brackets(double r, double eta, double largest, mr_bracket *out);

#endif
