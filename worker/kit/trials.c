#include "worker/kit/trials.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

mr_status mr_trials_init(mr_trials *t, const mr_report *row, size_t n, size_t trials, mr_arena *arena,
                         mr_error *err) {
    *t = (mr_trials){n,
                     trials,
                     row,
                     mr_arena_alloc(arena, trials + 2, sizeof *t->first),
                     mr_arena_alloc(arena, n + 1, sizeof *t->of),
                     -INFINITY};
    if (!t->first || !t->of) return mr_fail(err, MR_E_MEMORY, "no memory for %zu reports", n);
    for (size_t i = 0; i < n; i++) {
        t->first[row[i].trial + 2]++;
        t->last_step = fmax(t->last_step, row[i].step);
    }
    for (size_t k = 2; k <= trials; k++) t->first[k] += t->first[k - 1];
    for (size_t i = 0; i < n; i++) t->of[t->first[row[i].trial + 1]++] = (uint32_t)i;
    for (size_t k = 0; k < trials; k++)
        for (size_t j = t->first[k] + 1; j < t->first[k + 1]; j++)
            if (!(row[t->of[j]].step > row[t->of[j - 1]].step))
                return mr_fail(err, MR_E_INVALID,
                               "report %u of a trial is at step %g, after step %g; steps must rise", t->of[j],
                               row[t->of[j]].step, row[t->of[j - 1]].step);
    return MR_OK;
}

static size_t length(const mr_trials *t, size_t trial) { return t->first[trial + 1] - t->first[trial]; }
static const mr_report *report(const mr_trials *t, size_t trial, size_t i) {
    return &t->row[t->of[t->first[trial] + i]];
}

static double best_of(const mr_trials *t, size_t trial, size_t reports) {
    double best = -INFINITY;
    for (size_t i = 0; i < reports; i++) best = fmax(best, report(t, trial, i)->value);
    return best;
}

static mr_status stopping_init(mr_stopping *s, const mr_trials *t, mr_arena *arena, mr_error *err) {
    *s = (mr_stopping){.kept = mr_arena_alloc(arena, t->trials + 1, sizeof *s->kept), .best = -INFINITY};
    return s->kept ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for %zu trials", t->trials);
}

static void sum_up(const mr_trials *t, mr_stopping *s) {
    for (size_t k = 0; k < t->trials; k++) {
        double best = best_of(t, k, s->kept[k]);
        s->used += s->kept[k];
        s->started += s->kept[k] > 0;
        s->finished += s->kept[k] == length(t, k);
        if (best <= s->best) continue;
        s->best = best;
        s->best_trial = (uint32_t)k;
    }
    if (s->started == 0) return;
    double own = best_of(t, s->best_trial, length(t, s->best_trial));
    for (size_t k = 0; k < t->trials; k++) s->rank += best_of(t, k, length(t, k)) > own;
    s->rank++;
}

/* ---- values at one step, or at one rung, sorted ascending ---- */

typedef struct ladder {
    double step, *value;
    size_t count, cap;
} ladder;

static mr_status ladder_add(ladder *l, double v, mr_arena *arena) {
    if (l->count == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        double *fresh = mr_arena_alloc(arena, cap, sizeof *fresh);
        if (!fresh) return MR_E_MEMORY;
        if (l->count) memcpy(fresh, l->value, l->count * sizeof *fresh);
        l->value = fresh;
        l->cap = cap;
    }
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (l->value[mid] <= v)
            low = mid + 1;
        else
            high = mid;
    }
    memmove(l->value + low + 1, l->value + low, (l->count - low) * sizeof *l->value);
    l->value[low] = v;
    l->count++;
    return MR_OK;
}

static double median(const ladder *l) {
    size_t half = l->count / 2;
    return l->count % 2 ? l->value[half] : (l->value[half - 1] + l->value[half]) / 2;
}

/* ---- median rule ---- */

static int by_value(const void *x, const void *y) {
    double p = *(const double *)x, q = *(const double *)y;
    return (p > q) - (p < q);
}

