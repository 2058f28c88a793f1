#include "worker/kit/arms.h"
#include "common/rng.h"
#include "common/text.h"
#include "worker/kit/association.h"
#include "worker/kit/dist.h"
#include "worker/kit/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct analysis {
    mr_experiment *e;
    const mr_sample *sample;
    size_t width;
    const mr_arms_options *o;
    mr_scratch scratch;
    const mr_ticker *tick;
    mr_arms *out;
} analysis;

/* ---- the arms and their split ---- */

/* Numbers in their order, before names in the order of their bytes. */
static bool arm_before(mr_span a, mr_span b) {
    double x, y;
    bool p = mr_number_parse(a, &x), q = mr_number_parse(b, &y);
    if (p != q) return p;
    if (p && x != y) return x < y;
    int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return c ? c < 0 : a.len < b.len;
}

static mr_status order_arms(analysis *a, mr_error *err) {
    mr_experiment *e = a->e;
    mr_arms *m = a->out;
    if (e->arm_count < 2)
        return mr_fail(err, MR_E_INVALID,
                       "the rows with an outcome have %u arms; bind a column of two or more with --role "
                       "treatment=COLUMN (numbers) or label=COLUMN (names)",
                       e->arm_count);
    for (uint32_t i = 0; i < e->arm_count; i++) {
        uint32_t at = i;
        for (; at > 0 && arm_before(e->arm[i], e->arm[m->order[at - 1]]); at--)
            m->order[at] = m->order[at - 1];
        m->order[at] = i;
        m->sums[i] = mr_experiment_pooled(e, 1u << i);
        if (m->sums[i].n < MR_ARM_ROWS_MIN)
            return mr_fail(err, MR_E_INVALID, "arm '%.*s' has %.0f rows; at least %d are needed",
                           MR_SPAN_ARG(e->arm[i]), m->sums[i].n, MR_ARM_ROWS_MIN);
    }
    m->count = e->arm_count;
    m->control = m->order[0];
    if (!a->o->control[0]) return MR_OK;
    for (uint32_t i = 0; i < e->arm_count; i++)
        if (mr_span_eq(e->arm[i], mr_span_of(a->o->control))) {
            m->control = i;
            return MR_OK;
        }
    return mr_fail(err, MR_E_INVALID, "there is no arm '%.60s' to be the control", a->o->control);
}

static mr_status read_split(const char *text, uint32_t arms, double share[MR_ARMS], mr_error *err) {
    const char *at = text;
    for (uint32_t i = 0; i < arms; i++) {
        char *end;
        share[i] = text[0] ? strtod(at, &end) : 1;
        if (!text[0]) continue;
        bool last = i + 1 == arms;
        if (!(share[i] > 0 && share[i] < 1e9) || *end != (last ? 0 : ':'))
            return mr_fail(err, MR_E_INVALID, "split '%.60s' should give %u shares above 0, as in 1:1", text,
                           arms);
        at = end + !last;
    }
    return MR_OK;
}

/* The chi-square test of the arms' rows against the planned split. */
static mr_status check_split(analysis *a, mr_error *err) {
    mr_arms *m = a->out;
    double share[MR_ARMS], total = 0, chi2 = 0, df = m->count - 1.0;
    MR_TRY(read_split(a->o->split, m->count, share, err));
    for (uint32_t i = 0; i < m->count; i++) total += share[i];
    for (uint32_t i = 0; i < m->count; i++) {
        double off = m->sums[m->order[i]].n;
        m->expected[i] = (double)a->e->rows * share[i] / total;
        off -= m->expected[i];
        chi2 += off * off / m->expected[i];
    }
    m->srm = (mr_test){"chi-square of the split", chi2, df, NAN, mr_chi2_sf(chi2, df)};
    return MR_OK;
}

/* ---- one comparison ---- */

static mr_summary summary_of(double n, double mean, double variance) {
    return (mr_summary){(size_t)n, mean, fmax(variance, 0), NAN, NAN};
}

/* Of the difference of means; of proportions pooled, as under no difference. */
static double variance_of(const mr_arm_sums *s0, const mr_arm_sums *s1, bool proportion) {
    double p = (s0->y * s0->n + s1->y * s1->n) / (s0->n + s1->n);
    return proportion ? p * (1 - p) * (1 / s0->n + 1 / s1->n) : s0->var_y / s0->n + s1->var_y / s1->n;
}

static void compare_fixed(const analysis *a, mr_comparison *c) {
    double alpha = a->o->alpha, k0 = round(c->s0.y * c->s0.n), k1 = round(c->s1.y * c->s1.n);
    mr_summary g0 = summary_of(c->s0.n, c->s0.y, c->s0.var_y), g1 = summary_of(c->s1.n, c->s1.y, c->s1.var_y);
    c->difference = c->s1.y - c->s0.y;
    c->effect = mr_effect_size(&g1, &g0, 1 - alpha);
    c->detectable = mr_detectable_t(a->o->power, c->s0.n, c->s1.n, alpha);
    if (a->out->proportion) {
        c->test = mr_pooled_z(k0, c->s0.n, k1, c->s1.n);
        mr_newcombe(k0, c->s0.n, k1, c->s1.n, 1 - alpha, &c->low, &c->high);
        c->belief = mr_belief_proportions(k0, c->s0.n, k1, c->s1.n);
    } else {
        c->test = mr_welch(&g1, &g0);
        mr_welch_interval(&g1, &g0, 1 - alpha, &c->low, &c->high);
        c->belief = mr_belief_means(c->difference, variance_of(&c->s0, &c->s1, false));
    }
}

