#include "worker/kit/refute.h"

#include "worker/kit/columns.h"
#include "worker/kit/dist.h"
#include "worker/kit/hypothesis.h"

#include <math.h>
#include <string.h>

/* ---- confounders ---- */

static double welch_p(const mr_design *d, const uint8_t *treated, size_t column, double *room,
                      double *difference) {
    size_t count[2] = {0, 0};
    for (size_t i = 0; i < d->n; i++) {
        double v = d->x[i * d->p + column];
        if (treated[i])
            room[count[1]++] = v;
        else
            room[d->n - ++count[0]] = v;
    }
    mr_summary a = mr_summarise(room, count[1]), b = mr_summarise(room + count[1], count[0]);
    *difference = a.mean - b.mean;
    return mr_welch(&a, &b).p;
}

/* The design with one more column; its values are left to the caller. */
static double *wider(const mr_design *d, mr_arena *arena) {
    size_t p = d->p;
    double *x = mr_arena_alloc(arena, d->n * (p + 1) + 1, sizeof *x);
    for (size_t i = 0; x && i < d->n; i++) memcpy(x + i * (p + 1), d->x + i * p, p * sizeof *x);
    return x;
}

static void judge(const mr_design *d, const uint8_t *treated, const double *propensity, const mr_fit *fit,
                  size_t j, double strict, double *room, mr_confounder *c) {
    double df = (double)d->n - (double)fit->rank, difference;
    double se = df > 0 ? sqrt(fit->rss / df * fit->inverse[j * (d->p + 1) + j]) : NAN;
    *c = (mr_confounder){.before = mr_balance(d, j, treated, NULL), .coefficient = fit->beta[j]};
    c->after = propensity ? mr_balance(d, j, treated, propensity) : NAN;
    c->treatment_p = welch_p(d, treated, j, room, &difference);
    c->outcome_p = se > 0 ? mr_t_two_sided(fit->beta[j] / se, df) : NAN;
    c->bias = c->coefficient * difference;
    c->confounder = c->treatment_p < strict && c->outcome_p < strict;
}

/* Insertion sort: stable, and there are few. */
static void largest_first(mr_confounder *c, size_t n) {
    for (size_t i = 1; i < n; i++) {
        mr_confounder one = c[i];
        size_t at = i;
        for (; at > 0 && fabs(c[at - 1].bias) < fabs(one.bias); at--) c[at] = c[at - 1];
        c[at] = one;
    }
}

mr_status mr_confounders_judge(const mr_design *d, const char *const *names, const uint8_t *treated,
                               const double *y, const double *propensity, double alpha, mr_arena *arena,
                               const mr_ticker *tick, mr_confounder **out, double *effect, mr_error *err) {
    size_t p = d->p;
    double *x = wider(d, arena), *room = mr_arena_alloc(arena, d->n + 1, sizeof *room);
    *out = mr_arena_alloc(arena, p, sizeof **out);
    if (!x || !room || !*out) return mr_fail(err, MR_E_MEMORY, "no memory to judge %zu columns", p);
    for (size_t i = 0; i < d->n; i++) x[i * (p + 1) + p] = treated[i];
    mr_fit fit;
    MR_TRY(mr_least_squares(&(mr_design){x, d->n, p + 1}, y, NULL, arena, tick, &fit, err));
    *effect = fit.beta[p];
    for (size_t j = 1; j < p; j++)
        judge(d, treated, propensity, &fit, j, alpha / (double)(p - 1), room, &(*out)[j - 1]);
    for (size_t j = 1; j < p; j++) (*out)[j - 1].name = names[j - 1];
    largest_first(*out, p - 1);
    return MR_OK;
}

/* ---- refutations ---- */

static void shuffle(uint8_t *v, size_t n, mr_rng *rng) {
    for (size_t i = n; i > 1; i--) {
        size_t j = mr_rng_below(rng, i);
        uint8_t t = v[j];
        v[j] = v[i - 1];
        v[i - 1] = t;
    }
}

