#include "worker/kit/advice.h"

#include "worker/kit/columns.h"
#include "worker/kit/put.h"

#include <math.h>
#include <stdio.h>

enum { SHOWN = 10 };

/* ---- leads ---- */

/* By itself; the causal result's own naive difference where that is what is advised by. */
static bool clear_alone(const mr_advice *a, const mr_lead *l) { return l->alone.holm < a->alpha; }

/* Nothing is left when the whole interval with the others held lies within half of what showed without them: an interval that
 * is merely wide says nothing. */
static bool is_nothing(const mr_lead *l) {
    double half = fabs(l->alone.coefficient) / 2;
    return l->low <= 0 && l->high >= 0 && fmax(-l->low, l->high) < half;
}

static void judge(const mr_advice *a, double share, mr_lead *l) {
    l->effect = mr_clean(l->held.coefficient, a->sd);
    l->low = mr_clean(l->held.low, a->sd), l->high = mr_clean(l->held.high, a->sd);
    if (l->causal) l->effect = a->causal->effect, l->low = a->causal->low, l->high = a->causal->high;
    l->vanished = l->causal ? mr_causal_effect_vanished(a->causal)
                            : clear_alone(a, l) && !(l->held.holm < a->alpha) && is_nothing(l);
    l->support = (l->effect > 0 ? 1 - l->held.above : l->held.above) * share;
    l->priority = l->vanished ? 0 : fabs(l->effect) / a->sd * l->support;
}

/* The constant columns are in neither list, so both hold the same columns in the same order. */
static mr_status alone(const double *x, const char *const *names, const double *y, size_t n, size_t width, mr_arena *arena,
                       const mr_ticker *tick, mr_advice *a, mr_error *err) {
    double *column = mr_arena_alloc(arena, n + 1, sizeof *column), *p = mr_arena_alloc(arena, 2 * width + 1, sizeof *p);
    if (!column || !p) return mr_fail(err, MR_E_MEMORY, "no memory for the associations of %zu columns", width);
    for (size_t j = 0, at = 0; j < width && at < a->count; j++) {
        mr_association *one;
        size_t count;
        for (size_t i = 0; i < n; i++) column[i] = x[i * width + j];
        MR_TRY(mr_associate(column, &names[j], y, n, 1, a->level, arena, tick, &one, &count, err));
        if (count) a->leads[at++].alone = one[0];
    }
    for (size_t k = 0; k < a->count; k++) p[k] = a->leads[k].alone.p;
    mr_holm(p, a->count, p + width);
    for (size_t k = 0; k < a->count; k++) a->leads[k].alone.holm = p[width + k];
    return MR_OK;
}

/* Largest priority first, ties as the columns came (insertion sort: there are few). */
static void rank(mr_advice *a) {
    for (size_t i = 1; i < a->count; i++) {
        mr_lead l = a->leads[i];
        size_t at = i;
        for (; at > 0 && a->leads[at - 1].priority < l.priority; at--) a->leads[at] = a->leads[at - 1];
        a->leads[at] = l;
    }
}

mr_status mr_advise(const double *x, const char *const *names, const double *y, size_t n, size_t width, bool treated,
                    double share, mr_arena *arena, const mr_ticker *tick, mr_advice *a, mr_error *err) {
    double mean;
    mr_association *held;
    a->two_valued = true;
    for (size_t i = 0; i < n; i++) a->two_valued &= y[i] == 0 || y[i] == 1;
    if (n) mr_mean_sd(y, n, 1, &mean, &a->sd);
    MR_TRY(mr_associate(x, names, y, n, width, a->level, arena, tick, &held, &a->count, err));
    a->leads = mr_arena_alloc(arena, a->count + 1, sizeof *a->leads);
    if (!a->leads) return mr_fail(err, MR_E_MEMORY, "no memory for %zu columns", a->count);
    for (size_t k = 0; k < a->count; k++) {
        a->leads[k].held = held[k];
        a->leads[k].causal = treated && a->causal && a->causal->known && held[k].two && held[k].name == names[width - 1];
    }
    MR_TRY(alone(x, names, y, n, width, arena, tick, a, err));
    for (size_t k = 0; k < a->count; k++) judge(a, share, &a->leads[k]);
    rank(a);
    return MR_OK;
}

