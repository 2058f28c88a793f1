#include "worker/kit/autoencoder.h"
#include "worker/kit/columns.h"
#include "worker/kit/fixmath.h"
#include "worker/kit/lbfgs.h"
#include "worker/kit/product.h"
#include "worker/kit/wide.h"
#include "common/rng.h"

#include <math.h>
#include <string.h>

enum { LAYERS = 4, CODE_LAYER = 1, RUN_ROWS = 256, HIDDEN_MAX = 4096 };
static const bool curved[LAYERS] = {true, false, true, false};
static const double ENOUGH = 1e-7;

/* The layers of one network over some rows: out[l] and delta[l] are rows x size[l + 1]. */
typedef struct net {
    size_t size[LAYERS + 1], rows;
    const double *in; /* rows x size[0] */
    double *out[LAYERS], *delta[LAYERS];
    double decay;
    size_t count; /* of weights */
    const mr_ticker *tick;
} net;

static net net_of(size_t width, size_t hidden, size_t code, size_t rows) {
    net t = {.size = {width, hidden, code, hidden, width}, .rows = rows};
    for (size_t l = 0; l < LAYERS; l++) t.count += (t.size[l] + 1) * t.size[l + 1];
    return t;
}

static bool net_alloc(net *t, mr_arena *arena, bool backward) {
    for (size_t l = 0; l < LAYERS; l++) {
        t->out[l] = mr_arena_alloc(arena, t->rows * t->size[l + 1], sizeof(double));
        t->delta[l] = backward ? mr_arena_alloc(arena, t->rows * t->size[l + 1], sizeof(double)) : NULL;
        if (!t->out[l] || (backward && !t->delta[l])) return false;
    }
    return true;
}

/* ---- forward and backward ---- */

MR_WIDE_BODY bend(double *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = mr_fix_tanh(x[i]);
}

static void bend_any(double *x, size_t n) { bend(x, n); }
MR_WIDE static void bend_wide(double *x, size_t n) { bend(x, n); }
MR_WIDEST static void bend_widest(double *x, size_t n) { bend(x, n); }

static void forward(net *t, const double *weights) {
    for (size_t l = 0; l < LAYERS; l++) {
        size_t from = t->size[l], to = t->size[l + 1];
        const double *bias = weights + from * to;
        for (size_t i = 0; i < t->rows; i++) memcpy(t->out[l] + i * to, bias, to * sizeof *bias);
        mr_product(mr_view_of(l ? t->out[l - 1] : t->in, from), mr_view_of(weights, to), t->rows, from, to, true, t->out[l]);
        if (curved[l]) (MR_WIDEST_HERE ? bend_widest : MR_WIDE_HERE ? bend_wide : bend_any)(t->out[l], t->rows * to);
        weights = bias + to;
    }
}

/* The gradient of layer l from its delta. */
static void layer_gradient(const net *t, size_t l, double *gradient) {
    size_t from = t->size[l], to = t->size[l + 1];
    double *bias = gradient + from * to;
    mr_product(mr_view_transposed(l ? t->out[l - 1] : t->in, from), mr_view_of(t->delta[l], to), from, t->rows, to, true,
               gradient);
    for (size_t i = 0; i < t->rows; i++)
        for (size_t j = 0; j < to; j++) bias[j] += t->delta[l][i * to + j];
}

/* Adds to the gradient; the delta of the last layer is set. */
static void backward(net *t, const double *weights, double *gradient) {
    size_t at[LAYERS] = {0};
    for (size_t l = 1; l < LAYERS; l++) at[l] = at[l - 1] + (t->size[l - 1] + 1) * t->size[l];
    for (size_t l = LAYERS; l-- > 0;) {
        size_t from = t->size[l], to = t->size[l + 1];
        layer_gradient(t, l, gradient + at[l]);
        if (l == 0) return;
        mr_product(mr_view_of(t->delta[l], to), mr_view_transposed(weights + at[l], to), t->rows, to, from, false,
                   t->delta[l - 1]);
        for (size_t i = 0; curved[l - 1] && i < t->rows * from; i++)
            t->delta[l - 1][i] *= 1 - t->out[l - 1][i] * t->out[l - 1][i];
    }
}

static mr_status loss(void *self, const double *weights, double *value, double *gradient) {
    net *t = self;
    MR_TRY(mr_ticker_call(t->tick));
    size_t cells = t->rows * t->size[0];
    double squares = 0, scale = 1 / (double)cells;
    forward(t, weights);
    for (size_t i = 0; i < cells; i++) {
        double rest = t->out[LAYERS - 1][i] - t->in[i];
        t->delta[LAYERS - 1][i] = 2 * scale * rest;
        squares += rest * rest;
    }
    *value = squares * scale + t->decay * mr_dot(weights, weights, t->count);
    for (size_t i = 0; i < t->count; i++) gradient[i] = 2 * t->decay * weights[i];
    backward(t, weights, gradient);
    return MR_OK;
}

/* ---- fit ---- */

