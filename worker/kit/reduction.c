#include "worker/kit/reduction.h"
#include "worker/kit/embedding_quality.h"
#include "worker/kit/product.h"
#include "worker/kit/rsvd.h"

#include <math.h>
#include <string.h>

enum { ROWS_LEAST = 50, TEST_SHARE = 5, OVERSAMPLE = 10, POWER = 4 };
enum { STREAM_TEST = 1, STREAM_AUTOENCODER, STREAM_UMAP, STREAM_CENTRES, STREAM_BESIDE };
static const double DECAY = 1e-5, AS_GOOD = 0.005;

typedef struct work {
    const mr_spread *spread;
    const mr_pca *pca;
    const mr_sample *sample;
    mr_names names;
    const mr_reduction_options *o;
    mr_arena *arena;
    const mr_ticker *tick;
    size_t n, width, dims;
    double *z; /* the sampled rows, scaled */
    mr_points points;
    mr_reduction *out;
} work;

static uint64_t seed_of(const work *w, uint64_t stream) { return mr_mix64(w->o->seed ^ mr_mix64(stream)); }

static mr_status no_memory(const work *w, mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "no memory to reduce %zu rows of %zu columns", w->n, w->width);
}

static mr_status prepare(work *w, mr_error *err) {
    w->n = w->sample->count;
    w->width = w->spread->width;
    w->dims = w->pca->kept;
    w->z = mr_arena_alloc(w->arena, w->n * w->width, sizeof *w->z);
    if (!w->z) return no_memory(w, err);
    for (size_t i = 0; i < w->n * w->width; i++)
        w->z[i] = (w->sample->values[i] - w->spread->mean[i % w->width]) / w->pca->scale[i % w->width];
    for (int k = 0; k < MR_PROJECTIONS; k++) {
        mr_candidate *c = &w->out->of[k];
        *c = (mr_candidate){.variance_kept = NAN, .trustworthiness = NAN, .continuity = NAN, .information = NAN};
        c->model = (mr_projection){.kind = (mr_projection_kind)k, .dimensions = w->dims, .names = w->names,
                                   .mean = w->spread->mean, .scale = w->pca->scale};
        c->scores = mr_arena_alloc(w->arena, w->n * w->dims, sizeof(double));
        if (!c->scores) return no_memory(w, err);
    }
    return mr_points_init(&w->points, w->arena, w->z, w->n, w->width, err);
}

/* ---- the scores ---- */

static mr_status score(work *w, mr_candidate *c, mr_error *err) {
    mr_points layout;
    mr_embedding_quality q;
    size_t k = w->o->neighbours, centres = w->n <= MR_REDUCE_EXACT ? 0 : MR_REDUCE_CENTRES;
    MR_TRY(mr_points_init(&layout, w->arena, c->scores, w->n, w->dims, err));
    MR_TRY(mr_embedding_quality_of(&w->points, &layout, k, centres, seed_of(w, STREAM_CENTRES), w->arena, w->tick, &q, err));
    c->tried = true;
    c->trustworthiness = q.trustworthiness;
    c->continuity = q.continuity;
    c->information = fmin(fmin(c->variance_kept, c->trustworthiness), c->continuity); /* of those that are not NaN */
    w->out->centres = q.centres;
    w->out->score_neighbours = k;
    return MR_OK;
}

/* ---- the ways ---- */

static mr_status by_pca(work *w, mr_candidate *c, mr_error *err) {
    double left = mr_pca_share(w->pca, 0, w->dims), n = (double)w->pca->fitted;
    c->model.loadings = w->pca->vectors;
    c->variance_kept = left;
    c->usual_error = (1 - left) * w->pca->total * (n - 1) / n / (double)w->width;
    mr_product(mr_view_of(w->z, w->width), mr_view_transposed(w->pca->vectors, w->width), w->n, w->width, w->dims, false,
               c->scores);
    return score(w, c, err);
}

/* The sampled rows in two parts: `train` and `test` have their own copies. */
typedef struct halves {
    size_t train_rows, test_rows;
    double *train, *test;
} halves;

static mr_status divide(const work *w, halves *h, mr_error *err) {
    size_t width = w->width, next = 0;
    *h = (halves){.test_rows = w->n / TEST_SHARE};
    uint32_t *drawn = mr_arena_alloc(w->arena, h->test_rows, sizeof *drawn);
    h->train = mr_arena_alloc(w->arena, (w->n - h->test_rows) * width, sizeof(double));
    h->test = mr_arena_alloc(w->arena, h->test_rows * width, sizeof(double));
    if (!drawn || !h->train || !h->test) return no_memory(w, err);
    MR_TRY(mr_sample_draw(w->arena, seed_of(w, STREAM_TEST), 0, (uint32_t)w->n, (uint32_t)h->test_rows, drawn, err));
    for (size_t i = 0; i < w->n; i++) {
        bool is_test = next < h->test_rows && drawn[next] == i;
        double *to = is_test ? h->test + next++ * width : h->train + h->train_rows++ * width;
        memcpy(to, w->z + i * width, width * sizeof *to);
    }
    return MR_OK;
}

