#include "worker/kit/umap_layout.h"
#include "worker/kit/fixmath.h"

#include <math.h>
#include <string.h>

/* ---- the curve ---- */

enum { CURVE_POINTS = 300, STEPS_MAX = 200 };

static double wanted(double d, double min_dist, double spread) {
    return d < min_dist ? 1 : mr_fix_exp(-(d - min_dist) / spread);
}

typedef struct normal {
    double aa, ab, bb, ga, gb, squares; /* J'J, J'r, r'r */
} normal;

static normal equations(double a, double b, double min_dist, double spread) {
    normal e = {0};
    for (int i = 0; i < CURVE_POINTS; i++) {
        double d = 3 * spread * i / (CURVE_POINTS - 1), y = wanted(d, min_dist, spread);
        double log_d2 = d > 0 ? 2 * mr_fix_log(d) : 0, power = d > 0 ? mr_fix_exp(b * log_d2) : 0;
        double value = 1 / (1 + a * power), r = y - value;
        double da = -value * value * power, db = -value * value * a * power * log_d2;
        e.aa += da * da;
        e.ab += da * db;
        e.bb += db * db;
        e.ga += da * r;
        e.gb += db * r;
        e.squares += r * r;
    }
    return e;
}

void mr_umap_curve(double min_dist, double spread, double *a, double *b) {
    double damp = 1e-3;
    *a = *b = 1;
    normal e = equations(*a, *b, min_dist, spread);
    for (int i = 0; i < STEPS_MAX && damp < 1e12; i++) {
        double aa = e.aa * (1 + damp), bb = e.bb * (1 + damp), det = aa * bb - e.ab * e.ab;
        double step_a = (bb * e.ga - e.ab * e.gb) / det, step_b = (aa * e.gb - e.ab * e.ga) / det;
        if (!(*a + step_a > 0) || !(*b + step_b > 0)) {
            damp *= 10;
            continue;
        }
        normal next = equations(*a + step_a, *b + step_b, min_dist, spread);
        bool better = next.squares <= e.squares;
        damp = better ? damp / 10 : damp * 10;
        if (!better) continue;
        *a += step_a;
        *b += step_b;
        e = next;
        if (fabs(step_a) < 1e-14 * *a && fabs(step_b) < 1e-14 * *b) return;
    }
}

/* ---- the forces ---- */

enum { PIECES_BITS = 6, LOWEST = -30, HIGHEST = 20, PIECES = (HIGHEST - LOWEST) << PIECES_BITS };

typedef struct piece {
    double constant, slope;
} piece;

struct mr_umap_forces {
    piece pull[PIECES], push[PIECES];
};

static double pull_at(double a, double b, double d2) {
    double power = mr_fix_pow(d2, b);
    return -2 * a * b * power / d2 / (1 + a * power);
}

static double push_at(double a, double b, double d2) { return 2 * b / ((0.001 + d2) * (1 + a * mr_fix_pow(d2, b))); }

static double edge_of(size_t piece_at) {
    return mr_fix_double((uint64_t)(1023 + LOWEST) * ((uint64_t)1 << 52) + ((uint64_t)piece_at << (52 - PIECES_BITS)));
}

static piece straight(double x0, double y0, double x1, double y1) {
    double slope = (y1 - y0) / (x1 - x0);
    return (piece){y0 - slope * x0, slope};
}

mr_umap_forces *mr_umap_forces_new(double a, double b, mr_arena *arena) {
    mr_umap_forces *f = mr_arena_alloc(arena, 1, sizeof *f);
    for (size_t i = 0; f && i < PIECES; i++) {
        double low = edge_of(i), high = edge_of(i + 1);
        f->pull[i] = straight(low, pull_at(a, b, low), high, pull_at(a, b, high));
        f->push[i] = straight(low, push_at(a, b, low), high, push_at(a, b, high));
    }
    return f;
}

static inline double value_at(const piece *table, double d2) {
    if (!(d2 >= 0x1p-30)) d2 = 0x1p-30; /* NaN too */
    if (d2 > 0x1.ffffp19) d2 = 0x1.ffffp19;
    size_t at = (size_t)((mr_fix_bits(d2) >> (52 - PIECES_BITS)) - ((uint64_t)(1023 + LOWEST) << PIECES_BITS));
    return table[at].constant + table[at].slope * d2;
}

double mr_umap_pull(const mr_umap_forces *f, double squared) { return value_at(f->pull, squared); }
double mr_umap_push(const mr_umap_forces *f, double squared) { return value_at(f->push, squared); }

/* ---- the descent ---- */

static inline double squared_of(const double *x, const double *y, size_t dims) {
    double sum = 0;
    for (size_t j = 0; j < dims; j++) sum += (x[j] - y[j]) * (x[j] - y[j]);
    return sum;
}