bool mr_lead_is_clear(const mr_advice *a, const mr_lead *l) {
    return l->causal ? mr_causal_effect_is_clear(a->causal) : l->held.holm < a->alpha;
}

bool mr_advice_tells_causal(const mr_advice *a) {
    for (size_t k = 0; k < a->count; k++)
        if (a->leads[k].causal && (a->leads[k].vanished || mr_lead_is_clear(a, &a->leads[k]))) return true;
    return false;
}

/* ---- output ---- */

static double in_sd(const mr_advice *a, const mr_lead *l) { return fabs(l->effect) / a->sd; }

static void put_lead(mr_out *out, const mr_advice *a, const mr_lead *l) {
    const mr_association *h = &l->held;
    mr_out_open_map(out, NULL);
    mr_out_text(out, "column", "%s", h->name);
    mr_out_integer(out, "n", (int64_t)a->used);
    mr_out_number(out, "coefficient", h->coefficient);
    mr_out_number(out, "step", h->step);
    mr_out_text(out, "step_is", "%s", h->two ? "from its low to its high value" : "1 sd");
    mr_put_pair(out, "interval", h->low, h->high);
    mr_out_text(out, "test", "t of the regression coefficient (HC1)");
    mr_out_number(out, "df", h->df);
    mr_out_number(out, "p", h->p);
    mr_out_number(out, "p_holm", h->holm);
    mr_out_number(out, "effect", in_sd(a, l));
    mr_out_number(out, "support", l->support);
    mr_out_number(out, "naive", l->causal ? a->causal->naive : l->alone.coefficient);
    mr_out_number(out, "naive_p_holm", l->alone.holm);
    mr_out_bool(out, "vanished", l->vanished);
    mr_out_text(out, "basis", "%s", l->causal ? "causal effect" : "association");
    mr_out_close(out);
}

static void put_evidence(mr_out *out, const mr_advice *a, const mr_lead *l) {
    char adjusters[256];
    if (!l->causal) {
        mr_out_text(out, "evidence", "regression on %zu columns, n = %zu, t (HC1) after Holm's correction %s", a->count,
                    a->used, mr_say_p(l->held.holm).text);
        return;
    }
    mr_causal_effect_adjusters(a->causal, adjusters, sizeof adjusters);
    mr_out_text(out, "evidence", "%.*s, n = %llu, after adjusting for %s, by causal_inference_analyzer of %s",
                MR_SPAN_ARG(a->causal->method), (unsigned long long)a->causal->rows, adjusters, a->causal->where);
}

void mr_advice_put(mr_out *out, const mr_advice *a) {
    mr_out_open_list(out, "effects");
    for (size_t k = 0; k < a->count; k++) put_lead(out, a, &a->leads[k]);
    mr_out_close(out);
    mr_out_open_list(out, "recommendations");
    for (size_t k = 0, shown = 0; k < a->count && shown < SHOWN; k++) {
        const mr_lead *l = &a->leads[k];
        if (!mr_lead_is_clear(a, l)) continue;
        shown++;
        mr_out_open_map(out, NULL);
        mr_out_text(out, "column", "%s", l->held.name);
        mr_out_text(out, "direction", "%s", l->effect > 0 ? "raise" : "lower");
        mr_out_number(out, "priority", l->priority);
        mr_out_number(out, "effect", in_sd(a, l));
        mr_out_number(out, "support", l->support);
        mr_out_text(out, "basis", "%s", l->causal ? "causal effect" : "association");
        put_evidence(out, a, l);
        mr_out_close(out);
    }
    mr_out_close(out);
}

/* ---- findings ---- */

typedef struct words {
    double unit;
    const char *points, *what;
    double low, high; /* of the change that is advised, so that it is upwards */
    bool up;
} words;

static words words_of(const mr_advice *a, const mr_lead *l) {
    bool up = l->effect > 0;
    words w = {.unit = a->two_valued ? 100 : 1, .points = a->two_valued ? " points" : "", .up = up};
    w.low = w.unit * (up ? l->low : -l->high);
    w.high = w.unit * (up ? l->high : -l->low);
    w.what = l->held.two ? (up ? "its larger value" : "its smaller value") : (up ? "one sd more" : "one sd less");
    return w;
}