static void bounds(const double *x, size_t n, size_t width, double *low, double *range) {
    for (size_t j = 0; j < width; j++) {
        double most = low[j] = x[j];
        for (size_t i = 1; i < n; i++) {
            low[j] = fmin(low[j], x[i * width + j]);
            most = fmax(most, x[i * width + j]);
        }
        range[j] = most > low[j] ? most - low[j] : 1;
    }
}

static void to_unit(const mr_autoencoder *a, const double *x, size_t n, double *out) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < a->width; j++) out[i * a->width + j] = (x[i * a->width + j] - a->low[j]) / a->range[j];
}

/* Uniform weights within sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010), biases 0. */
static void begin(const net *t, uint64_t seed, double *weights) {
    mr_rng rng;
    mr_rng_seed(&rng, seed);
    for (size_t l = 0; l < LAYERS; l++) {
        size_t from = t->size[l], to = t->size[l + 1];
        double most = sqrt(6 / (double)(from + to));
        for (size_t i = 0; i < from * to; i++) weights[i] = most * (2 * mr_rng_unit(&rng) - 1);
        weights += (from + 1) * to;
    }
}

mr_status mr_autoencoder_fit(const double *x, size_t n, size_t width, const mr_autoencoder_options *o, mr_arena *arena,
                             const mr_ticker *tick, mr_autoencoder *out, mr_error *err) {
    MR_ASSERT(n > 0 && width > 0 && o->code > 0 && o->hidden > 0);
    net t = net_of(width, o->hidden, o->code, n);
    *out = (mr_autoencoder){.width = width, .hidden = o->hidden, .code = o->code,
                            .low = mr_arena_alloc(arena, width, sizeof(double)),
                            .range = mr_arena_alloc(arena, width, sizeof(double)),
                            .weights = mr_arena_alloc(arena, t.count, sizeof(double))};
    double *unit = mr_arena_alloc(arena, n * width, sizeof *unit);
    if (!out->low || !out->range || !out->weights || !unit || !net_alloc(&t, arena, true))
        return mr_fail(err, MR_E_MEMORY, "no memory for an autoencoder over %zu rows of %zu columns", n, width);
    bounds(x, n, width, out->low, out->range);
    to_unit(out, x, n, unit);
    t.in = unit;
    t.tick = tick;
    t.decay = o->decay;
    begin(&t, o->seed, out->weights);
    mr_lbfgs_result r;
    MR_TRY(mr_lbfgs(loss, &t, out->weights, t.count, o->iterations, ENOUGH, arena, &r, err));
    out->error = r.value - o->decay * mr_dot(out->weights, out->weights, t.count);
    out->iterations = r.iterations;
    out->converged = r.converged;
    return MR_OK;
}

/* ---- new rows ---- */

mr_status mr_autoencoder_run(const mr_autoencoder *a, const double *x, size_t n, double *code, double *back,
                             mr_arena *arena, const mr_ticker *tick, mr_error *err) {
    net t = net_of(a->width, a->hidden, a->code, RUN_ROWS);
    double *unit = mr_arena_alloc(arena, RUN_ROWS * a->width, sizeof *unit);
    if (!unit || !net_alloc(&t, arena, false)) return mr_fail(err, MR_E_MEMORY, "no memory for an autoencoder");
    t.in = unit;
    for (size_t at = 0; at < n; at += RUN_ROWS) {
        MR_TRY(mr_ticker_call(tick));
        t.rows = n - at < RUN_ROWS ? n - at : RUN_ROWS;
        to_unit(a, x + at * a->width, t.rows, unit);
        forward(&t, a->weights);
        if (code) memcpy(code + at * a->code, t.out[CODE_LAYER], t.rows * a->code * sizeof *code);
        for (size_t i = 0; back && i < t.rows * a->width; i++)
            back[at * a->width + i] = a->low[i % a->width] + a->range[i % a->width] * t.out[LAYERS - 1][i];
    }
    return MR_OK;
}

void mr_autoencoder_pack(const mr_autoencoder *a, mr_buf *out) {
    mr_pack_u64(out, a->hidden);
    mr_pack_u64(out, a->code);
    mr_pack_doubles(out, a->low, a->width);
    mr_pack_doubles(out, a->range, a->width);
    mr_pack_doubles(out, a->weights, net_of(a->width, a->hidden, a->code, 0).count);
}

mr_status mr_autoencoder_unpack(mr_autoencoder *a, mr_arena *arena, size_t width, mr_unpack *in, mr_error *err) {
    uint64_t hidden, code;
    MR_TRY(mr_unpack_u64(in, HIDDEN_MAX, &hidden, err));
    MR_TRY(mr_unpack_u64(in, width, &code, err));
    if (hidden == 0 || code == 0) return mr_fail(err, MR_E_CORRUPT, "the autoencoder has an empty layer");
    *a = (mr_autoencoder){.width = width, .hidden = hidden, .code = code};
    MR_TRY(mr_unpack_doubles(in, width, arena, &a->low, err));
    MR_TRY(mr_unpack_doubles(in, width, arena, &a->range, err));
    return mr_unpack_doubles(in, net_of(width, hidden, code, 0).count, arena, &a->weights, err);
}
