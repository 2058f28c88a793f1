#include "worker/kit/causalresult.h"

#include "common/pack.h"
#include "worker/kit/put.h"

#include <math.h>
#include <stdio.h>

typedef struct causal_effect {
    bool known;                 /* false: that result estimated none, and the rest is empty */
    mr_span comparison, method; /* borrowed from the result */
    double effect, low, high;
    uint64_t rows;     /* treated and untreated */
    uint32_t adjusted; /* columns that were adjusted for */
} causal_effect;

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

static mr_status read_methods(mr_unpack effects, causal_effect *out, mr_error *err) {
    uint32_t count;
    if (mr_unpack_array(&effects, METHODS_MAX, &count, NULL) != MR_OK) return not_one(err);
    for (uint32_t i = 0; i < count; i++) {
        mr_unpack one = effects, v;
        causal_effect e = *out;
        MR_TRY(mr_unpack_skip(&effects, err));
        if (!number(&one, "effect", &e.effect) || !interval(&one, &e.low, &e.high)) continue;
        if (!find(&one, "method", &v) || mr_unpack_str(&v, TEXT_MAX, &e.method, NULL) != MR_OK) return not_one(err);
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

static mr_status read_effect(mr_span result, causal_effect *out, mr_error *err) {
    mr_unpack map, v;
    uint32_t count;
    *out = (causal_effect){0};
    mr_unpack_init(&map, result);
    v = map;
    if (mr_unpack_map(&v, 1024, &count, NULL) != MR_OK || mr_unpack_find(&map, "comparison", &v) != MR_OK)
        return not_one(err);
    if (!find(&map, "comparison", &v)) return MR_OK;
    if (mr_unpack_str(&v, TEXT_MAX, &out->comparison, NULL) != MR_OK || !count_of(&map, "treated", &out->rows) ||
        !count_of(&map, "untreated", &out->rows))
        return not_one(err);
    if (find(&map, "adjusted_for", &v) && mr_unpack_array(&v, COLUMNS_MAX, &out->adjusted, NULL) != MR_OK)
        return not_one(err);
    return find(&map, "effects", &v) ? read_methods(v, out, err) : MR_OK;
}

static void put_effect(mr_out *out, const char *field, const causal_effect *e) {
    if (!e->known) {
        mr_out_nil(out, field);
        return;
    }
    mr_out_open_map(out, field);
    mr_out_span(out, "comparison", e->comparison);
    mr_out_span(out, "method", e->method);
    mr_out_number(out, "effect", e->effect);
    mr_out_numbers(out, "interval", (double[]){e->low, e->high}, 2);
    mr_out_integer(out, "rows", (int64_t)e->rows);
    mr_out_integer(out, "adjusted_for", e->adjusted);
    mr_out_close(out);
}

mr_status mr_causal_effect_cite(mr_ctx *ctx, mr_out *out, mr_error *err) {
    const mr_given *g = mr_ctx_given(ctx, "causal_inference_analyzer");
    causal_effect e;
    char where[48] = "this run";
    if (!g) return MR_OK;
    MR_TRY(read_effect(g->bytes, &e, err));
    if (g->run) snprintf(where, sizeof where, "run %llu", (unsigned long long)g->run);
    mr_put_given(out, "causal_from", g);
    put_effect(out, "causal", &e);
    if (!e.known) {
        mr_out_finding(out, 0.1, "%s of %s estimated no effect, so nothing here is more than an association", g->component,
                       where);
        return MR_OK;
    }
    bool clear = e.low > 0 || e.high < 0;
    mr_out_finding(out, clear ? 0.97 : 0.5,
                   "%.*s: %+.4g (interval %.4g to %.4g, %.*s, %llu rows, adjusted for %u columns), by %s of %s; %s",
                   MR_SPAN_ARG(e.comparison), e.effect, e.low, e.high, MR_SPAN_ARG(e.method), (unsigned long long)e.rows,
                   e.adjusted, g->component, where,
                   clear ? "unlike the associations below it is an effect, if its assumptions hold"
                         : "the interval holds 0, so no effect is shown");
    return MR_OK;
}
