#include "worker/kit/projection.h"
#include "worker/kit/product.h"

#include <math.h>
#include <string.h>

const char *const mr_projection_words[] = {"pca", "autoencoder", "umap", NULL};
static const struct {
    const char *magic;
    uint32_t parts;
} formats[MR_PROJECTIONS] = {{"pca-1", 6}, {"autoencoder-1", 9}, {"umap-1", 12}};

/* ---- bytes ---- */

static void pack_umap(const mr_projection *p, mr_buf *out) {
    const mr_umap *u = &p->umap;
    mr_pack_u64(out, u->n);
    mr_pack_u64(out, u->dimensions);
    mr_pack_u64(out, u->neighbours);
    mr_pack_f64(out, u->a);
    mr_pack_f64(out, u->b);
    mr_pack_u64(out, u->seed);
    mr_pack_doubles(out, p->points.rows, u->n * p->names.count);
    mr_pack_doubles(out, u->layout, u->n * u->dimensions);
}

void mr_projection_pack(const mr_projection *p, mr_buf *out) {
    mr_pack_array(out, formats[p->kind].parts);
    mr_pack_text(out, formats[p->kind].magic);
    mr_pack_names(out, p->names);
    mr_pack_doubles(out, p->mean, p->names.count);
    mr_pack_doubles(out, p->scale, p->names.count);
    if (p->kind == MR_PROJECT_PCA) {
        mr_pack_u64(out, p->dimensions);
        mr_pack_doubles(out, p->loadings, p->dimensions * p->names.count);
    } else if (p->kind == MR_PROJECT_AUTOENCODER)
        mr_autoencoder_pack(&p->autoencoder, out);
    else
        pack_umap(p, out);
}

static mr_status read_pca(mr_projection *p, mr_unpack *u, mr_arena *arena, mr_error *err) {
    uint64_t kept;
    MR_TRY(mr_unpack_u64(u, p->names.count, &kept, err));
    p->dimensions = kept;
    return mr_unpack_doubles(u, kept * p->names.count, arena, &p->loadings, err);
}

static mr_status read_autoencoder(mr_projection *p, mr_unpack *u, mr_arena *arena, mr_error *err) {
    MR_TRY(mr_autoencoder_unpack(&p->autoencoder, arena, p->names.count, u, err));
    p->dimensions = p->autoencoder.code;
    return MR_OK;
}

static mr_status read_umap(mr_projection *p, mr_unpack *in, mr_arena *arena, mr_error *err) {
    uint64_t n, dimensions, neighbours;
    double *rows;
    mr_umap *u = &p->umap;
    MR_TRY(mr_unpack_u64(in, UINT32_MAX, &n, err));
    MR_TRY(mr_unpack_u64(in, MR_UMAP_DIMENSIONS_MAX, &dimensions, err));
    MR_TRY(mr_unpack_u64(in, n, &neighbours, err));
    MR_TRY(mr_unpack_f64(in, &u->a, err));
    MR_TRY(mr_unpack_f64(in, &u->b, err));
    MR_TRY(mr_unpack_u64(in, UINT64_MAX, &u->seed, err));
    if (n == 0 || dimensions == 0 || neighbours < 2 || !(u->a > 0) || !(u->b > 0) || u->a > 1e6 || u->b > 1e3)
        return mr_fail(err, MR_E_CORRUPT, "the model's layout of %llu rows makes no sense", (unsigned long long)n);
    u->n = n;
    u->neighbours = neighbours;
    p->dimensions = u->dimensions = dimensions;
    MR_TRY(mr_unpack_doubles(in, n * p->names.count, arena, &rows, err));
    MR_TRY(mr_unpack_doubles(in, n * dimensions, arena, &u->layout, err));
    return mr_points_init(&p->points, arena, rows, n, p->names.count, err);
}

mr_status mr_projection_read(mr_projection *p, mr_span bytes, mr_arena *arena, mr_error *err) {
    static mr_status (*const readers[MR_PROJECTIONS])(mr_projection *, mr_unpack *, mr_arena *, mr_error *) = {
        read_pca, read_autoencoder, read_umap};
    mr_unpack u;
    mr_error other;
    mr_status known = MR_E_CORRUPT;
    *p = (mr_projection){0};
    for (int kind = 0; kind < MR_PROJECTIONS && known != MR_OK; kind++) {
        mr_unpack_init(&u, bytes);
        known = mr_unpack_magic(&u, formats[kind].magic, formats[kind].parts, &other);
        p->kind = (mr_projection_kind)kind;
    }
    if (known != MR_OK) return mr_fail(err, MR_E_CORRUPT, "these bytes are no model of dimensionality_reducer");
    MR_TRY(mr_unpack_names(&u, arena, &p->names, err));
    if (p->names.count == 0) return mr_fail(err, MR_E_CORRUPT, "the model has no columns");
    MR_TRY(mr_unpack_doubles(&u, p->names.count, arena, &p->mean, err));
    MR_TRY(mr_unpack_doubles(&u, p->names.count, arena, &p->scale, err));
    return readers[p->kind](p, &u, arena, err);
}

/* ---- rows ---- */

/* The row's coordinates; returns the mean squared difference to what they give back. `z` is the scaled row. */
static double project(const mr_projection *p, double *z, double *scores) {
    size_t w = p->names.count;
    for (size_t k = 0; k < p->dimensions; k++) {
        scores[k] = 0;
        for (size_t j = 0; j < w; j++) scores[k] += z[j] * p->loadings[k * w + j];
    }
    double sum = 0;
    for (size_t k = 0; k < p->dimensions; k++)
        for (size_t j = 0; j < w; j++) z[j] -= scores[k] * p->loadings[k * w + j];
    for (size_t j = 0; j < w; j++) sum += z[j] * z[j];
    return sum / (double)w;
}

static mr_status run_autoencoder(const mr_projection *p, const double *z, size_t n, mr_arena *arena, const mr_ticker *tick,
                                 double *scores, double *errors, mr_error *err) {
    size_t w = p->names.count;
    double *back = mr_arena_alloc(arena, n * w + 1, sizeof *back);
    if (!back) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", n);
    MR_TRY(mr_autoencoder_run(&p->autoencoder, z, n, scores, back, arena, tick, err));
    for (size_t i = 0; i < n; i++) {
        errors[i] = 0;
        for (size_t j = i * w; j < (i + 1) * w; j++) errors[i] += (back[j] - z[j]) * (back[j] - z[j]) / (double)w;
    }
    return MR_OK;
}

mr_status mr_projection_run(const mr_projection *p, const double *x, size_t n, mr_arena *arena, const mr_ticker *tick,
                            double *scores, double *errors, mr_error *err) {
    size_t w = p->names.count;
    double *z = mr_arena_alloc(arena, n * w + 1, sizeof *z);
    mr_umap_placer *placer = p->kind == MR_PROJECT_UMAP ? mr_umap_placer_new(&p->umap, &p->points, arena) : NULL;
    if (!z || (p->kind == MR_PROJECT_UMAP && !placer)) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", n);
    for (size_t i = 0; i < n * w; i++) z[i] = (x[i] - p->mean[i % w]) / p->scale[i % w];
    if (p->kind == MR_PROJECT_AUTOENCODER) return run_autoencoder(p, z, n, arena, tick, scores, errors, err);
    for (size_t i = 0; i < n; i++) {
        MR_TRY(mr_ticker_call(tick));
        errors[i] = placer ? mr_umap_place(placer, z + i * w, scores + i * p->dimensions)
                           : project(p, z + i * w, scores + i * p->dimensions);
    }
    return MR_OK;
}