static mr_summary adjusted(const mr_arm_sums *s, double theta) {
    return summary_of(s->n, s->y - theta * s->x, s->var_y - 2 * theta * s->cov + theta * theta * s->var_x);
}

/* Deng, Xu, Kohavi and Walker 2013. */
static void compare_cuped(const analysis *a, mr_comparison *c) {
    mr_cuped *u = &c->cuped;
    mr_arm_sums both = mr_experiment_pooled(a->e, 1u << a->out->control | 1u << c->arm);
    *u = (mr_cuped){.theta = both.cov / both.var_x};
    if (!(both.var_x > 0)) u->theta = 0;
    mr_summary g0 = adjusted(&c->s0, u->theta), g1 = adjusted(&c->s1, u->theta);
    mr_summary x0 = summary_of(c->s0.n, c->s0.x, c->s0.var_x), x1 = summary_of(c->s1.n, c->s1.x, c->s1.var_x);
    u->difference = g1.mean - g0.mean;
    u->reduction = 1 - (g0.var / c->s0.n + g1.var / c->s1.n) / variance_of(&c->s0, &c->s1, false);
    u->predicted = u->theta * both.cov / both.var_y;
    u->test = mr_welch(&g1, &g0);
    mr_welch_interval(&g1, &g0, 1 - a->o->alpha, &u->low, &u->high);
    u->balance = mr_welch(&x1, &x0);
}

/* A look at the difference d with variance v and standard deviation sd of a row. */
typedef struct look {
    double d, v, sd;
    uint64_t row;
} look;

static void look_sprt(const mr_arms_options *o, mr_comparison *c, const look *l) {
    double d = o->lower_is_better ? -l->d : l->d;
    if (c->sprt) return;
    c->sprt_ratio = mr_sprt_log_ratio(d, l->v, o->effect * l->sd);
    mr_sprt_bounds bounds = mr_sprt_bounds_of(o->alpha, 1 - o->power);
    c->sprt = c->sprt_ratio >= bounds.high ? 1 : c->sprt_ratio <= bounds.low ? -1 : 0;
    if (c->sprt) c->sprt_at = l->row;
}

static void look_once(analysis *a, mr_comparison *c, const look *l) {
    const mr_arms_options *o = a->o;
    mr_arms *m = a->out;
    double alpha = o->alpha / m->comparisons, tau = o->mixing * l->sd;
    c->best_ratio = fmax(c->best_ratio, mr_mixture_log_ratio(l->d, l->v, tau));
    c->margin = mr_mixture_margin(l->v, tau, alpha);
    c->any_p = fmin(1, exp(-c->best_ratio));
    if (c->any_p <= alpha && c->crossed_at == 0) c->crossed_at = l->row;
    look_sprt(o, c, l);
    c->looks++;
    if (c != &m->c[0]) return;
    m->look_row[m->looks] = (int64_t)l->row;
    m->look_d[m->looks] = l->d;
    m->look_p[m->looks] = c->any_p;
    m->look_fixed[m->looks++] = 2 * mr_normal_sf(fabs(l->d) / sqrt(l->v));
}

/* False when the look does not count: too few rows, or nothing varies. */
static bool take_look(const analysis *a, const mr_arm_sums *s0, const mr_arm_sums *s1, unsigned k, look *l) {
    const mr_experiment *e = a->e;
    if (s0[k].n < a->o->first_look || s1[k].n < a->o->first_look) return false;
    l->d = s1[k].y - s0[k].y;
    l->v = variance_of(&s0[k], &s1[k], a->out->proportion);
    l->sd = sqrt(l->v / (1 / s0[k].n + 1 / s1[k].n));
    l->row = ((uint64_t)k + 1) << e->shift;
    if (l->row > e->last + 1) l->row = e->last + 1;
    return l->v > 0;
}

/* The looks that were planned: equal steps over the rows, to the nearest run of rows from above. */
static void compare_planned(const analysis *a, mr_comparison *c, const mr_arm_sums *s0,
                            const mr_arm_sums *s1) {
    size_t runs = mr_experiment_looks(a->e), planned = a->o->planned_looks;
    look l;
    for (size_t k = 0; k < planned; k++) {
        size_t at = ((k + 1) * runs + planned - 1) / planned - 1;
        c->group_z[k] = NAN;
        if (!take_look(a, s0, s1, (unsigned)at, &l)) continue;
        c->group_z[k] = l.d / sqrt(l.v);
        if (c->group_at || !(fabs(c->group_z[k]) >= a->out->group.z[k])) continue;
        c->group_at = l.row;
        c->group_sign = l.d > 0 ? 1 : -1;
    }
}