/* What principal components of the training rows, as many as the code has numbers, leave of the test rows, in the
 * autoencoder's units. */
static mr_status pca_beside(const work *w, const halves *h, const mr_autoencoder *a, double *out, mr_error *err) {
    size_t width = w->width, n = h->train_rows;
    double *unit = mr_arena_alloc(w->arena, (n + h->test_rows) * width, sizeof *unit);
    double *mean = mr_arena_alloc(w->arena, width, sizeof *mean), squares = 0;
    mr_rsvd svd;
    mr_rsvd_options o = {w->dims, OVERSAMPLE, POWER, seed_of(w, STREAM_BESIDE)};
    if (!unit || !mean) return no_memory(w, err);
    for (size_t i = 0; i < (n + h->test_rows) * width; i++) {
        double x = i < n * width ? h->train[i] : h->test[i - n * width];
        unit[i] = (x - a->low[i % width]) / a->range[i % width];
        if (i < n * width) mean[i % width] += unit[i] / (double)n;
    }
    for (size_t i = 0; i < (n + h->test_rows) * width; i++) unit[i] -= mean[i % width];
    MR_TRY(mr_rsvd_fit(unit, n, width, &o, w->arena, w->tick, &svd, err));
    for (size_t i = n; i < n + h->test_rows; i++) {
        const double *x = unit + i * width;
        squares += mr_dot(x, x, width);
        for (size_t k = 0; k < svd.rank; k++) {
            double along = mr_dot(x, svd.vectors + k * width, width);
            squares -= along * along;
        }
    }
    *out = squares / (double)(h->test_rows * width);
    return MR_OK;
}

/* Errors on the test rows: in scaled units against their spread around the mean of all rows, and in [0, 1] units. */
static mr_status test(work *w, const halves *h, mr_candidate *c, mr_error *err) {
    const mr_autoencoder *a = &c->model.autoencoder;
    size_t cells = h->test_rows * w->width;
    double *back = mr_arena_alloc(w->arena, cells, sizeof *back), rest = 0, all = 0, unit = 0;
    if (!back) return no_memory(w, err);
    MR_TRY(mr_autoencoder_run(a, h->test, h->test_rows, NULL, back, w->arena, w->tick, err));
    for (size_t i = 0; i < cells; i++) {
        double d = back[i] - h->test[i], range = a->range[i % w->width];
        rest += d * d;
        all += h->test[i] * h->test[i];
        unit += d * d / (range * range);
    }
    c->variance_kept = all > 0 ? 1 - rest / all : NAN;
    c->usual_error = rest / (double)cells;
    w->out->test_rows = h->test_rows;
    w->out->test_error = unit / (double)cells;
    return pca_beside(w, h, a, &w->out->pca_test_error, err);
}

static mr_status by_autoencoder(work *w, mr_candidate *c, mr_error *err) {
    halves h;
    mr_autoencoder_options o = {w->dims, w->o->hidden, w->o->iterations, DECAY, seed_of(w, STREAM_AUTOENCODER)};
    MR_TRY(divide(w, &h, err));
    MR_TRY(mr_autoencoder_fit(h.train, h.train_rows, w->width, &o, w->arena, w->tick, &c->model.autoencoder, err));
    MR_TRY(test(w, &h, c, err));
    MR_TRY(mr_autoencoder_run(&c->model.autoencoder, w->z, w->n, c->scores, NULL, w->arena, w->tick, err));
    return score(w, c, err);
}

static mr_status by_umap(work *w, mr_candidate *c, mr_error *err) {
    mr_umap_options o = {.neighbours = w->o->neighbours, .dimensions = w->dims, .min_dist = w->o->min_dist, .spread = 1,
                         .seed = seed_of(w, STREAM_UMAP)};
    MR_TRY(mr_umap_fit(&w->points, &o, w->arena, w->tick, &c->model.umap, err));
    c->model.points = w->points;
    c->usual_error = c->model.umap.usual_distance;
    memcpy(c->scores, c->model.umap.layout, w->n * w->dims * sizeof *c->scores);
    return score(w, c, err);
}

/* ---- the choice ---- */

static const char *obstacle(const work *w, mr_projection_kind kind) {
    if (kind == MR_PROJECT_PCA) return NULL;
    if (w->n < ROWS_LEAST || w->n <= 2 * w->o->neighbours) return "too few rows: it needs 50, and more than twice `neighbours`";
    if (w->dims >= w->width) return "it would keep as many dimensions as there are columns";
    if (kind == MR_PROJECT_UMAP && w->dims > MR_UMAP_DIMENSIONS_MAX) return "more than 64 dimensions are too many for UMAP";
    return NULL;
}