static inline double clip(double v) { return v > 4 ? 4 : v < -4 ? -4 : v; }

/* An edge pulls x towards y; `moved` is y where y may move too, or NULL. */
static inline void pull(const mr_umap_forces *f, double *x, const double *y, double *moved, size_t dims, double step) {
    double d2 = squared_of(x, y, dims);
    if (d2 == 0) return;
    double force = value_at(f->pull, d2);
    for (size_t j = 0; j < dims; j++) {
        double move = step * clip(force * (x[j] - y[j]));
        x[j] += move;
        if (moved) moved[j] -= move;
    }
}

static inline void push(const mr_umap_forces *f, double *x, const double *y, size_t dims, double step) {
    double d2 = squared_of(x, y, dims);
    if (d2 == 0) return;
    double force = value_at(f->push, d2);
    for (size_t j = 0; j < dims; j++) x[j] += step * clip(force * (x[j] - y[j]));
}

/* A number below n from 32 random bits; for n < 2^32 the odds are even to 1 in 2^32 / n. */
static inline uint32_t below(uint32_t bits, size_t n) { return (uint32_t)(((uint64_t)bits * n) >> 32); }

static inline __attribute__((always_inline)) void push_some(const mr_umap_forces *f, double *x, const double *layout,
                                                            size_t self, size_t n, size_t dims, size_t count, double step,
                                                            mr_rng *rng) {
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        bits = i % 2 ? bits >> 32 : mr_rng_next(rng);
        uint32_t other = below((uint32_t)bits, n);
        if (other != self) push(f, x, layout + other * dims, dims, step);
    }
}

typedef struct pulls {
    uint32_t from, to;
    float every, next; /* rounds between two pulls; the round of the next */
} pulls;

/* One round over all edges; `dims` is a constant where it matters. */
static inline __attribute__((always_inline)) void round_of(const mr_umap_forces *f, pulls *edges, size_t count, size_t n,
                                                           size_t dims, size_t round, double step, mr_rng *rng,
                                                           double *layout) {
    for (size_t e = 0; e < count; e++) {
        if (edges[e].next > (float)round) continue;
        edges[e].next += edges[e].every;
        double *x = layout + edges[e].from * dims, *y = layout + edges[e].to * dims;
        pull(f, x, y, y, dims, step);
        push_some(f, x, layout, edges[e].from, n, dims, MR_UMAP_PUSHES, step, rng);
    }
}

static double heaviest(const mr_graph *g) {
    double most = 0;
    for (size_t e = 0; e < g->edges; e++) most = fmax(most, g->weight[e]);
    return most;
}

mr_status mr_umap_descend(const mr_graph *g, const mr_umap_forces *f, size_t dims, size_t epochs, mr_rng *rng,
                          mr_arena *arena, const mr_ticker *tick, double *layout, mr_error *err) {
    pulls *edges = mr_arena_alloc(arena, g->edges, sizeof *edges);
    if (!edges) return mr_fail(err, MR_E_MEMORY, "no memory for %zu edges", g->edges);
    double most = heaviest(g);
    for (size_t i = 0; i < g->n; i++)
        for (uint32_t e = g->start[i]; e < g->start[i + 1]; e++) {
            float every = (float)(most / g->weight[e]);
            edges[e] = (pulls){(uint32_t)i, g->to[e], every, every};
        }
    for (size_t round = 0; round < epochs; round++) {
        MR_TRY(mr_ticker_call(tick));
        double step = 1 - (double)round / (double)epochs;
        if (dims == 2)
            round_of(f, edges, g->edges, g->n, 2, round, step, rng, layout);
        else
            round_of(f, edges, g->edges, g->n, dims, round, step, rng, layout);
    }
    return MR_OK;
}

void mr_umap_settle(const mr_umap_forces *f, const double *layout, size_t n, size_t dims, const uint32_t *near,
                    const double *weight, size_t count, size_t epochs, mr_rng *rng, double *due, double *at) {
    double most = 0;
    for (size_t j = 0; j < count; j++) most = fmax(most, weight[j]);
    for (size_t j = 0; j < count; j++) due[j] = most / weight[j];
    for (size_t round = 0; round < epochs; round++) {
        double step = 0.25 * (1 - (double)round / (double)epochs);
        for (size_t j = 0; j < count; j++) {
            if (due[j] > (double)round) continue;
            due[j] += most / weight[j];
            pull(f, at, layout + near[j] * dims, NULL, dims, step);
            push_some(f, at, layout, SIZE_MAX, n, dims, MR_UMAP_PUSHES, step, rng);
        }
    }
}
