/* clustering_optimizer: which clustering suits the rows: a grid over k-means, Gaussian mixtures and HDBSCAN
 * (worker/kit/settings.h), scored by the silhouette of the rows that are not noise, with the dimension that
 * the rows really fill, the clusters of the best setting, and what the good settings have in common. Of many
 * rows a uniform sample is searched, and the others join the clusters that it gave. */
#include "worker/component.h"
#include "worker/kit/dimension.h"
#include "worker/kit/put.h"
#include "worker/kit/sample.h"
#include "worker/kit/settings.h"

#include <math.h>
#include <string.h>

enum { WIDTH_MAX = 512, TRAITS = 3, NEIGHBOURS = 10, ROWS_MIN = 10 };
static const double CLOSE = 0.05; /* settings within this of the best silhouette are called successful */

typedef struct grid_config {
    int64_t max_clusters, sample, starts;
    bool standardise;
} grid_config;

#define WHOLE(field, def_, min_, max_, unit_, help_)                                                         \
    {                                                                                                        \
        .name = #field, .type = MR_OPT_INT, .offset = offsetof(grid_config, field), .def = def_,             \
        .min = min_, .max = max_, .unit = unit_, .help = help_                                               \
    }

static const mr_option options[] = {
    WHOLE(max_clusters, "10", 2, 50, "clusters",
          "k-means and mixtures are tried with 2 to this many clusters"),
    WHOLE(sample, "2048", 50, 10000, "rows", "rows to search on; of more rows a uniform sample is drawn"),
    WHOLE(starts, "10", 1, 100, NULL, "k-means++ starts for each number of clusters"),
    {.name = "standardise",
     .type = MR_OPT_BOOL,
     .offset = offsetof(grid_config, standardise),
     .def = "true",
     .help = "bring every column to mean 0 and population standard deviation 1 first"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows that were clustered", MR_FOLD_NONE},
    {"sampled", MR_FIELD_INTEGER, "rows", "rows that the search and every index are computed from",
     MR_FOLD_NONE},
    {"columns", MR_FIELD_LIST, NULL, "names of the feature columns", MR_FOLD_NONE},
    {"best", MR_FIELD_TEXT, NULL, "the best setting in words; nil when no setting counts", MR_FOLD_NONE},
    {"clusters", MR_FIELD_INTEGER, NULL, "clusters of the best setting", MR_FOLD_NONE},
    {"noise", MR_FIELD_INTEGER, "rows", "rows in no cluster of the best setting", MR_FOLD_NONE},
    {"silhouette", MR_FIELD_NUMBER, NULL,
     "mean silhouette of the sampled rows that are not noise: 1 well apart, 0 on the border", MR_FOLD_NONE},
    {"silhouette_interval", MR_FIELD_NUMBERS, NULL,
     "95 %, from the spread between rows, for these clusters; it does not tell how others would be chosen",
     MR_FOLD_NONE},
    {"davies_bouldin", MR_FIELD_NUMBER, NULL,
     "spread over distance, of neighbouring clusters; smaller is better", MR_FOLD_NONE},
    {"calinski_harabasz", MR_FIELD_NUMBER, NULL, "variance between over variance within; larger is better",
     MR_FOLD_NONE},
    {"intrinsic_dimension", MR_FIELD_MAP, NULL,
     "dimensions that the rows fill: two_nn (Facco et al. 2017) with its 95 % ends low and high, "
     "levina_bickel (2004, 10 neighbours), rows it is computed from, columns that vary",
     MR_FOLD_NONE},
    {"labels", MR_FIELD_LIST, NULL,
     "each row's cluster, numbered by the lowest row that it holds in the sample; -1 for noise",
     MR_FOLD_NONE},
    {"silhouette_rows", MR_FIELD_LIST, NULL, "positions of the sampled rows", MR_FOLD_NONE},
    {"silhouettes", MR_FIELD_NUMBERS, NULL, "the silhouette of each of them, nil for noise", MR_FOLD_NONE},
    {"settings", MR_FIELD_LIST, NULL,
     "every setting tried: method, k, min_cluster_size, min_samples, clusters, noise, silhouette, "
     "davies_bouldin, calinski_harabasz, inertia, bic, excluded (why it does not count; nil when it does)",
     MR_FOLD_NONE},
    {"cluster_list", MR_FIELD_LIST, NULL,
     "for each cluster: label, size, share, silhouette (mean over the sampled rows), and the features that "
     "set "
     "it apart (name, difference in standard deviations, means inside and outside)",
     MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

typedef struct study {
    const mr_batch *batch;
    mr_names names;
    size_t n, width, varying; /* rows and columns; columns that hold more than one value */
    double *mean, *sd, *x;    /* of all rows; all rows as they are clustered */
    size_t sampled;
    uint32_t *from; /* sampled: which rows of the batch */
    double *rows;   /* sampled x width */
    mr_points points;
    mr_dimension dimension;
    mr_settings grid;
    double *silhouette; /* sampled */
    int32_t *label;     /* n */
} study;

/* ---- the sample ---- */

static mr_status take_all(mr_ctx *ctx, study *s, mr_error *err) {
    s->sampled = s->n;
    s->rows = s->x;
    s->from = mr_ctx_alloc(ctx, s->n, sizeof *s->from);
    if (!s->from) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", s->n);
    for (uint32_t i = 0; i < s->n; i++) s->from[i] = i;
    return MR_OK;
}

static mr_status take_sample(mr_ctx *ctx, study *s, size_t k, mr_error *err) {
    mr_sample sample;
    mr_sample_init(&sample, mr_ctx_arena(ctx), mr_ctx_seed(ctx), k, s->width);
    for (size_t i = 0; i < s->n; i++) MR_TRY(mr_sample_add(&sample, i, s->x + i * s->width, err));
    MR_TRY(mr_sample_sort(&sample, err));
    s->sampled = sample.count;
    s->rows = sample.values;
    s->from = mr_ctx_alloc(ctx, sample.count, sizeof *s->from);
    if (!s->from) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", sample.count);
    for (size_t i = 0; i < sample.count; i++) s->from[i] = (uint32_t)sample.row[i];
    return MR_OK;
}

static mr_status check(const study *s, mr_error *err) {
    if (s->n < ROWS_MIN)
        return mr_fail(err, MR_E_INVALID, "%zu rows are too few; at least %d are needed", s->n, ROWS_MIN);
    return mr_check_features(s->batch, WIDTH_MAX, err);
}

static mr_status prepare(mr_ctx *ctx, const grid_config *o, study *s, mr_error *err) {
    size_t n = s->n, w = s->width;
    s->mean = mr_ctx_alloc(ctx, w, sizeof(double));
    s->sd = mr_ctx_alloc(ctx, w, sizeof(double));
    s->x = mr_ctx_alloc(ctx, n * w, sizeof(double));
    s->label = mr_ctx_alloc(ctx, n, sizeof *s->label);
    if (!s->mean || !s->sd || !s->x || !s->label)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows of %zu columns", n, w);
    mr_mean_sd(s->batch->features, n, w, s->mean, s->sd);
    for (size_t j = 0; j < w; j++) s->varying += s->sd[j] > 0;
    if (s->varying == 0)
        return mr_fail(err, MR_E_INVALID,
                       "every feature column holds one value only, so there is nothing to cluster");
    if (o->standardise)
        mr_standardise(s->batch->features, n, w, s->mean, s->sd, s->x);
    else
        memcpy(s->x, s->batch->features, n * w * sizeof *s->x);
    MR_TRY(n <= (size_t)o->sample ? take_all(ctx, s, err) : take_sample(ctx, s, (size_t)o->sample, err));
    s->silhouette = mr_ctx_alloc(ctx, s->sampled, sizeof(double));
    if (!s->silhouette) return mr_fail(err, MR_E_MEMORY, "no memory for %zu silhouettes", s->sampled);
    return mr_points_init(&s->points, mr_ctx_arena(ctx), s->rows, s->sampled, w, err);
}

/* ---- labels for all rows ---- */

/* What the clusters of a mixture are called: components are numbered as fitted, labels by their lowest row.
 */
static void name_components(const study *s, const mr_setting *best, int32_t *name, double *scratch) {
    for (size_t i = 0; i < s->sampled; i++)
        name[mr_mixture_assign(&best->fit.mixture, s->rows + i * s->width, scratch)] = best->label[i];
}

static mr_status label_rows(mr_ctx *ctx, study *s, mr_error *err) {
    const mr_setting *best = &s->grid.items[s->grid.best];
    double *room = mr_ctx_alloc(ctx, mr_hdbscan_room(&s->points), sizeof *room);
    double *scratch = mr_ctx_alloc(ctx, best->k + s->width, sizeof *scratch), strength;
    int32_t *name = mr_ctx_alloc(ctx, best->k + 1, sizeof *name);
    if (!room || !scratch || !name) return mr_fail(err, MR_E_MEMORY, "no memory to label %zu rows", s->n);
    bool mixture = best->method == MR_SETTING_MIXTURE_FULL || best->method == MR_SETTING_MIXTURE_DIAGONAL;
    for (size_t k = 0; k <= best->k; k++) name[k] = MR_NOISE;
    if (mixture) name_components(s, best, name, scratch);
    for (size_t i = 0; i < s->n; i++) {
        MR_TRY(mr_tick(ctx));
        const double *row = s->x + i * s->width;
        if (mixture)
            s->label[i] = name[mr_mixture_assign(&best->fit.mixture, row, scratch)];
        else if (best->method == MR_SETTING_KMEANS)
            s->label[i] = mr_kmeans_assign(&best->fit.kmeans, s->width, row);
        else if (s->sampled < s->n)
            s->label[i] =
                mr_hdbscan_assign(&best->fit.hdbscan, &s->points, best->min_samples, row, room, &strength);
    }
    for (size_t i = 0; i < s->sampled; i++) s->label[s->from[i]] = best->label[i];
    return MR_OK;
}

static mr_status run(mr_ctx *ctx, const grid_config *o, study *s, mr_error *err) {
    mr_arena *arena = mr_ctx_arena(ctx);
    mr_ticker ticker = {tick, ctx};
    mr_settings_options grid = {(size_t)o->max_clusters, (unsigned)o->starts};
    MR_TRY(check(s, err));
    MR_TRY(prepare(ctx, o, s, err));
    MR_TRY(mr_intrinsic_dimension(&s->points, NEIGHBOURS, arena, &ticker, &s->dimension, err));
    MR_TRY(mr_settings_run(&s->points, &grid, mr_ctx_seed(ctx), arena, &ticker, &s->grid, err));
    if (s->grid.best == s->grid.count) return MR_OK;
    MR_TRY(
        mr_silhouettes(&s->points, &s->grid.items[s->grid.best].part, 1, s->silhouette, arena, &ticker, err));
    return label_rows(ctx, s, err);
}

/* ---- output ---- */

static void put_dimension(const study *s, mr_out *out) {
    const mr_dimension *d = &s->dimension;
    mr_out_open_map(out, "intrinsic_dimension");
    mr_out_number(out, "two_nn", d->two_nn);
    mr_out_number(out, "low", d->two_nn_low);
    mr_out_number(out, "high", d->two_nn_high);
    mr_out_number(out, "levina_bickel", d->levina_bickel);
    mr_out_integer(out, "rows", (int64_t)d->rows);
    mr_out_integer(out, "columns", (int64_t)s->varying);
    mr_out_close(out);
    if (isnan(d->two_nn) || d->two_nn_high >= 0.7 * (double)s->varying) return;
    mr_out_finding(
        out, 0.35,
        "the rows fill about %.1f dimensions (95 %% %.1f to %.1f, %zu rows) of %zu columns, so fewer "
        "columns or components would do",
        d->two_nn, d->two_nn_low, d->two_nn_high, d->rows, s->varying);
}

static void put_count(mr_out *out, const char *field, size_t v) {
    if (v)
        mr_out_integer(out, field, (int64_t)v);
    else
        mr_out_nil(out, field);
}

static void put_setting(const mr_setting *s, mr_out *out) {
    mr_out_open_map(out, NULL);
    mr_out_text(out, "method", "%s", mr_setting_methods[s->method]);
    put_count(out, "k", s->k);
    put_count(out, "min_cluster_size", s->min_cluster_size);
    put_count(out, "min_samples", s->min_samples);
    mr_out_integer(out, "clusters", (int64_t)s->part.clusters);
    mr_out_integer(out, "noise", (int64_t)s->part.noise);
    mr_out_number(out, "silhouette", s->part.silhouette);
    mr_out_number(out, "davies_bouldin", s->part.davies_bouldin);
    mr_out_number(out, "calinski_harabasz", s->part.calinski_harabasz);
    mr_out_number(out, "inertia", s->inertia);
    mr_out_number(out, "bic", s->bic);
    if (s->excluded)
        mr_out_text(out, "excluded", "%s", s->excluded);
    else
        mr_out_nil(out, "excluded");
    mr_out_close(out);
}

static void put_cluster(mr_ctx *ctx, const study *s, int32_t c, mr_out *out) {
    size_t size = 0, seen = 0;
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) size += s->label[i] == c;
    for (size_t i = 0; i < s->sampled; i++) {
        if (s->label[s->from[i]] != c) continue;
        seen++;
        sum += s->silhouette[i];
    }
    mr_contrast traits[TRAITS];
    size_t count =
        mr_contrasts(s->batch->features, s->n, s->width, s->label, c, MR_REST, s->sd, TRAITS, traits);
    double part = (double)size / (double)s->n, own = sum / (double)seen;
    mr_out_open_map(out, NULL);
    mr_out_integer(out, "label", c);
    mr_out_integer(out, "size", (int64_t)size);
    mr_out_number(out, "share", part);
    mr_out_number(out, "silhouette", own);
    mr_put_contrasts(out, "features", traits, count, s->names);
    mr_out_close(out);
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf words;
    mr_buf_init(&words, &mem, 4096);
    mr_contrast_words(traits, count, s->names, &words);
    mr_out_finding(out, 0.2 + 0.4 * part,
                   "cluster %d: %zu rows (%.0f %%), %.*s; silhouette %.2f over %zu rows", c, size, 100 * part,
                   MR_SPAN_ARG(mr_buf_span(&words)), own, seen);
}

/* ---- what the settings have in common ---- */

static bool counts(const mr_setting *s) { return !s->excluded; }

static void method_finding(const study *s, mr_buf *words, mr_out *out) {
    const mr_settings *g = &s->grid;
    mr_buf_clear(words);
    for (int m = 0; m < MR_SETTING_METHODS; m++) {
        const mr_setting *best = NULL;
        size_t tried = 0, counted = 0;
        for (size_t i = 0; i < g->count; i++) {
            const mr_setting *at = &g->items[i];
            if ((int)at->method != m) continue;
            tried++;
            counted += counts(at);
            if (counts(at) && (!best || at->part.silhouette > best->part.silhouette)) best = at;
        }
        if (tried == 0) continue;
        mr_buf_printf(words, "%s%s: ", m ? "; " : "", mr_setting_methods[m]);
        if (best)
            mr_buf_printf(words, "best %.3f with %zu clusters (%zu of %zu settings count)",
                          best->part.silhouette, best->part.clusters, counted, tried);
        else
            mr_buf_printf(words, "none of %zu settings counts", tried);
    }
    mr_out_finding(out, 0.5, "by method, %.*s", MR_SPAN_ARG(mr_buf_span(words)));
}

/* Which number of clusters most of the successful settings give; of equally common ones that of the better.
 */
static void number_finding(const study *s, mr_out *out) {
    const mr_settings *g = &s->grid;
    double best = g->items[g->best].part.silhouette;
    size_t successful = 0, counted = 0, top = 0, top_count = 0;
    double least = INFINITY, most = 0;
    for (size_t i = 0; i < g->count; i++) {
        const mr_setting *at = &g->items[i];
        if (!counts(at)) continue;
        counted++;
        if (at->part.silhouette < best - CLOSE) continue;
        successful++;
        least = fmin(least, (double)at->part.clusters);
        most = fmax(most, (double)at->part.clusters);
        size_t same = 0;
        for (size_t j = 0; j < g->count; j++)
            same += counts(&g->items[j]) && g->items[j].part.silhouette >= best - CLOSE &&
                    g->items[j].part.clusters == at->part.clusters;
        if (same <= top_count && !(same == top_count && i == g->best)) continue;
        top = at->part.clusters;
        top_count = same;
    }
    if (successful == 1)
        mr_out_finding(out, 0.6,
                       "only one of the %zu settings that count comes within %.2f of the best, so the "
                       "choice is clear on these rows",
                       counted, CLOSE);
    else
        mr_out_finding(
            out, 0.6,
            "%zu of the %zu settings that count are within %.2f of the best; %zu of these give %zu "
            "clusters (range %.0f to %.0f)",
            successful, counted, CLOSE, top_count, top, least, most);
}

static void agreement_finding(mr_ctx *ctx, const study *s, mr_out *out) {
    const mr_settings *g = &s->grid;
    const mr_setting *best = &g->items[g->best], *other = NULL;
    for (size_t i = 0; i < g->count; i++) {
        const mr_setting *at = &g->items[i];
        if (!counts(at) || at->method == best->method) continue;
        if (!other || at->part.silhouette > other->part.silhouette) other = at;
    }
    if (!other) return;
    double same = mr_adjusted_rand(best->label, other->label, s->sampled, mr_ctx_arena(ctx));
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf words;
    mr_buf_init(&words, &mem, 4096);
    mr_setting_words(other, &words);
    mr_out_finding(out, 0.45,
                   "the best setting of another method (%.*s, silhouette %.3f) %s: adjusted Rand index %.2f "
                   "over %zu rows",
                   MR_SPAN_ARG(mr_buf_span(&words)), other->part.silhouette,
                   same > 0.9   ? "finds the same clusters"
                   : same > 0.5 ? "finds partly the same clusters"
                                : "finds other clusters",
                   same, s->sampled);
}

static void excluded_finding(const study *s, mr_out *out) {
    size_t few = 0, noisy = 0;
    for (size_t i = 0; i < s->grid.count; i++) {
        const mr_setting *at = &s->grid.items[i];
        few += at->excluded && at->part.clusters < 2;
        noisy += at->excluded && at->part.clusters >= 2;
    }
    if (few + noisy == 0) return;
    mr_out_finding(out, 0.3,
                   "%zu of %zu settings do not count: %zu gave fewer than two clusters, %zu over 30 %% noise",
                   few + noisy, s->grid.count, few, noisy);
}

/* Kaufman and Rousseeuw 1990, table 4. */
static const char *strength(double silhouette) {
    return silhouette > 0.7    ? "a strong structure"
           : silhouette > 0.5  ? "a reasonable structure"
           : silhouette > 0.25 ? "a weak structure that may be artificial"
                               : "no substantial structure";
}

static double half_width(const mr_partition *p, size_t n) {
    return 1.959963984540054 * p->silhouette_sd / sqrt((double)(n - p->noise));
}

static void best_finding(const study *s, mr_span words, mr_out *out) {
    const mr_partition *p = &s->grid.items[s->grid.best].part;
    double half = half_width(p, s->sampled);
    mr_out_finding(
        out, 0.9,
        "best of %zu settings: %.*s, giving %zu clusters with silhouette %.3f (95 %% %.3f to %.3f, %zu "
        "rows, %zu noise): %s",
        s->grid.count, MR_SPAN_ARG(words), p->clusters, p->silhouette, p->silhouette - half,
        p->silhouette + half, s->sampled - p->noise, p->noise, strength(p->silhouette));
    if (s->sampled < s->n)
        mr_out_finding(out, 0.25,
                       "searched on a uniform sample of %zu of %zu rows; the others joined its clusters",
                       s->sampled, s->n);
}

static mr_status put_labels(mr_ctx *ctx, const study *s, mr_out *out) {
    int64_t *v = mr_ctx_alloc(ctx, s->n, sizeof *v);
    if (!v) return MR_E_MEMORY;
    for (size_t i = 0; i < s->n; i++) v[i] = s->label[i];
    mr_out_integers(out, "labels", v, s->n);
    for (size_t i = 0; i < s->sampled; i++) v[i] = (int64_t)(s->batch->first + s->from[i]);
    mr_out_integers(out, "silhouette_rows", v, s->sampled);
    mr_out_numbers(out, "silhouettes", s->silhouette, s->sampled);
    return MR_OK;
}

static void put_best(const study *s, mr_span words, mr_out *out) {
    const mr_partition *p = &s->grid.items[s->grid.best].part;
    double half = half_width(p, s->sampled), ends[] = {p->silhouette - half, p->silhouette + half};
    size_t noise = 0;
    for (size_t i = 0; i < s->n; i++) noise += s->label[i] == MR_NOISE;
    mr_out_text(out, "best", "%.*s", MR_SPAN_ARG(words));
    mr_out_integer(out, "clusters", (int64_t)p->clusters);
    mr_out_integer(out, "noise", (int64_t)noise);
    mr_out_number(out, "silhouette", p->silhouette);
    mr_out_numbers(out, "silhouette_interval", ends, 2);
    mr_out_number(out, "davies_bouldin", p->davies_bouldin);
    mr_out_number(out, "calinski_harabasz", p->calinski_harabasz);
}

static void put_settings(const study *s, mr_out *out) {
    mr_out_open_list(out, "settings");
    for (size_t i = 0; i < s->grid.count; i++) put_setting(&s->grid.items[i], out);
    mr_out_close(out);
}

static mr_status put_result(mr_ctx *ctx, const study *s, mr_out *out) {
    bool found = s->grid.best < s->grid.count;
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf words;
    mr_buf_init(&words, &mem, 4096);
    mr_out_integer(out, "rows", (int64_t)s->n);
    mr_out_integer(out, "sampled", (int64_t)s->sampled);
    mr_put_names(out, "columns", s->names);
    if (found) mr_setting_words(&s->grid.items[s->grid.best], &words);
    if (found) put_best(s, mr_buf_span(&words), out);
    put_dimension(s, out);
    if (found) MR_TRY(put_labels(ctx, s, out));
    put_settings(s, out);
    excluded_finding(s, out);
    if (!found) {
        mr_out_finding(out, 0.9,
                       "none of %zu settings gives two clusters or more with at most 30 %% noise on %zu rows",
                       s->grid.count, s->sampled);
        return MR_OK;
    }
    best_finding(s, mr_buf_span(&words), out);
    number_finding(s, out);
    method_finding(s, &words, out);
    agreement_finding(ctx, s, out);
    mr_out_open_list(out, "cluster_list");
    for (size_t c = 0; c < s->grid.items[s->grid.best].part.clusters; c++)
        put_cluster(ctx, s, (int32_t)c, out);
    mr_out_close(out);
    return MR_OK;
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    mr_error err = {0};
    study s = {.batch = batch,
               .n = batch->rows,
               .width = batch->width,
               .names = {batch->width, batch->feature_names}};
    mr_status status = run(ctx, config, &s, &err);
    if (status == MR_OK) status = put_result(ctx, &s, out);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* Two groups of six on a line. The silhouette of {0..5} and {100..105}, by scikit-learn 1.2.1
 * silhouette_score. */
static const mr_example examples[] = {
    {.title = "two groups on a line",
     .input = "x\n0\n1\n2\n3\n4\n5\n100\n101\n102\n103\n104\n105\n",
     .options = "standardise=false max_clusters=3",
     .expect =
         "{\"rows\": 12, \"clusters\": 2, \"noise\": 0, \"labels\": [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1], "
         "\"silhouette\": 0.97665861238289, \"davies_bouldin\": 0.03, \"calinski_harabasz\": "
         "8571.42857142857}"},
    {0}};

const mr_component mr_component_clustering_optimizer = {
    .name = "clustering_optimizer",
    .summary =
        "finds the clustering that suits the rows, by a grid over k-means, Gaussian mixtures and HDBSCAN",
    .kind = MR_LEARNER,
    .shape = MR_WHOLE,
    .tier = 2,
    .version = 1,
    .columns = MR_COL_FEATURES,
    .capabilities = (const char *const[]){"clustering", "model_selection", "intrinsic_dimension", NULL},
    .options = options,
    .config_size = sizeof(grid_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 300000,
    .memory_mb = 1024,
    .process = process,
};