static bool is_wanted(const work *w, mr_projection_kind kind) {
    return kind == MR_PROJECT_PCA || w->o->method == MR_REDUCE_AUTO || w->o->method == (int)kind;
}

/* Nothing can beat the first way by enough. */
static bool settled(const work *w, mr_projection_kind kind) {
    return kind != MR_PROJECT_PCA && w->o->method == MR_REDUCE_AUTO &&
           w->out->of[MR_PROJECT_PCA].information >= 1 - AS_GOOD;
}

static mr_status try_all(work *w, mr_error *err) {
    static mr_status (*const ways[MR_PROJECTIONS])(work *, mr_candidate *, mr_error *) = {by_pca, by_autoencoder, by_umap};
    for (int k = 0; k < MR_PROJECTIONS; k++) {
        mr_projection_kind kind = (mr_projection_kind)k;
        mr_candidate *c = &w->out->of[k];
        c->why_not = obstacle(w, kind);
        if (c->why_not && w->o->method == k)
            return mr_fail(err, MR_E_INVALID, "method=%s is not feasible here: %s (%zu rows were sampled)",
                           mr_projection_words[k], c->why_not, w->n);
        if (!is_wanted(w, kind)) c->why_not = "not asked for";
        if (!c->why_not && settled(w, kind)) c->why_not = "principal components keep so much that it could not be better";
        if (!c->why_not) MR_TRY(ways[k](w, c, err));
    }
    return MR_OK;
}

static void choose(work *w) {
    double best = -INFINITY;
    if (w->o->method != MR_REDUCE_AUTO) {
        w->out->kept = (mr_projection_kind)w->o->method;
        return;
    }
    for (int k = 0; k < MR_PROJECTIONS; k++)
        if (w->out->of[k].information > best) best = w->out->of[k].information;
    for (int k = MR_PROJECTIONS - 1; k >= 0; k--)
        if (w->out->of[k].information >= best - AS_GOOD) w->out->kept = (mr_projection_kind)k;
}

/* A model that was fitted before, on the rows of now. */
static mr_status by_model(work *w, const mr_projection *model, mr_candidate *c, mr_error *err) {
    double *errors = mr_arena_alloc(w->arena, w->n, sizeof *errors), rest = 0, all = 0;
    c->scores = mr_arena_alloc(w->arena, w->n * model->dimensions, sizeof(double));
    if (!errors || !c->scores) return no_memory(w, err);
    MR_TRY(mr_projection_run(model, w->sample->values, w->n, w->arena, w->tick, c->scores, errors, err));
    for (size_t i = 0; i < w->n; i++) rest += errors[i];
    for (size_t i = 0; i < w->n * w->width; i++) {
        double z = (w->sample->values[i] - w->spread->mean[i % w->width]) / model->scale[i % w->width];
        all += z * z;
    }
    if (model->kind != MR_PROJECT_UMAP) c->variance_kept = 1 - rest * (double)w->width / all;
    c->model = *model;
    w->dims = model->dimensions;
    return score(w, c, err);
}

mr_status mr_reduce_again(const mr_spread *spread, const mr_pca *pca, const mr_sample *sample, const mr_projection *model,
                          double usual_error, const mr_reduction_options *o, mr_arena *arena, const mr_ticker *tick,
                          mr_reduction *out, mr_error *err) {
    work w = {.spread = spread, .pca = pca, .sample = sample, .names = model->names, .o = o, .arena = arena, .tick = tick,
              .out = out};
    *out = (mr_reduction){.test_error = NAN, .pca_test_error = NAN, .kept = model->kind};
    MR_TRY(prepare(&w, err));
    for (int k = 0; k < MR_PROJECTIONS; k++) out->of[k].why_not = "the stored model still fits";
    out->of[model->kind].usual_error = usual_error;
    return by_model(&w, model, &out->of[model->kind], err);
}

mr_status mr_reduce(const mr_spread *spread, const mr_pca *pca, const mr_sample *sample, mr_names names,
                    const mr_reduction_options *o, mr_arena *arena, const mr_ticker *tick, mr_reduction *out,
                    mr_error *err) {
    work w = {.spread = spread, .pca = pca, .sample = sample, .names = names, .o = o, .arena = arena, .tick = tick,
              .out = out};
    *out = (mr_reduction){.test_error = NAN, .pca_test_error = NAN};
    MR_TRY(prepare(&w, err));
    MR_TRY(try_all(&w, err));
    choose(&w);
    return MR_OK;
}