/* A ladder for each step that occurs, ascending. */
static ladder *ladders(const mr_trials *t, mr_arena *arena, size_t *count) {
    double *step = mr_arena_alloc(arena, t->n + 1, sizeof *step);
    ladder *l = mr_arena_alloc(arena, t->n + 1, sizeof *l);
    if (!step || !l) return NULL;
    for (size_t i = 0; i < t->n; i++) step[i] = t->row[i].step;
    if (t->n) qsort(step, t->n, sizeof *step, by_value);
    *count = 0;
    for (size_t i = 0; i < t->n; i++)
        if (i == 0 || step[i] != step[i - 1]) l[(*count)++].step = step[i];
    return l;
}

static ladder *ladder_at(ladder *l, size_t count, double step) {
    size_t low = 0, high = count - 1;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (l[mid].step < step)
            low = mid + 1;
        else
            high = mid;
    }
    return &l[low];
}

mr_status mr_median_rule(const mr_trials *t, double start, size_t least, mr_arena *arena,
                         const mr_ticker *tick, mr_stopping *out, mr_error *err) {
    size_t count = 0;
    ladder *l = ladders(t, arena, &count);
    double *best = mr_arena_alloc(arena, t->trials + 1, sizeof *best);
    bool *stopped = mr_arena_alloc(arena, t->trials + 1, sizeof *stopped);
    if (!l || !best || !stopped) return mr_fail(err, MR_E_MEMORY, "no memory for %zu reports", t->n);
    MR_TRY(stopping_init(out, t, arena, err));
    for (size_t i = 0; i < t->n; i++) {
        MR_TRY(mr_ticker_call(tick));
        const mr_report *r = &t->row[i];
        uint32_t k = r->trial;
        if (stopped[k]) continue;
        best[k] = out->kept[k] ? fmax(best[k], r->value) : r->value;
        out->kept[k]++;
        const ladder *here = ladder_at(l, count, r->step);
        stopped[k] = r->step >= start && here->count >= least && here->count > 0 && best[k] < median(here);
        if (stopped[k] || out->kept[k] < length(t, k)) continue;
        for (size_t j = 0; j < length(t, k); j++) {
            const mr_report *past = report(t, k, j);
            if (ladder_add(ladder_at(l, count, past->step), past->value, arena) != MR_OK)
                return mr_fail(err, MR_E_MEMORY, "no memory for the reports of %zu trials", t->trials);
        }
    }
    sum_up(t, out);
    return MR_OK;
}

/* ---- ASHA ---- */

static bool goes_on(const ladder *rung, double value, double eta) {
    size_t keep = (size_t)floor((double)rung->count / eta);
    if (keep < 1) keep = 1;
    return value >= rung->value[rung->count - keep];
}

mr_status mr_asha(const mr_trials *t, double r, double eta, mr_arena *arena, const mr_ticker *tick,
                  mr_stopping *out, mr_error *err) {
    enum { RUNGS_MAX = 64 };
    ladder rung[RUNGS_MAX] = {0};
    unsigned rungs = 0;
    uint8_t *next = mr_arena_alloc(arena, t->trials + 1, 1);
    bool *stopped = mr_arena_alloc(arena, t->trials + 1, sizeof *stopped);
    if (!next || !stopped) return mr_fail(err, MR_E_MEMORY, "no memory for %zu trials", t->trials);
    for (double step = r; rungs < RUNGS_MAX && step <= t->last_step; step *= eta) rung[rungs++].step = step;
    MR_TRY(stopping_init(out, t, arena, err));
    for (size_t i = 0; i < t->n; i++) {
        MR_TRY(mr_ticker_call(tick));
        const mr_report *at = &t->row[i];
        uint32_t k = at->trial;
        if (stopped[k]) continue;
        out->kept[k]++;
        for (; !stopped[k] && next[k] < rungs && at->step >= rung[next[k]].step; next[k]++) {
            if (ladder_add(&rung[next[k]], at->value, arena) != MR_OK)
                return mr_fail(err, MR_E_MEMORY, "no memory for the rungs of %zu trials", t->trials);
            stopped[k] = !goes_on(&rung[next[k]], at->value, eta);
        }
    }
    sum_up(t, out);
    return MR_OK;
}

/* ---- successive halving and Hyperband ---- */

