#include "worker/kit/umap.h"
#include "worker/kit/fixmath.h"
#include "worker/kit/product.h"
#include "worker/kit/rsvd.h"
#include "worker/kit/spectral.h"
#include "common/hash.h"

#include <math.h>
#include <string.h>

enum { MANY_POINTS = 10000, EPOCHS_FEW = 500, EPOCHS_MANY = 200, SETTLE_FEW = 100, SETTLE_MANY = 30, POWER = 4 };
enum { STREAM_NEIGHBOURS = 1, STREAM_START, STREAM_BLUR, STREAM_DESCENT, STREAM_PLACE };
static const double START_SIZE = 10, START_BLUR = 1e-4, START_ENOUGH = 1e-4;

static uint64_t seed_of(uint64_t seed, uint64_t stream) { return mr_mix64(seed ^ mr_mix64(stream)); }

/* ---- where it starts ---- */

/* `directions`: dims x n. */
static void start_from(const double *directions, size_t n, size_t dims, uint64_t seed, double *layout) {
    double most = 0;
    for (size_t i = 0; i < n * dims; i++) most = fmax(most, fabs(directions[i]));
    mr_rng rng;
    mr_rng_seed(&rng, seed_of(seed, STREAM_BLUR));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dims; j++)
            layout[i * dims + j] =
                (most > 0 ? directions[j * n + i] * START_SIZE / most : 0) + START_BLUR * mr_fix_normal(&rng);
}

/* The scores on the leading principal components, component by component. */
static mr_status principal(const mr_points *p, size_t dims, uint64_t seed, mr_arena *arena, const mr_ticker *tick,
                           double **out, mr_error *err) {
    size_t n = p->n, w = p->width;
    double *x = mr_arena_alloc(arena, n * w, sizeof *x), *mean = mr_arena_alloc(arena, w, sizeof *mean);
    *out = mr_arena_alloc(arena, dims * n, sizeof **out);
    if (!x || !mean || !*out) return mr_fail(err, MR_E_MEMORY, "no memory to lay out %zu points", n);
    for (size_t i = 0; i < n * w; i++) mean[i % w] += p->rows[i] / (double)n;
    for (size_t i = 0; i < n * w; i++) x[i] = p->rows[i] - mean[i % w];
    mr_rsvd svd;
    mr_rsvd_options o = {.rank = dims, .oversample = 10, .power = POWER, .seed = seed_of(seed, STREAM_START)};
    MR_TRY(mr_rsvd_fit(x, n, w, &o, arena, tick, &svd, err));
    mr_product(mr_view_of(svd.vectors, w), mr_view_transposed(x, w), svd.rank, w, n, false, *out);
    return MR_OK;
}

static mr_status begin(const mr_points *p, const mr_graph *g, const mr_umap_options *o, mr_arena *arena,
                       const mr_ticker *tick, mr_umap *u, mr_error *err) {
    double *directions;
    MR_TRY(mr_graph_parts(g, arena, &u->parts, err));
    if (u->parts == 1) {
        mr_spectral s;
        MR_TRY(mr_spectral_fit(g, u->dimensions, START_ENOUGH, seed_of(o->seed, STREAM_START), arena, tick, &s, err));
        directions = s.vectors;
    } else {
        u->start = MR_UMAP_PRINCIPAL;
        MR_TRY(principal(p, u->dimensions, o->seed, arena, tick, &directions, err));
    }
    start_from(directions, p->n, u->dimensions, o->seed, u->layout);
    return MR_OK;
}

/* ---- fit ---- */

static mr_status check(const mr_points *p, const mr_umap_options *o, mr_error *err) {
    if (p->n < o->neighbours || p->n < o->dimensions + 3 || p->n < 4)
        return mr_fail(err, MR_E_INVALID, "UMAP in %zu dimensions with %zu neighbours needs more than %zu rows",
                       o->dimensions, o->neighbours, p->n);
    if (p->n * o->neighbours > UINT32_MAX / 2)
        return mr_fail(err, MR_E_INVALID, "%zu rows with %zu neighbours are too many for UMAP", p->n, o->neighbours);
    return MR_OK;
}

static double heaviest(const mr_graph *g) {
    double most = 0;
    for (size_t e = 0; e < g->edges; e++) most = fmax(most, g->weight[e]);
    return most;
}

static double mean_distance(const mr_knn *knn) {
    double sum = 0;
    for (size_t i = 0; i < knn->n * knn->k; i++) sum += knn->distance[i];
    return sum / (double)(knn->n * knn->k);
}