static void association_finding(mr_out *out, const mr_advice *a, const mr_lead *l) {
    words w = words_of(a, l);
    char others[80] = "no other column was there to adjust for";
    if (a->count > 1)
        snprintf(others, sizeof others, "after adjusting for %zu other column%s", a->count - 1, a->count == 2 ? "" : "s");
    mr_out_finding(out, fmin(0.95, 0.5 + l->priority),
                   "%s %.60s: %s (%.4g) goes with %s that is higher by %.3g%s (%g %% interval %.3g to %.3g, %zu rows, %s; t "
                   "(HC1) after Holm's correction %s); an association, unless nothing else differs between the rows",
                   w.up ? "raise" : "lower", l->held.name, w.what, l->held.step, a->target, w.unit * fabs(l->effect), w.points,
                   100 * a->level, w.low, w.high, a->used, others, mr_say_p(l->held.holm).text);
}

static void causal_finding(mr_out *out, const mr_advice *a, const mr_lead *l) {
    const mr_causal_effect *e = a->causal;
    words w = words_of(a, l);
    char adjusters[256];
    mr_causal_effect_adjusters(e, adjusters, sizeof adjusters);
    mr_out_finding(out, fmin(0.97, 0.6 + l->priority),
                   "%s %.60s: %s raises %s by %.3g%s (interval %.3g to %.3g, %.*s, %llu rows, after adjusting for %s; the naive "
                   "difference is %.3g), by causal_inference_analyzer of %s; an effect, if its assumptions hold",
                   w.up ? "raise" : "lower", l->held.name, w.what, a->target, w.unit * fabs(l->effect), w.points, w.low, w.high,
                   MR_SPAN_ARG(e->method), (unsigned long long)e->rows, adjusters, w.unit * (w.up ? e->naive : -e->naive),
                   e->where);
}

static void vanished_finding(mr_out *out, const mr_advice *a, const mr_lead *l) {
    words w = words_of(a, l);
    char adjusters[256];
    if (l->causal) {
        mr_causal_effect_adjusters(a->causal, adjusters, sizeof adjusters);
        mr_out_finding(out, 0.35,
                       "do not act on %.60s: by itself its larger value goes with a difference of %.3g%s in %s, but after "
                       "adjusting for %s %.2g is left (interval %.3g to %.3g, %.*s, %llu rows), by causal_inference_analyzer of "
                       "%s; no effect is shown",
                       l->held.name, w.unit * a->causal->naive, w.points, a->target, adjusters, w.unit * l->effect,
                       w.unit * l->low, w.unit * l->high, MR_SPAN_ARG(a->causal->method), (unsigned long long)a->causal->rows,
                       a->causal->where);
        return;
    }
    mr_out_finding(out, 0.3,
                   "do not act on %.60s: by itself %s goes with a difference of %.3g%s in %s (t (HC1) after Holm's correction "
                   "%s), but after adjusting for %zu other column%s %.2g is left (%g %% interval %.3g to %.3g, %zu rows): it "
                   "goes with what they do, or acts through them",
                   l->held.name, l->held.two ? "its larger value" : "one sd more", w.unit * l->alone.coefficient, w.points,
                   a->target, mr_say_p(l->alone.holm).text, a->count - 1, a->count == 2 ? "" : "s", w.unit * l->effect,
                   100 * a->level, w.unit * l->low, w.unit * l->high, a->used);
}

size_t mr_advice_findings(mr_out *out, const mr_advice *a) {
    size_t advised = 0, vanished = 0;
    for (size_t k = 0; k < a->count && advised < SHOWN; k++) {
        const mr_lead *l = &a->leads[k];
        if (!mr_lead_is_clear(a, l)) continue;
        advised++;
        if (l->causal) causal_finding(out, a, l);
        else association_finding(out, a, l);
    }
    for (size_t k = 0; k < a->count && vanished < SHOWN; k++) {
        if (!a->leads[k].vanished) continue;
        vanished++;
        vanished_finding(out, a, &a->leads[k]);
    }
    return advised + vanished;
}
