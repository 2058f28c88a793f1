#include "worker/kit/causalresult.h"

#include "common/pack.h"
#include "worker/kit/put.h"

#include <math.h>
#include <stdio.h>

enum { METHODS_MAX = 16, COLUMNS_MAX = 65536, TEXT_MAX = 4096 };

static mr_status not_one(mr_error *err) {
    return mr_fail(err, MR_E_INVALID, "what was given is no result of causal_inference_analyzer");
}

/* False when it is missing or nil. */
static bool find(const mr_unpack *map, const char *name, mr_unpack *out) {
    return mr_unpack_find(map, name, out) == MR_OK && out->at < out->end && *out->at != 0xc0;
}

static bool number(const mr_unpack *map, const char *name, double *out) {
    mr_unpack v;
    return find(map, name, &v) && mr_unpack_f64(&v, out, NULL) == MR_OK && isfinite(*out);
}

static bool interval(const mr_unpack *map, double *low, double *high) {
    mr_unpack v;
    uint32_t n;
    return find(map, "interval", &v) && mr_unpack_array(&v, 2, &n, NULL) == MR_OK && n == 2 &&
           mr_unpack_f64(&v, low, NULL) == MR_OK && mr_unpack_f64(&v, high, NULL) == MR_OK;
}

static mr_status read_methods(mr_unpack effects, mr_causal_effect *out, mr_error *err) {
    uint32_t count;
    if (mr_unpack_array(&effects, METHODS_MAX, &count, NULL) != MR_OK) return not_one(err);
    for (uint32_t i = 0; i < count; i++) {
        mr_unpack one = effects, v;
        mr_causal_effect e = *out;
        MR_TRY(mr_unpack_skip(&effects, err));
        if (!number(&one, "effect", &e.effect) || !interval(&one, &e.low, &e.high)) continue;
        if (!find(&one, "method", &v) || mr_unpack_str(&v, TEXT_MAX, &e.method, NULL) != MR_OK) return not_one(err);
        if (i == 0) e.naive = e.effect, e.naive_low = e.low, e.naive_high = e.high;
        e.known = true;
        *out = e;
    }
    return MR_OK;
}

static bool count_of(const mr_unpack *map, const char *name, uint64_t *sum) {
    mr_unpack v;
    uint64_t n;
    if (!find(map, name, &v) || mr_unpack_u64(&v, UINT32_MAX, &n, NULL) != MR_OK) return false;
    *sum += n;
    return true;
}

/* They come with the largest bias first; the others are only counted. */
static mr_status read_adjusters(mr_unpack list, mr_causal_effect *out, mr_error *err) {
    if (mr_unpack_array(&list, COLUMNS_MAX, &out->adjusted, NULL) != MR_OK) return not_one(err);
    for (uint32_t i = 0; i < out->adjusted; i++) {
        mr_unpack one = list, v;
        bool confounder = false;
        MR_TRY(mr_unpack_skip(&list, err));
        if (!find(&one, "confounder", &v) || mr_unpack_bool(&v, &confounder, NULL) != MR_OK) return not_one(err);
        if (!confounder || out->confounders == MR_CAUSAL_NAMED) continue;
        if (!find(&one, "column", &v) || mr_unpack_str(&v, TEXT_MAX, &out->confounder[out->confounders++], NULL) != MR_OK)
            return not_one(err);
    }
    return MR_OK;
}

static mr_status read_effect(mr_span result, mr_causal_effect *out, mr_error *err) {
    mr_unpack map, v;
    uint32_t count;
    out->naive = out->naive_low = out->naive_high = NAN;
    mr_unpack_init(&map, result);
    v = map;
    if (mr_unpack_map(&v, 1024, &count, NULL) != MR_OK || mr_unpack_find(&map, "comparison", &v) != MR_OK)
        return not_one(err);
    if (!find(&map, "comparison", &v)) return MR_OK;
    if (mr_unpack_str(&v, TEXT_MAX, &out->comparison, NULL) != MR_OK || !count_of(&map, "treated", &out->rows) ||
        !count_of(&map, "untreated", &out->rows))
        return not_one(err);
    if (find(&map, "adjusted_for", &v)) MR_TRY(read_adjusters(v, out, err));
    return find(&map, "effects", &v) ? read_methods(v, out, err) : MR_OK;
}

