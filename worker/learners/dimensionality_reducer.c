/* dimensionality_reducer: fewer dimensions that keep the information. A batch gives exact sums and a uniform sample of its
 * rows (worker/kit/moments.h); principal components come from the merged sums, an autoencoder and UMAP from the merged
 * sample, and the best by score is kept (worker/kit/reduction.h). Bytes do not depend on batches or workers.
 * docs/components/dimensionality_reducer.md */
#include "worker/component.h"
#include "worker/kit/put.h"
#include "worker/kit/reduction.h"
#include "worker/kit/reduction_words.h"

#include <math.h>
#include <string.h>

enum { EMBEDDING_MAX = 1000000, MODEL_MAX = 12 << 20, STATE_MAX = 21 << 20 };
static const char state_magic[] = "reducer-state-1";
static const double ENOUGH = 0.95;

static const char *const method_words[] = {"auto", "pca", "autoencoder", "umap", NULL};

typedef struct reducer_config {
    int64_t method, components, neighbours, hidden, iterations, sample;
    double variance, min_dist, drift;
    bool scale;
} reducer_config;

#define AT(field) .offset = offsetof(reducer_config, field)
static const mr_option options[] = {
    {.name = "method",
     .type = MR_OPT_CHOICE,
     AT(method),
     .def = "auto",
     .choices = method_words,
     .help = "the way into fewer dimensions; auto: each that is feasible is tried and scored, the best is kept"},
    {.name = "components",
     .type = MR_OPT_INT,
     AT(components),
     .def = "0",
     .min = 0,
     .max = 512,
     .unit = "columns",
     .help = "how many dimensions to keep; 0: as many principal components as `variance` needs"},
    {.name = "variance",
     .type = MR_OPT_NUMBER,
     AT(variance),
     .def = "0.95",
     .min = 0.01,
     .max = 1,
     .help = "share of the variance that the kept components must carry"},
    {.name = "scale",
     .type = MR_OPT_BOOL,
     AT(scale),
     .def = "false",
     .help = "bring every column to mean 0 and population standard deviation 1 first"},
    {.name = "sample",
     .type = MR_OPT_INT,
     AT(sample),
     .def = "1000",
     .min = 100,
     .max = 100000,
     .unit = "rows",
     .help = "rows drawn evenly for UMAP, the autoencoder, the scores, and tables of more than 512 columns"},
    {.name = "neighbours",
     .type = MR_OPT_INT,
     AT(neighbours),
     .def = "15",
     .min = 3,
     .max = 200,
     .unit = "rows",
     .help = "umap: neighbours of a row, itself counted; also how many are looked at for trustworthiness and continuity"},
    {.name = "min_dist",
     .type = MR_OPT_NUMBER,
     AT(min_dist),
     .def = "0.1",
     .min = 0.001,
     .max = 0.99,
     .help = "umap: how near to each other rows may come to lie"},
    {.name = "hidden",
     .type = MR_OPT_INT,
     AT(hidden),
     .def = "32",
     .min = 1,
     .max = 512,
     .help = "autoencoder: width of the hidden layer on either side of the code"},
    {.name = "iterations",
     .type = MR_OPT_INT,
     AT(iterations),
     .def = "200",
     .min = 1,
     .max = 10000,
     .help = "autoencoder: steps of L-BFGS at most"},
    {.name = "drift",
     .type = MR_OPT_NUMBER,
     AT(drift),
     .def = "0.25",
     .min = 0.01,
     .max = 100,
     .help = "when a stored state meets new rows: how much larger their error may be before UMAP or autoencoder is fitted anew"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows that were analysed, or projected by a stored model", MR_FOLD_SUM},
    {"columns", MR_FIELD_LIST, NULL, "names of the feature columns, in the order of every list here", MR_FOLD_NONE},
    {"method", MR_FIELD_TEXT, NULL, "the way that was kept: pca, autoencoder or umap", MR_FOLD_NONE},
    {"components", MR_FIELD_INTEGER, NULL, "dimensions kept", MR_FOLD_NONE},
    {"information_kept", MR_FIELD_NUMBER, NULL,
     "least of the kept way's variance kept, trustworthiness and continuity, of those that are known", MR_FOLD_NONE},
    {"trustworthiness", MR_FIELD_NUMBER, NULL, "of the kept way, on the sampled rows: neighbours in the layout that were neighbours before",
     MR_FOLD_NONE},
    {"continuity", MR_FIELD_NUMBER, NULL, "of the kept way: neighbours that are neighbours in the layout too", MR_FOLD_NONE},
    {"methods", MR_FIELD_LIST, NULL,
     "for each way a map: method, components, variance_kept (autoencoder: on rows left out of the fit), trustworthiness, "
     "continuity, information, kept, note",
     MR_FOLD_NONE},
    {"score_rows", MR_FIELD_INTEGER, "rows", "rows whose neighbours the scores look at, among all sampled rows", MR_FOLD_NONE},
    {"components_95", MR_FIELD_INTEGER, NULL, "principal components that carry 95 % of the variance", MR_FOLD_NONE},
    {"components_95_scaled", MR_FIELD_INTEGER, NULL, "the same when every column counts equally (z-scores); up to 512 columns",
     MR_FOLD_NONE},
    {"eigenvalues", MR_FIELD_NUMBERS, NULL,
     "variance along each principal component, largest first, divisor rows - 1; over 512 columns those that were sought",
     MR_FOLD_NONE},
    {"ratio", MR_FIELD_NUMBERS, NULL, "each eigenvalue as a share of the whole variance", MR_FOLD_NONE},
    {"variance_kept", MR_FIELD_NUMBER, NULL, "share of the variance that the first `components` principal components carry",
     MR_FOLD_NONE},
    {"total_variance", MR_FIELD_NUMBER, NULL, "sum of the columns' variances, after scaling", MR_FOLD_NONE},
    {"reconstruction_error", MR_FIELD_NUMBER, NULL,
     "mean squared difference between a (scaled) value and what is given back: by the principal components, or by the "
     "stored model",
     MR_FOLD_MEAN},
    {"loadings", MR_FIELD_MATRIX, NULL, "principal components x columns, unit rows, the largest loading of each positive",
     MR_FOLD_NONE},
    {"mean", MR_FIELD_NUMBERS, NULL, "mean of each column", MR_FOLD_NONE},
    {"scale", MR_FIELD_NUMBERS, NULL, "what each column is divided by: 1, or its population standard deviation",
     MR_FOLD_NONE},
    {"constant_columns", MR_FIELD_LIST, NULL, "names of columns that hold one value only", MR_FOLD_NONE},
    {"sampled", MR_FIELD_INTEGER, "rows", "rows that UMAP, autoencoder and scores used", MR_FOLD_NONE},
    {"autoencoder", MR_FIELD_MAP, NULL,
     "when it was tried: test_rows left out of the fit, test_error and pca_test_error (mean squared, columns in [0, 1], the "
     "same rows and number of dimensions), hidden, iterations, converged",
     MR_FOLD_NONE},
    {"umap", MR_FIELD_MAP, NULL,
     "when it was tried: a, b (the curve), start (spectral or principal), parts (of the neighbour graph), exact_neighbours",
     MR_FOLD_NONE},
    {"embedding_rows", MR_FIELD_LIST, NULL, "positions of the sampled rows", MR_FOLD_NONE},
    {"embedding", MR_FIELD_MATRIX, NULL,
     "sampled rows x components: where the kept way puts them; left out beyond a million numbers", MR_FOLD_NONE},
    {"drift", MR_FIELD_NUMBER, NULL,
     "apply of a state only: the new rows' error by the stored model, over the usual one, less 1", MR_FOLD_NONE},
    {"refitted", MR_FIELD_BOOL, NULL, "apply of a state only: whether a new model was fitted", MR_FOLD_NONE},
    {"scores", MR_FIELD_MATRIX, NULL, "apply of a model only: rows x components, the rows in the new coordinates",
     MR_FOLD_NONE},
    {"row_errors", MR_FIELD_NUMBERS, NULL,
     "apply of a model only: each row's mean squared difference to what is given back; umap: mean distance to its fitted "
     "neighbours",
     MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) { return mr_refuse(ctx, err->status, "%s", err->text); }

static mr_status tick(void *ctx) { return mr_tick(ctx); }

/* ---- batches and partials ---- */

static mr_moments_options moments_of(mr_ctx *ctx, const reducer_config *o) {
    return (mr_moments_options){(size_t)o->sample, mr_ctx_seed(ctx)};
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    mr_error err = {0};
    mr_moments_options o = moments_of(ctx, config);
    mr_status status = mr_check_features(batch, MR_COLUMNS_MAX, &err);
    if (status == MR_OK)
        status = mr_moments_put(batch, batch->first, &o, mr_ctx_arena(ctx), &(mr_ticker){tick, ctx},
                                mr_out_partial_buf(out), &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* The merged moments as bytes, and opened again from them. */
static mr_status merge_moments(mr_ctx *ctx, const mr_span *partials, uint32_t count, mr_buf *bytes, mr_moments *out,
                               mr_error *err) {
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf_init(bytes, &mem, MR_PARTIAL_MAX);
    MR_TRY(mr_moments_open(out, partials, count, mr_ctx_arena(ctx), err));
    MR_TRY(mr_moments_pack(out, &(mr_ticker){tick, ctx}, bytes, err));
    if (mr_buf_status(bytes) != MR_OK)
        return mr_fail(err, mr_buf_status(bytes), "the sums and the sample of %u columns take more than %d MiB: ask for a "
                       "smaller `sample`", out->names.count, MR_PARTIAL_MAX >> 20);
    mr_span all = mr_buf_span(bytes);
    return mr_moments_open(out, &all, 1, mr_ctx_arena(ctx), err);
}

/* ---- the analysis ---- */

typedef struct analysis {
    const reducer_config *o;
    mr_span moments; /* packed */
    mr_reduced found;
} analysis;

static mr_reduction_options reduction_of(mr_ctx *ctx, const reducer_config *o) {
    return (mr_reduction_options){.method = o->method == 0 ? MR_REDUCE_AUTO : (int)o->method - 1,
                                  .neighbours = (size_t)o->neighbours,
                                  .min_dist = o->min_dist,
                                  .hidden = (size_t)o->hidden,
                                  .iterations = (size_t)o->iterations,
                                  .seed = mr_ctx_seed(ctx)};
}

static mr_status components(mr_ctx *ctx, mr_moments *m, analysis *a, mr_error *err) {
    mr_arena *arena = mr_ctx_arena(ctx);
    const mr_ticker *t = &(mr_ticker){tick, ctx};
    mr_pca_options p = {(size_t)a->o->components, a->o->variance, a->o->scale}, even = {.variance = ENOUGH, .scale = true};
    a->found.scaled = a->o->scale;
    a->found.names = m->names;
    a->found.sample = &m->sample;
    if (m->rows < 2)
        return mr_fail(err, MR_E_INVALID, "%llu rows are too few: variance needs at least 2", (unsigned long long)m->rows);
    MR_TRY(mr_moments_finish(m, arena, t, &a->found.spread, err));
    MR_TRY(mr_pca_fit(&a->found.spread, &m->sample, &p, mr_ctx_seed(ctx), arena, t, &a->found.pca, err));
    if (!a->found.pca.wide) MR_TRY(mr_pca_fit(&a->found.spread, &m->sample, &even, mr_ctx_seed(ctx), arena, t, &a->found.even, err));
    return MR_OK;
}

static mr_status analyse(mr_ctx *ctx, mr_moments *m, analysis *a, mr_error *err) {
    mr_reduction_options o = reduction_of(ctx, a->o);
    MR_TRY(components(ctx, m, a, err));
    return mr_reduce(&a->found.spread, &a->found.pca, &m->sample, m->names, &o, mr_ctx_arena(ctx), &(mr_ticker){tick, ctx}, &a->found.r, err);
}

/* ---- result ---- */

static void put_methods(const analysis *a, mr_out *out) {
    mr_out_open_list(out, "methods");
    for (int k = 0; k < MR_PROJECTIONS; k++) {
        const mr_candidate *c = &a->found.r.of[k];
        mr_out_open_map(out, NULL);
        mr_out_text(out, "method", "%s", mr_projection_words[k]);
        mr_out_integer(out, "components", (int64_t)c->model.dimensions);
        mr_out_number(out, "variance_kept", c->variance_kept);
        mr_out_number(out, "trustworthiness", c->trustworthiness);
        mr_out_number(out, "continuity", c->continuity);
        mr_out_number(out, "information", c->information);
        mr_out_bool(out, "kept", k == (int)a->found.r.kept);
        mr_out_text(out, "note", "%s", c->tried || !c->why_not ? "" : c->why_not);
        mr_out_close(out);
    }
    mr_out_close(out);
}

static void put_choice(const analysis *a, mr_out *out) {
    const mr_candidate *kept = &a->found.r.of[a->found.r.kept];
    mr_out_text(out, "method", "%s", mr_projection_words[a->found.r.kept]);
    mr_out_integer(out, "components", (int64_t)kept->model.dimensions);
    mr_out_number(out, "information_kept", kept->information);
    mr_out_number(out, "trustworthiness", kept->trustworthiness);
    mr_out_number(out, "continuity", kept->continuity);
    put_methods(a, out);
    mr_out_integer(out, "score_rows", (int64_t)a->found.r.centres);
}

static void put_needed(const mr_pca *p, const char *field, mr_out *out) {
    size_t needed = p->found ? mr_pca_needed(p, ENOUGH) : 0;
    if (needed)
        mr_out_integer(out, field, (int64_t)needed);
    else
        mr_out_nil(out, field);
}

static mr_status put_components(mr_ctx *ctx, const analysis *a, mr_out *out) {
    const mr_pca *p = &a->found.pca;
    size_t w = a->found.spread.width;
    double *ratio = mr_ctx_alloc(ctx, p->found, sizeof *ratio), n = (double)p->fitted;
    if (!ratio) return MR_E_MEMORY;
    for (size_t k = 0; k < p->found; k++) ratio[k] = p->values[k] / p->total;
    put_needed(p, "components_95", out);
    put_needed(&a->found.even, "components_95_scaled", out);
    mr_out_numbers(out, "eigenvalues", p->values, p->found);
    mr_out_numbers(out, "ratio", ratio, p->found);
    mr_out_number(out, "variance_kept", mr_pca_share(p, 0, p->kept));
    mr_out_number(out, "total_variance", p->total);
    double left = p->wide ? 1 - mr_pca_share(p, 0, p->kept) : mr_pca_share(p, p->kept, w);
    mr_out_number(out, "reconstruction_error", left * p->total * (n - 1) / n / (double)w);
    mr_out_matrix(out, "loadings", p->vectors, p->kept, w);
    mr_out_numbers(out, "mean", a->found.spread.mean, w);
    mr_out_numbers(out, "scale", p->scale, w);
    mr_out_open_list(out, "constant_columns");
    for (size_t j = 0; j < w; j++)
        if (a->found.spread.sd[j] == 0) mr_out_text(out, NULL, "%s", a->found.names.items[j]);
    mr_out_close(out);
    return MR_OK;
}

static void put_autoencoder(const analysis *a, mr_out *out) {
    const mr_autoencoder *e = &a->found.r.of[MR_PROJECT_AUTOENCODER].model.autoencoder;
    if (a->found.r.test_rows == 0) return;
    mr_out_open_map(out, "autoencoder");
    mr_out_integer(out, "test_rows", (int64_t)a->found.r.test_rows);
    mr_out_number(out, "test_error", a->found.r.test_error);
    mr_out_number(out, "pca_test_error", a->found.r.pca_test_error);
    mr_out_integer(out, "hidden", (int64_t)e->hidden);
    mr_out_integer(out, "iterations", (int64_t)e->iterations);
    mr_out_bool(out, "converged", e->converged);
    mr_out_close(out);
}

static void put_umap(const analysis *a, mr_out *out) {
    const mr_umap *u = &a->found.r.of[MR_PROJECT_UMAP].model.umap;
    if (u->parts == 0) return;
    mr_out_open_map(out, "umap");
    mr_out_number(out, "a", u->a);
    mr_out_number(out, "b", u->b);
    mr_out_text(out, "start", "%s", u->start == MR_UMAP_SPECTRAL ? "spectral" : "principal");
    mr_out_integer(out, "parts", (int64_t)u->parts);
    mr_out_bool(out, "exact_neighbours", u->exact_neighbours);
    mr_out_close(out);
}

static mr_status put_embedding(mr_ctx *ctx, const analysis *a, mr_out *out) {
    const mr_candidate *kept = &a->found.r.of[a->found.r.kept];
    size_t n = a->found.sample->count, dims = kept->model.dimensions;
    int64_t *rows = mr_ctx_alloc(ctx, n, sizeof *rows);
    if (!rows) return MR_E_MEMORY;
    for (size_t i = 0; i < n; i++) rows[i] = (int64_t)a->found.sample->row[i];
    mr_out_integer(out, "sampled", (int64_t)n);
    put_autoencoder(a, out);
    put_umap(a, out);
    if (n * dims > EMBEDDING_MAX) return MR_OK;
    mr_out_integers(out, "embedding_rows", rows, n);
    mr_out_matrix(out, "embedding", kept->scores, n, dims);
    return MR_OK;
}

/* `model` projects rows; `state` is the model and the moments, from which an update goes on. */
static mr_status put_artifacts(mr_ctx *ctx, const analysis *a, mr_out *out, mr_error *err) {
    const mr_candidate *kept = &a->found.r.of[a->found.r.kept];
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf model, state;
    mr_buf_init(&model, &mem, MODEL_MAX);
    mr_buf_init(&state, &mem, STATE_MAX);
    mr_projection_pack(&kept->model, &model);
    mr_pack_array(&state, 4);
    mr_pack_text(&state, state_magic);
    mr_pack_bin(&state, a->moments);
    mr_pack_bin(&state, mr_buf_span(&model));
    mr_pack_f64(&state, kept->usual_error);
    if (mr_buf_status(&model) != MR_OK) return mr_fail(err, mr_buf_status(&model), "the model is over %d MiB", MODEL_MAX >> 20);
    if (mr_buf_status(&state) != MR_OK) return mr_fail(err, mr_buf_status(&state), "the state is over %d MiB", STATE_MAX >> 20);
    mr_out_artifact(out, "model", "application/x-msgpack", mr_buf_span(&model));
    mr_out_artifact(out, "state", "application/x-msgpack", mr_buf_span(&state));
    return MR_OK;
}

static mr_status put_result(mr_ctx *ctx, const analysis *a, mr_out *out, mr_error *err) {
    mr_out_integer(out, "rows", (int64_t)a->found.spread.rows);
    mr_put_names(out, "columns", a->found.names);
    put_choice(a, out);
    MR_TRY(put_components(ctx, a, out));
    MR_TRY(put_embedding(ctx, a, out));
    if (a->found.is_update) {
        mr_out_number(out, "drift", a->found.drift);
        mr_out_bool(out, "refitted", a->found.refitted);
    }
    mr_reduced_findings(&a->found, mr_ctx_arena(ctx), out);
    return put_artifacts(ctx, a, out, err);
}

static mr_status merge(mr_ctx *ctx, const void *config, const mr_partials *partials, mr_out *out) {
    mr_error err = {0};
    mr_moments m;
    mr_buf bytes;
    analysis a = {.o = config};
    mr_status status;
    if (partials->last) {
        status = merge_moments(ctx, partials->items, partials->count, &bytes, &m, &err);
        if (status == MR_OK) a.moments = mr_buf_span(&bytes);
        if (status == MR_OK) status = analyse(ctx, &m, &a, &err);
        if (status == MR_OK) status = put_result(ctx, &a, out, &err);
    } else {
        status = mr_moments_open(&m, partials->items, partials->count, mr_ctx_arena(ctx), &err);
        if (status == MR_OK) status = mr_moments_pack(&m, &(mr_ticker){tick, ctx}, mr_out_partial_buf(out), &err);
    }
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- apply: a model projects, a state goes on ---- */

/* Coordinates and errors of all rows; *sum gets the errors' sum. */
static mr_status project_all(mr_ctx *ctx, const mr_projection *p, const mr_batch *batch, double **scores, double **errors,
                             double *sum, mr_error *err) {
    MR_TRY(mr_same_names((mr_names){batch->width, batch->feature_names}, p->names, "the model", err));
    *scores = mr_ctx_alloc(ctx, batch->rows * p->dimensions + 1, sizeof **scores);
    *errors = mr_ctx_alloc(ctx, batch->rows + 1, sizeof **errors);
    if (!*scores || !*errors) return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", batch->rows);
    MR_TRY(mr_projection_run(p, batch->features, batch->rows, mr_ctx_arena(ctx), &(mr_ticker){tick, ctx}, *scores, *errors,
                             err));
    for (uint32_t i = 0; i < batch->rows; i++) *sum += (*errors)[i];
    return MR_OK;
}

static mr_status apply_model(mr_ctx *ctx, mr_span bytes, const mr_batch *batch, mr_out *out, mr_error *err) {
    mr_projection p;
    double *scores, *errors, sum = 0;
    MR_TRY(mr_projection_read(&p, bytes, mr_ctx_arena(ctx), err));
    MR_TRY(project_all(ctx, &p, batch, &scores, &errors, &sum, err));
    mr_out_integer(out, "rows", batch->rows);
    mr_out_text(out, "method", "%s", mr_projection_words[p.kind]);
    mr_out_integer(out, "components", (int64_t)p.dimensions);
    if (p.kind != MR_PROJECT_UMAP) mr_out_number(out, "reconstruction_error", batch->rows ? sum / batch->rows : NAN);
    mr_out_matrix(out, "scores", scores, batch->rows, p.dimensions);
    mr_out_numbers(out, "row_errors", errors, batch->rows);
    return MR_OK;
}

typedef struct state {
    mr_span moments;
    mr_projection model;
    double usual_error;
} state;

static bool is_state(mr_span bytes) {
    mr_unpack u;
    mr_error err;
    mr_unpack_init(&u, bytes);
    return mr_unpack_magic(&u, state_magic, 4, &err) == MR_OK;
}

static mr_status read_state(mr_ctx *ctx, mr_span bytes, state *s, mr_error *err) {
    mr_unpack u;
    mr_span model;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, state_magic, 4, err));
    MR_TRY(mr_unpack_bin(&u, MR_PARTIAL_MAX, &s->moments, err));
    MR_TRY(mr_unpack_bin(&u, MODEL_MAX, &model, err));
    MR_TRY(mr_unpack_f64(&u, &s->usual_error, err));
    return mr_projection_read(&s->model, model, mr_ctx_arena(ctx), err);
}

/* The new rows' moments, their positions behind those of the stored ones, with the stored sample's size and lottery. */
static mr_status add_rows(mr_ctx *ctx, const state *s, const mr_batch *batch, mr_buf *bytes, mr_moments *m, mr_error *err) {
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf fresh;
    mr_buf_init(&fresh, &mem, MR_PARTIAL_MAX);
    MR_TRY(mr_moments_open(m, &s->moments, 1, mr_ctx_arena(ctx), err));
    MR_TRY(mr_moments_put(batch, m->rows, &m->options, mr_ctx_arena(ctx), &(mr_ticker){tick, ctx}, &fresh, err));
    mr_span both[] = {s->moments, mr_buf_span(&fresh)};
    return merge_moments(ctx, both, 2, bytes, m, err);
}

/* Principal components follow every row. Another model is kept while the new rows fit it. */
static mr_status update(mr_ctx *ctx, mr_span bytes, const mr_batch *batch, analysis *a, mr_buf *moments, mr_error *err) {
    state s;
    mr_moments *m = mr_ctx_alloc(ctx, 1, sizeof *m);
    double *scores, *errors, sum = 0;
    if (!m) return mr_fail(err, MR_E_MEMORY, "no memory for the moments");
    MR_TRY(mr_check_only_batch(batch, err));
    MR_TRY(read_state(ctx, bytes, &s, err));
    MR_TRY(project_all(ctx, &s.model, batch, &scores, &errors, &sum, err));
    MR_TRY(add_rows(ctx, &s, batch, moments, m, err));
    a->moments = mr_buf_span(moments);
    a->found.is_update = true;
    a->found.drift = batch->rows && s.usual_error > 0 ? sum / batch->rows / s.usual_error - 1 : 0;
    a->found.refitted = s.model.kind == MR_PROJECT_PCA || a->found.drift > a->o->drift;
    if (a->found.refitted) return analyse(ctx, m, a, err);
    mr_reduction_options o = reduction_of(ctx, a->o);
    MR_TRY(components(ctx, m, a, err));
    return mr_reduce_again(&a->found.spread, &a->found.pca, &m->sample, &s.model, s.usual_error, &o, mr_ctx_arena(ctx),
                           &(mr_ticker){tick, ctx}, &a->found.r, err);
}

static mr_status apply(mr_ctx *ctx, const void *config, const mr_artifact *artifact, const mr_batch *batch, mr_out *out) {
    mr_error err = {0};
    mr_buf moments;
    analysis a = {.o = config};
    mr_status status = mr_check_features(batch, MR_COLUMNS_MAX, &err);
    if (status == MR_OK && !is_state(artifact->bytes))
        status = apply_model(ctx, artifact->bytes, batch, out, &err);
    else if (status == MR_OK) {
        status = update(ctx, artifact->bytes, batch, &a, &moments, &err);
        if (status == MR_OK) status = put_result(ctx, &a, out, &err);
    }
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* The points of a line with a little noise across it; eigenvalues by numpy.linalg.eigh(numpy.cov(x.T)). */
static const mr_example examples[] = {
    {.title = "three columns, one direction",
     .input = "a,b,c\n1,2.1,5\n2,3.9,5\n3,6.1,5\n4,7.9,5\n5,10.1,5\n",
     .expect = "{\"rows\": 5, \"method\": \"pca\", \"components\": 1, \"components_95\": 1, "
               "\"constant_columns\": [\"c\"], \"mean\": [3, 6.02, 5], "
               "\"eigenvalues\": [12.5096018421387, 0.00239815786134345, 0]}"},
    {0}};

const mr_component mr_component_dimensionality_reducer = {
    .name = "dimensionality_reducer",
    .summary = "finds how few dimensions carry the information (principal components, autoencoder, UMAP), and projects rows "
               "onto them",
    .kind = MR_LEARNER,
    .shape = MR_MERGE,
    .tier = 2,
    .version = 3,
    .columns = MR_COL_FEATURES,
    .capabilities = (const char *const[]){"pca", "autoencoder", "umap", "projection", "update", NULL},
    .options = options,
    .config_size = sizeof(reducer_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 600000,
    .memory_mb = 1024,
    .process = process,
    .merge = merge,
    .apply = apply,
};