/* One run in the scratch arena, which is emptied first: its first block is large enough for a run. */
static mr_status again(const mr_design *d, const uint8_t *treated, const double *y, mr_arena *scratch,
                       const mr_ticker *tick, double *effect, mr_error *err) {
    mr_effects e;
    mr_arena_reset(scratch);
    MR_TRY(mr_effects_estimate(d, treated, y, scratch, tick, &e, err));
    *effect = e.separated ? NAN : e.by[MR_EFFECT_ROBUST].effect;
    return MR_OK;
}

static mr_status placebos(const mr_design *d, const uint8_t *treated, const double *y, double effect,
                          mr_arena *arena, mr_arena *scratch, mr_rng *rng, const mr_ticker *tick,
                          mr_refutation *out, mr_error *err) {
    uint8_t *shuffled = mr_arena_alloc(arena, d->n + 1, 1);
    double *found = mr_arena_alloc(arena, out->runs, sizeof *found);
    size_t beyond = 0, kept = 0;
    if (!shuffled || !found) return mr_fail(err, MR_E_MEMORY, "no memory for the placebo treatments");
    memcpy(shuffled, treated, d->n);
    for (size_t k = 0; k < out->runs; k++) {
        shuffle(shuffled, d->n, rng);
        MR_TRY(again(d, shuffled, y, scratch, tick, &found[kept], err));
        if (isnan(found[kept])) continue; /* separated: possible with few rows */
        beyond += fabs(found[kept++]) >= fabs(effect);
    }
    mr_summary sum = mr_summarise(found, kept);
    out->runs = kept;
    out->mean = sum.mean;
    out->sd = sqrt(sum.var);
    out->p = (double)(beyond + 1) / (double)(out->runs + 1);
    return MR_OK;
}

static mr_status random_causes(const mr_design *d, const uint8_t *treated, const double *y, double effect,
                               mr_arena *arena, mr_arena *scratch, mr_rng *rng, const mr_ticker *tick,
                               mr_refutation *out, mr_error *err) {
    size_t p = d->p;
    double *x = wider(d, arena), found;
    if (!x) return mr_fail(err, MR_E_MEMORY, "no memory for a random common cause");
    for (int k = 0; k < MR_REFUTE_CAUSES; k++) {
        for (size_t i = 0; i < d->n; i++) x[i * (p + 1) + p] = mr_rng_normal(rng);
        MR_TRY(again(&(mr_design){x, d->n, p + 1}, treated, y, scratch, tick, &found, err));
        if (!(fabs(found - effect) <= fabs(out->cause_change))) out->cause_change = found - effect;
    }
    return MR_OK;
}

/* What mr_effects_estimate takes: five numbers a row, and a few matrices for each of its three fits. */
static size_t run_bytes(size_t n, size_t p) { return (5 * n + 3 * p * (2 * p + 8)) * sizeof(double) + 16384; }

mr_status mr_refute(const mr_design *d, const uint8_t *treated, const double *y, double effect, size_t runs,
                    mr_arena *arena, mr_rng *rng, const mr_ticker *tick, mr_refutation *out, mr_error *err) {
    mr_mem mem = mr_arena_mem(arena);
    size_t bytes = run_bytes(d->n, d->p + 1), rows[2] = {0, 0};
    *out = (mr_refutation){.runs = runs};
    mr_arena *scratch = mr_arena_new(&mem, 2 * bytes);
    if (!scratch || !mr_arena_alloc(scratch, bytes, 1))
        return mr_fail(err, MR_E_MEMORY, "no memory for the refutations");
    for (size_t i = 0; i < d->n; i++) rows[treated[i]]++;
    out->cause_change = rows[0] > d->p + 1 && rows[1] > d->p + 1 ? 0 : NAN; /* rows for one more column? */
    if (!isnan(out->cause_change))
        MR_TRY(random_causes(d, treated, y, effect, arena, scratch, rng, tick, out, err));
    return placebos(d, treated, y, effect, arena, scratch, rng, tick, out, err);
}