typedef struct runner {
    uint32_t trial;
    double value;
} runner;

static int best_first(const void *x, const void *y) {
    const runner *p = x, *q = y;
    if (p->value != q->value) return p->value > q->value ? -1 : 1;
    return (p->trial > q->trial) - (p->trial < q->trial);
}

/* Runs a trial up to its first report at or past `step`; its value there, -infinity when it ends before. */
static double run_to(const mr_trials *t, mr_stopping *s, uint32_t trial, double step) {
    size_t *kept = &s->kept[trial], n = length(t, trial);
    if (*kept == 0 && n > 0) *kept = 1;
    while (*kept < n && report(t, trial, *kept - 1)->step < step) ++*kept;
    const mr_report *at = report(t, trial, *kept - 1);
    return at->step >= step ? at->value : -INFINITY;
}

/* The trials `in[0 .. n)` from step r; after `rounds` cuts, or when one is left, the rest run to their end.
 */
static mr_status halve(const mr_trials *t, mr_stopping *s, runner *in, size_t n, double r, double eta,
                       unsigned rounds, const mr_ticker *tick) {
    for (unsigned i = 0; i < rounds && n > 1; i++, r *= eta) {
        MR_TRY(mr_ticker_call(tick));
        for (size_t k = 0; k < n; k++) in[k].value = run_to(t, s, in[k].trial, r);
        qsort(in, n, sizeof *in, best_first);
        n = (size_t)floor((double)n / eta);
        if (n < 1) n = 1;
    }
    for (size_t k = 0; k < n; k++) s->kept[in[k].trial] = length(t, in[k].trial);
    return MR_OK;
}

static runner *line_up(const mr_trials *t, mr_arena *arena) {
    runner *in = mr_arena_alloc(arena, t->trials + 1, sizeof *in);
    for (uint32_t k = 0; in && k < t->trials; k++) in[k].trial = k;
    return in;
}

mr_status mr_successive_halving(const mr_trials *t, double r, double eta, mr_arena *arena,
                                const mr_ticker *tick, mr_stopping *out, mr_error *err) {
    runner *in = line_up(t, arena);
    unsigned rounds = 0;
    if (!in) return mr_fail(err, MR_E_MEMORY, "no memory for %zu trials", t->trials);
    for (double step = r; step < t->last_step && rounds < 1000; step *= eta) rounds++;
    MR_TRY(stopping_init(out, t, arena, err));
    MR_TRY(halve(t, out, in, t->trials, r, eta, rounds, tick));
    sum_up(t, out);
    return MR_OK;
}

size_t mr_hyperband_brackets(double r, double eta, double largest, mr_bracket *out) {
    unsigned most = 0;
    /* 1e-9 forgives the rounding of the product, so that 81 with eta 3 has 4. */
    for (double step = r * eta; step <= largest * (1 + 1e-9) && most + 1 < MR_BRACKETS_MAX; step *= eta)
        most++;
    for (unsigned i = 0; i <= most; i++) {
        unsigned s = most - i;
        double power = pow(eta, s);
        out[i] = (mr_bracket){s, (size_t)ceil((most + 1) * power / (s + 1) - 1e-9), largest / power};
    }
    return most + 1;
}

mr_status mr_hyperband(const mr_trials *t, double r, double eta, mr_arena *arena, const mr_ticker *tick,
                       mr_stopping *out, mr_error *err) {
    mr_bracket bracket[MR_BRACKETS_MAX];
    runner *in = line_up(t, arena);
    if (!in) return mr_fail(err, MR_E_MEMORY, "no memory for %zu trials", t->trials);
    size_t count = mr_hyperband_brackets(r, eta, t->last_step, bracket), taken = 0;
    MR_TRY(stopping_init(out, t, arena, err));
    for (size_t b = 0; taken < t->trials; b = (b + 1) % count) {
        size_t n = bracket[b].n < t->trials - taken ? bracket[b].n : t->trials - taken;
        MR_TRY(halve(t, out, in + taken, n, bracket[b].r, eta, bracket[b].s, tick));
        taken += n;
    }
    sum_up(t, out);
    return MR_OK;
}