mr_status mr_umap_fit(const mr_points *p, const mr_umap_options *o, mr_arena *arena, const mr_ticker *tick, mr_umap *out,
                      mr_error *err) {
    MR_ASSERT(o->neighbours >= 3 && o->dimensions >= 1 && o->dimensions <= MR_UMAP_DIMENSIONS_MAX);
    MR_TRY(check(p, o, err));
    *out = (mr_umap){.n = p->n, .dimensions = o->dimensions, .neighbours = o->neighbours, .seed = o->seed,
                     .layout = mr_arena_alloc(arena, p->n * o->dimensions, sizeof(double))};
    mr_umap_curve(o->min_dist, o->spread, &out->a, &out->b);
    mr_umap_forces *forces = mr_umap_forces_new(out->a, out->b, arena);
    if (!out->layout || !forces) return mr_fail(err, MR_E_MEMORY, "no memory to lay out %zu points", p->n);
    size_t epochs = o->epochs ? o->epochs : p->n <= MANY_POINTS ? EPOCHS_FEW : EPOCHS_MANY;
    mr_knn knn;
    mr_graph graph;
    MR_TRY(mr_knn_fit(p, o->neighbours - 1, seed_of(o->seed, STREAM_NEIGHBOURS), arena, tick, &knn, err));
    out->exact_neighbours = knn.exact;
    out->usual_distance = mean_distance(&knn);
    MR_TRY(mr_umap_graph(&knn, arena, &graph, err));
    mr_graph_prune(&graph, heaviest(&graph) / (double)epochs); /* what would never be pulled */
    MR_TRY(begin(p, &graph, o, arena, tick, out, err));
    mr_rng rng;
    mr_rng_seed(&rng, seed_of(o->seed, STREAM_DESCENT));
    return mr_umap_descend(&graph, forces, out->dimensions, epochs, &rng, arena, tick, out->layout, err);
}

/* ---- new rows ---- */

struct mr_umap_placer {
    const mr_umap *u;
    const mr_points *p;
    mr_umap_forces *forces;
    mr_neighbour *near;
    uint32_t *rows;
    double *distance, *weight, *due;
};

mr_umap_placer *mr_umap_placer_new(const mr_umap *u, const mr_points *p, mr_arena *arena) {
    mr_umap_placer *l = mr_arena_alloc(arena, 1, sizeof *l);
    if (!l) return NULL;
    size_t k = u->neighbours;
    *l = (mr_umap_placer){.u = u, .p = p,
                          .forces = mr_umap_forces_new(u->a, u->b, arena),
                          .near = mr_arena_alloc(arena, k, sizeof *l->near),
                          .rows = mr_arena_alloc(arena, k, sizeof *l->rows),
                          .distance = mr_arena_alloc(arena, k, sizeof(double)),
                          .weight = mr_arena_alloc(arena, k, sizeof(double)),
                          .due = mr_arena_alloc(arena, k, sizeof(double))};
    return l->forces && l->near && l->rows && l->distance && l->weight && l->due ? l : NULL;
}

/* Memberships of the neighbours, and the mean of their places. */
static void put_between(mr_umap_placer *l, size_t count, double *out) {
    size_t dims = l->u->dimensions;
    double usual = 0, sum = 0;
    for (size_t j = 0; j < count; j++) usual += l->distance[j] / (double)count;
    mr_memberships(l->distance, count, 0, mr_fix_log((double)l->u->neighbours) / mr_fix_log(2), 1e-3 * usual, l->weight);
    memset(out, 0, dims * sizeof *out);
    for (size_t j = 0; j < count; j++) {
        sum += l->weight[j];
        for (size_t d = 0; d < dims; d++) out[d] += l->weight[j] * l->u->layout[l->rows[j] * dims + d];
    }
    for (size_t d = 0; d < dims; d++) out[d] /= sum;
}

double mr_umap_place(mr_umap_placer *l, const double *row, double *out) {
    const mr_umap *u = l->u;
    size_t count = mr_nearest(l->p, row, MR_NOBODY, u->neighbours, l->near);
    double sum = 0;
    for (size_t j = 0; j < count; j++) {
        l->rows[j] = l->near[j].row;
        l->distance[j] = l->near[j].distance;
        sum += l->near[j].distance;
    }
    if (count == 0 || l->distance[0] == 0) {
        memcpy(out, u->layout + (count ? l->rows[0] : 0) * u->dimensions, u->dimensions * sizeof *out);
        return count ? sum / (double)count : INFINITY;
    }
    put_between(l, count, out);
    size_t kept = 0; /* far ones may weigh nothing at all */
    for (size_t j = 0; j < count; j++)
        if (l->weight[j] > 1e-300) l->rows[kept] = l->rows[j], l->weight[kept++] = l->weight[j];
    mr_rng rng;
    mr_span bytes = {(const uint8_t *)row, l->p->width * sizeof *row};
    mr_rng_stream(&rng, seed_of(u->seed, STREAM_PLACE), mr_xxh64(bytes, 0), 0);
    mr_umap_settle(l->forces, u->layout, u->n, u->dimensions, l->rows, l->weight, kept,
                   u->n <= MANY_POINTS ? SETTLE_FEW : SETTLE_MANY, &rng, l->due, out);
    return sum / (double)count;
}