/* Goes through the looks as a person would have who took every one. */
static mr_status compare_looks(analysis *a, mr_comparison *c, mr_error *err) {
    mr_arm_sums *s0, *s1;
    look l;
    MR_TRY(mr_experiment_path(a->e, a->out->control, &s0, err));
    MR_TRY(mr_experiment_path(a->e, c->arm, &s1, err));
    c->margin = c->any_p = c->sprt_ratio = NAN;
    for (unsigned k = 0; k < mr_experiment_looks(a->e); k++) {
        MR_TRY(mr_ticker_call(a->tick));
        if (take_look(a, s0, s1, k, &l)) look_once(a, c, &l);
    }
    compare_planned(a, c, s0, s1);
    return MR_OK;
}

static mr_status compare_strata(analysis *a, mr_comparison *c, mr_error *err) {
    const mr_sample *s = a->sample;
    size_t w = a->width, n = 0;
    double keys[2] = {mr_class_key(a->e->arm[a->out->control]), mr_class_key(a->e->arm[c->arm])};
    if (w == 0 || a->o->strata < 2) return MR_OK;
    mr_scratch_mark mark = mr_scratch_here(&a->scratch);
    double *x = mr_scratch_get(&a->scratch, s->count * w + 1, sizeof *x);
    double *y = mr_scratch_get(&a->scratch, s->count + 1, sizeof *y);
    uint8_t *treated = mr_scratch_get(&a->scratch, s->count + 1, 1);
    uint8_t *half = mr_scratch_get(&a->scratch, s->count + 1, 1);
    if (!x || !y || !treated || !half)
        return mr_fail(err, MR_E_MEMORY, "no memory for the strata of %zu rows", s->count);
    for (size_t i = 0; i < s->count; i++) {
        const double *row = s->values + i * (w + 2);
        if (row[w] != keys[0] && row[w] != keys[1]) continue;
        memcpy(x + n * w, row, w * sizeof *x);
        y[n] = row[w + 1];
        treated[n] = row[w] == keys[1];
        half[n++] = mr_mix64(mr_mix64(s->row[i]) ^ mr_mix64(a->o->seed + 1)) & 1;
    }
    MR_TRY(
        mr_strata_estimate(x, y, treated, half, n, w, a->o->strata, &a->scratch, a->tick, &c->strata, err));
    mr_scratch_back(&a->scratch, mark);
    return MR_OK;
}

/* ---- all of them ---- */

static const char *verdict_of(const mr_arms_options *o, const mr_comparison *c) {
    double sign = c->difference > 0 ? 1 : -1;
    bool decided = false;
    switch (o->horizon) {
    case MR_HORIZON_ANY:
        decided = c->any_p_holm < o->alpha;
        break;
    case MR_HORIZON_FIXED:
        decided = c->p_holm < o->alpha;
        break;
    case MR_HORIZON_GROUP:
        decided = c->group_at > 0;
        if (decided) sign = c->group_sign;
        break;
    }
    return !decided ? "undecided" : (sign > 0) != o->lower_is_better ? "better" : "worse";
}

static void judge(analysis *a) {
    mr_arms *m = a->out;
    double fixed[MR_ARMS] = {0}, any[MR_ARMS] = {0}, fixed_holm[MR_ARMS], any_holm[MR_ARMS];
    for (uint32_t k = 0; k < m->comparisons; k++) {
        fixed[k] = m->c[k].test.p;
        any[k] = m->c[k].any_p;
    }
    mr_holm(fixed, m->comparisons, fixed_holm);
    mr_holm(any, m->comparisons, any_holm);
    for (uint32_t k = 0; k < m->comparisons; k++) {
        mr_comparison *c = &m->c[k];
        c->p_holm = fixed_holm[k];
        c->any_p_holm = any_holm[k];
        c->verdict = verdict_of(a->o, c);
        if (m->srm.p < MR_SRM_ALPHA) c->verdict = "invalid";
    }
}

mr_status mr_arms_analyse(mr_experiment *e, const mr_sample *sample, size_t width, const mr_arms_options *o,
                          mr_arena *arena, const mr_ticker *tick, mr_arms *out, mr_error *err) {
    analysis a = {.e = e, .sample = sample, .width = width, .o = o, .tick = tick, .out = out};
    memset(out, 0, sizeof *out);
    mr_scratch_init(&a.scratch, arena);
    MR_TRY(order_arms(&a, err));
    MR_TRY(check_split(&a, err));
    out->proportion = e->other == 0;
    out->comparisons = out->count - 1;
    out->group = mr_group_design_of(o->bounds, o->planned_looks, o->alpha / out->comparisons, o->power, true);
    for (uint32_t i = 0, k = 0; i < out->count; i++) {
        if (out->order[i] == out->control) continue;
        mr_comparison *c = &out->c[k++];
        *c = (mr_comparison){
            .arm = out->order[i], .s0 = out->sums[out->control], .s1 = out->sums[out->order[i]]};
        compare_fixed(&a, c);
        if (e->covariate) compare_cuped(&a, c);
        MR_TRY(compare_looks(&a, c, err));
        MR_TRY(compare_strata(&a, c, err));
    }
    judge(&a);
    return MR_OK;
}