mr_status mr_causal_effect_read(mr_ctx *ctx, mr_causal_effect *out, mr_error *err) {
    *out = (mr_causal_effect){.from = mr_ctx_given(ctx, "causal_inference_analyzer"), .where = "this run"};
    if (!out->from) return MR_OK;
    if (out->from->run) snprintf(out->where, sizeof out->where, "run %llu", (unsigned long long)out->from->run);
    return read_effect(out->from->bytes, out, err);
}

bool mr_causal_effect_is_clear(const mr_causal_effect *e) { return e->known && (e->low > 0 || e->high < 0); }

bool mr_causal_effect_vanished(const mr_causal_effect *e) {
    return e->known && (e->naive_low > 0 || e->naive_high < 0) && !mr_causal_effect_is_clear(e);
}

void mr_causal_effect_adjusters(const mr_causal_effect *e, char *out, size_t size) {
    size_t at = 0, rest = e->adjusted - e->confounders;
    *out = 0;
    for (uint32_t i = 0; i < e->confounders; i++) {
        const char *before = i == 0 ? "" : i + 1 == e->confounders && !rest ? " and " : ", ";
        int shown = (int)(e->confounder[i].len < 60 ? e->confounder[i].len : 60);
        at += (size_t)snprintf(out + at, size - at, "%s%.*s", before, shown, (const char *)e->confounder[i].data);
    }
    if (rest || !e->confounders)
        snprintf(out + at, size - at, "%s%zu %scolumn%s", e->confounders ? " and " : "", rest,
                 e->confounders ? "more " : "", rest == 1 ? "" : "s");
}

static void put_effect(mr_out *out, const char *field, const mr_causal_effect *e) {
    if (!e->known) {
        mr_out_nil(out, field);
        return;
    }
    mr_out_open_map(out, field);
    mr_out_span(out, "comparison", e->comparison);
    mr_out_span(out, "method", e->method);
    mr_out_number(out, "effect", e->effect);
    mr_out_numbers(out, "interval", (double[]){e->low, e->high}, 2);
    mr_out_number(out, "naive", e->naive);
    mr_out_integer(out, "rows", (int64_t)e->rows);
    mr_out_integer(out, "adjusted_for", e->adjusted);
    mr_out_bool(out, "vanished", mr_causal_effect_vanished(e));
    mr_out_close(out);
}

static void finding(mr_out *out, const mr_causal_effect *e) {
    char adjusters[256];
    bool clear = mr_causal_effect_is_clear(e);
    mr_causal_effect_adjusters(e, adjusters, sizeof adjusters);
    mr_out_finding(out, clear ? 0.97 : 0.5,
                   "%.*s: %+.4g (interval %.4g to %.4g, %.*s, %llu rows, after adjusting for %s), by "
                   "causal_inference_analyzer of %s; %s",
                   MR_SPAN_ARG(e->comparison), e->effect, e->low, e->high, MR_SPAN_ARG(e->method),
                   (unsigned long long)e->rows, adjusters, e->where,
                   clear ? "unlike the associations below it is an effect, if its assumptions hold"
                         : "the interval holds 0, so no effect is shown");
}

void mr_causal_effect_put(mr_out *out, const mr_causal_effect *e, bool ranked) {
    if (!e->from) return;
    mr_put_given(out, "causal_from", e->from);
    put_effect(out, "causal", e);
    if (!e->known)
        mr_out_finding(out, 0.1, "%s of %s estimated no effect, so nothing here is more than an association",
                       e->from->component, e->where);
    else if (!ranked)
        finding(out, e);
}
