#include "worker/kit/causalresult.h"

#include "common/pack.h"

#include <math.h>

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

mr_status mr_causal_effect_read(mr_span result, mr_causal_effect *out, mr_error *err) {
    mr_unpack map, v;
    uint32_t count;
    *out = (mr_causal_effect){0};
    mr_unpack_init(&map, result);
    v = map;
    if (mr_unpack_map(&v, 1024, &count, NULL) != MR_OK || mr_unpack_find(&map, "comparison", &v) != MR_OK) return not_one(err);
    if (!find(&map, "comparison", &v)) return MR_OK;
    if (mr_unpack_str(&v, TEXT_MAX, &out->comparison, NULL) != MR_OK || !count_of(&map, "treated", &out->rows) ||
        !count_of(&map, "untreated", &out->rows))
        return not_one(err);
    if (find(&map, "adjusted_for", &v) && mr_unpack_array(&v, COLUMNS_MAX, &out->adjusted, NULL) != MR_OK) return not_one(err);
    return find(&map, "effects", &v) ? read_methods(v, out, err) : MR_OK;
}

void mr_causal_effect_put(mr_out *out, const char *field, const mr_causal_effect *e) {
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
