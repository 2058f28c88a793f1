/* context_learner: the contexts that rows come from, as dense groups of their features: HDBSCAN
 * (worker/kit/hdbscan.h says which conventions), described for people, with a model that puts new rows into
 * the groups without refitting. */
#include "worker/component.h"
#include "worker/kit/hdbscan.h"
#include "worker/kit/put.h"
#include "worker/kit/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH_MAX = 512, TRAITS = 3, MODEL_MAX = 30 << 20 };
static const char model_magic[] = "hdbscan-1";

typedef struct cluster_config {
    int64_t min_cluster_size, min_samples, max_rows;
    bool standardise, allow_single_cluster;
} cluster_config;

static const mr_option options[] = {
    {.name = "min_cluster_size",
     .type = MR_OPT_INT,
     .offset = offsetof(cluster_config, min_cluster_size),
     .def = "5",
     .min = 2,
     .max = 1e6,
     .unit = "rows",
     .help = "smaller groups are noise"},
    {.name = "min_samples",
     .type = MR_OPT_INT,
     .offset = offsetof(cluster_config, min_samples),
     .def = "0",
     .min = 0,
     .max = 10000,
     .unit = "rows",
     .help = "neighbours, the row itself not counted, that make a place dense; 0: as min_cluster_size"},
    {.name = "max_rows",
     .type = MR_OPT_INT,
     .offset = offsetof(cluster_config, max_rows),
     .def = "20000",
     .min = 100,
     .max = 1e6,
     .unit = "rows",
     .help = "rows that clusters are sought in; of more, so many are drawn evenly and the others put into the clusters found"},
    {.name = "standardise",
     .type = MR_OPT_BOOL,
     .offset = offsetof(cluster_config, standardise),
     .def = "true",
     .help = "bring every column to mean 0 and population standard deviation 1 first"},
    {.name = "allow_single_cluster",
     .type = MR_OPT_BOOL,
     .offset = offsetof(cluster_config, allow_single_cluster),
     .def = "false",
     .help = "let one cluster of all rows be the answer"},
    MR_OPTION_END};

static const mr_field outputs[] = {
    {"rows", MR_FIELD_INTEGER, "rows", "rows that were clustered, or assigned by a stored model",
     MR_FOLD_SUM},
    {"fitted", MR_FIELD_INTEGER, "rows", "rows that the clusters were found in; what follows but labels and noise is about these",
     MR_FOLD_NONE},
    {"columns", MR_FIELD_LIST, NULL, "names of the feature columns", MR_FOLD_NONE},
    {"clusters", MR_FIELD_INTEGER, NULL, "clusters found", MR_FOLD_NONE},
    {"noise", MR_FIELD_INTEGER, "rows", "rows in no cluster", MR_FOLD_SUM},
    {"labels", MR_FIELD_LIST, NULL, "each row's cluster, numbered by the lowest row it holds; -1 for noise",
     MR_FOLD_NONE},
    {"strengths", MR_FIELD_NUMBERS, NULL,
     "each row's membership strength, 0 for noise up to 1 in the densest part", MR_FOLD_NONE},
    {"stabilities", MR_FIELD_NUMBERS, "rows/distance", "each cluster's stability (excess of mass)",
     MR_FOLD_NONE},
    {"tree_weight", MR_FIELD_NUMBER, "distance", "weight of the minimum spanning tree of mutual reachability",
     MR_FOLD_NONE},
    {"cluster_list", MR_FIELD_LIST, NULL,
     "for each cluster: label, size, share, stability, mean strength, typical row (its position), and the "
     "features that set it apart (name, difference in standard deviations, means inside and outside)",
     MR_FOLD_NONE},
    {"tree", MR_FIELD_LIST, NULL,
     "the condensed tree, a parent before its children: parent (-1: root), label (-1: not chosen), size, "
     "birth and death (densities, 1/distance), stability",
     MR_FOLD_NONE},
    {"adjusted_rand", MR_FIELD_NUMBER, NULL,
     "agreement with the label column, over rows that have one; noise is a class", MR_FOLD_NONE},
    {"purity", MR_FIELD_NUMBER, NULL,
     "share of the labelled rows in clusters that have their cluster's commonest label", MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

typedef struct fit {
    const mr_batch *batch;   /* the rows to cluster */
    const uint32_t *drawn;   /* their places among all rows; NULL: they are all */
    mr_names names;
    double *mean, *sd;       /* of the columns as they came */
    double *shift, *divisor; /* what was clustered is (value - shift) / divisor: mean and sd, or 0 and 1 */
    double *x;               /* what was clustered */
    mr_points points;
    mr_hdbscan found;
    size_t min_samples;
} fit;

static mr_status prepare(mr_ctx *ctx, const cluster_config *o, fit *f, mr_error *err) {
    size_t n = f->batch->rows, w = f->batch->width;
    f->mean = mr_ctx_alloc(ctx, w, sizeof(double));
    f->sd = mr_ctx_alloc(ctx, w, sizeof(double));
    f->shift = mr_ctx_alloc(ctx, w, sizeof(double));
    f->divisor = mr_ctx_alloc(ctx, w, sizeof(double));
    f->x = mr_ctx_alloc(ctx, n * w, sizeof(double));
    if (!f->mean || !f->sd || !f->shift || !f->divisor || !f->x)
        return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", n);
    mr_mean_sd(f->batch->features, n, w, f->mean, f->sd);
    for (size_t j = 0; j < w; j++) {
        f->shift[j] = o->standardise ? f->mean[j] : 0;
        f->divisor[j] = o->standardise ? f->sd[j] : 1;
    }
    mr_standardise(f->batch->features, n, w, f->shift, f->divisor, f->x);
    return mr_points_init(&f->points, mr_ctx_arena(ctx), f->x, n, w, err);
}

static mr_status cluster(mr_ctx *ctx, const cluster_config *o, fit *f, mr_error *err) {
    if (f->batch->rows == 0)
        return mr_fail(err, MR_E_INVALID,
                       "there are no rows; clustering needs at least min_cluster_size (%lld)",
                       (long long)o->min_cluster_size);
    MR_TRY(mr_check_features(f->batch, WIDTH_MAX, err));
    MR_TRY(prepare(ctx, o, f, err));
    f->min_samples = (size_t)(o->min_samples ? o->min_samples : o->min_cluster_size);
    mr_hdbscan_options h = {(size_t)o->min_cluster_size, f->min_samples, o->allow_single_cluster};
    return mr_hdbscan_fit(&f->points, &h, mr_ctx_arena(ctx), &(mr_ticker){tick, ctx}, &f->found, err);
}

/* ---- the clusters, for people ---- */

/* The row of cluster c with the highest strength; of equals the nearest to the cluster's mean, then the
 * lowest. */
static size_t typical_row(const fit *f, int32_t c, double *centre) {
    size_t n = f->batch->rows, w = f->batch->width, count = 0, best = n;
    double best_distance = INFINITY;
    memset(centre, 0, w * sizeof *centre);
    for (size_t i = 0; i < n; i++) {
        if (f->found.label[i] != c) continue;
        count++;
        for (size_t j = 0; j < w; j++) centre[j] += f->x[i * w + j];
    }
    for (size_t j = 0; j < w; j++) centre[j] /= (double)count;
    for (size_t i = 0; i < n; i++) {
        if (f->found.label[i] != c) continue;
        double distance = 0, strength = f->found.strength[i];
        for (size_t j = 0; j < w; j++)
            distance += (f->x[i * w + j] - centre[j]) * (f->x[i * w + j] - centre[j]);
        if (best < n && (strength < f->found.strength[best] ||
                         (strength == f->found.strength[best] && distance >= best_distance)))
            continue;
        best = i;
        best_distance = distance;
    }
    return best;
}

static void put_cluster(mr_ctx *ctx, const fit *f, int32_t c, double *centre, mr_out *out) {
    size_t n = f->batch->rows, size = 0;
    double strength = 0;
    for (size_t i = 0; i < n; i++) {
        if (f->found.label[i] != c) continue;
        size++;
        strength += f->found.strength[i];
    }
    mr_contrast traits[TRAITS];
    size_t count = mr_contrasts(f->batch->features, n, f->batch->width, f->found.label, c, MR_REST, f->sd,
                                TRAITS, traits);
    size_t best = typical_row(f, c, centre);
    uint64_t typical = f->batch->first + (f->drawn ? f->drawn[best] : best);
    double part = (double)size / (double)n, stability = f->found.tree[f->found.chosen[c]].stability;
    mr_out_open_map(out, NULL);
    mr_out_integer(out, "label", c);
    mr_out_integer(out, "size", (int64_t)size);
    mr_out_number(out, "share", part);
    mr_out_number(out, "stability", stability);
    mr_out_number(out, "mean_strength", strength / (double)size);
    mr_out_integer(out, "typical_row", (int64_t)typical);
    mr_put_contrasts(out, "features", traits, count, f->names);
    mr_out_close(out);
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf words;
    mr_buf_init(&words, &mem, 4096);
    mr_contrast_words(traits, count, f->names, &words);
    mr_out_finding(out, 0.2 + 0.6 * part, "context %d: %zu rows (%.0f %%), %.*s; typical is row %llu", c,
                   size, 100 * part, MR_SPAN_ARG(mr_buf_span(&words)), (unsigned long long)typical);
}

static void put_tree(const fit *f, mr_out *out) {
    mr_out_open_list(out, "tree");
    for (size_t i = 0; i < f->found.tree_size; i++) {
        const mr_condensed *t = &f->found.tree[i];
        mr_out_open_map(out, NULL);
        mr_out_integer(out, "parent", t->parent);
        mr_out_integer(out, "label", t->label);
        mr_out_integer(out, "size", t->size);
        mr_out_number(out, "birth", t->birth);
        mr_out_number(out, "death", t->death);
        mr_out_number(out, "stability", t->stability);
        mr_out_close(out);
    }
    mr_out_close(out);
}

/* ---- agreement with a label column ---- */

typedef struct tagged {
    mr_span text;
    uint32_t row;
} tagged;

static int by_text(const void *x, const void *y) {
    const tagged *p = x, *q = y;
    size_t least = p->text.len < q->text.len ? p->text.len : q->text.len;
    int order = least ? memcmp(p->text.data, q->text.data, least) : 0;
    return order ? order : (p->text.len > q->text.len) - (p->text.len < q->text.len);
}

/* Pairs of (cluster, label number) of the rows that have a label; returns how many. */
static size_t pair_up(const fit *f, tagged *tags, int32_t *clusters, int32_t *classes) {
    const mr_span *label = f->batch->text[MR_TEXT_LABEL];
    size_t count = 0;
    for (uint32_t i = 0; i < f->batch->rows; i++)
        if (label[i].len > 0) tags[count++] = (tagged){label[i], i};
    qsort(tags, count, sizeof *tags, by_text);
    int32_t kind = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && by_text(&tags[i - 1], &tags[i]) != 0) kind++;
        classes[i] = kind;
        clusters[i] = f->found.label[tags[i].row];
    }
    return count;
}

/* The pairs come sorted by class, so each class is a run; `inside` and `top` are counts by cluster. */
static double purity(const int32_t *clusters, const int32_t *classes, size_t count, size_t k, size_t *inside,
                     size_t *top) {
    size_t right = 0, all = 0;
    for (size_t i = 0, j; i < count; i = j) {
        memset(inside, 0, k * sizeof *inside);
        for (j = i; j < count && classes[j] == classes[i]; j++) {
            if (clusters[j] == MR_NOISE) continue;
            all++;
            if (++inside[clusters[j]] > top[clusters[j]]) top[clusters[j]] = inside[clusters[j]];
        }
    }
    for (size_t c = 0; c < k; c++) right += top[c];
    return all ? (double)right / (double)all : NAN;
}

static mr_status put_agreement(mr_ctx *ctx, const fit *f, mr_out *out, mr_error *err) {
    if (!(f->batch->columns & MR_COL_LABEL)) return MR_OK;
    size_t n = f->batch->rows, k = f->found.clusters;
    tagged *tags = mr_ctx_alloc(ctx, n, sizeof *tags);
    int32_t *clusters = mr_ctx_alloc(ctx, n, sizeof *clusters),
            *classes = mr_ctx_alloc(ctx, n, sizeof *classes);
    size_t *inside = mr_ctx_alloc(ctx, k + 1, sizeof *inside), *top = mr_ctx_alloc(ctx, k + 1, sizeof *top);
    if (!tags || !clusters || !classes || !inside || !top)
        return mr_fail(err, MR_E_MEMORY, "no memory to compare labels of %zu rows", n);
    size_t count = pair_up(f, tags, clusters, classes);
    if (count == 0) return MR_OK;
    double rand = mr_adjusted_rand(clusters, classes, count, mr_ctx_arena(ctx));
    double pure = purity(clusters, classes, count, k, inside, top);
    mr_out_number(out, "adjusted_rand", rand);
    mr_out_number(out, "purity", pure);
    if (k > 0)
        mr_out_finding(out, 0.85,
                       "against the label column of %zu rows: adjusted Rand index %.2f, purity %.0f %%",
                       count, rand, 100 * pure);
    return MR_OK;
}

/* ---- result ---- */

static void put_summary(const cluster_config *o, const fit *f, size_t n, size_t noise, mr_out *out) {
    if (f->drawn)
        mr_out_finding(out, 0.95, "contexts were sought in %u rows drawn evenly from %zu, and the others put into them; "
                       "max_rows raises that, at a cost that grows with its square", f->batch->rows, n);
    if (f->found.clusters == 0)
        mr_out_finding(out, 0.9,
                       "no contexts: the %zu rows hold no separate dense groups of %lld or more; a smaller "
                       "min_cluster_size may show finer ones",
                       n, (long long)o->min_cluster_size);
    else
        mr_out_finding(out, 0.9, "%zu context%s among %zu rows; %zu rows (%.0f %%) belong to none",
                       f->found.clusters, f->found.clusters == 1 ? "" : "s", n, noise,
                       100 * (double)noise / (double)n);
}

static size_t count_noise(const int32_t *label, size_t n) {
    size_t noise = 0;
    for (size_t i = 0; i < n; i++) noise += label[i] == MR_NOISE;
    return noise;
}

static mr_status put_labels(mr_ctx *ctx, const int32_t *label, size_t n, mr_out *out) {
    int64_t *wide = mr_ctx_alloc(ctx, n + 1, sizeof *wide);
    if (!wide) return MR_E_MEMORY;
    for (size_t i = 0; i < n; i++) wide[i] = label[i];
    mr_out_integers(out, "labels", wide, n);
    return MR_OK;
}

/* Labels and strengths of all rows. */
typedef struct everyone {
    size_t n;
    const int32_t *label;
    const double *strength;
} everyone;

/* Those that were not drawn are put into the clusters. */
static mr_status place(mr_ctx *ctx, const fit *f, const mr_batch *all, everyone *out) {
    *out = (everyone){all->rows, f->found.label, f->found.strength};
    if (!f->drawn) return MR_OK;
    size_t n = all->rows, w = all->width, next = 0;
    int32_t *label = mr_ctx_alloc(ctx, n, sizeof *label);
    double *strength = mr_ctx_alloc(ctx, n, sizeof *strength), *row = mr_ctx_alloc(ctx, w, sizeof *row);
    mr_neighbour *near = mr_ctx_alloc(ctx, f->min_samples, sizeof *near);
    if (!label || !strength || !row || !near) return MR_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        if (next < f->batch->rows && f->drawn[next] == i) {
            label[i] = f->found.label[next];
            strength[i] = f->found.strength[next++];
            continue;
        }
        MR_TRY(mr_tick(ctx));
        mr_standardise(all->features + i * w, 1, w, f->shift, f->divisor, row);
        label[i] = mr_hdbscan_assign(&f->found, &f->points, f->min_samples, row, near, &strength[i]);
    }
    *out = (everyone){n, label, strength};
    return MR_OK;
}

static mr_status put_result(mr_ctx *ctx, const cluster_config *o, const fit *f, const everyone *all, mr_out *out,
                            mr_error *err) {
    size_t k = f->found.clusters, noise = count_noise(all->label, all->n);
    double *stabilities = mr_ctx_alloc(ctx, k + 1, sizeof *stabilities);
    double *centre = mr_ctx_alloc(ctx, f->batch->width, sizeof *centre);
    if (!stabilities || !centre) return mr_fail(err, MR_E_MEMORY, "no memory for %zu clusters", k);
    for (size_t c = 0; c < k; c++) stabilities[c] = f->found.tree[f->found.chosen[c]].stability;
    mr_out_integer(out, "rows", (int64_t)all->n);
    mr_out_integer(out, "fitted", (int64_t)f->batch->rows);
    mr_put_names(out, "columns", f->names);
    mr_out_integer(out, "clusters", (int64_t)k);
    mr_out_integer(out, "noise", (int64_t)noise);
    MR_TRY(put_labels(ctx, all->label, all->n, out));
    mr_out_numbers(out, "strengths", all->strength, all->n);
    mr_out_numbers(out, "stabilities", stabilities, k);
    mr_out_number(out, "tree_weight", f->found.tree_weight);
    put_summary(o, f, all->n, noise, out);
    mr_out_open_list(out, "cluster_list");
    for (size_t c = 0; c < k; c++) {
        MR_TRY(mr_tick(ctx));
        put_cluster(ctx, f, (int32_t)c, centre, out);
    }
    mr_out_close(out);
    put_tree(f, out);
    return put_agreement(ctx, f, out, err);
}

/* ---- the model: the clustered rows, their core distances and labels, and each cluster's birth and death
 * ---- */

static mr_status put_model(mr_ctx *ctx, const fit *f, mr_out *out, mr_error *err) {
    size_t n = f->batch->rows, w = f->batch->width, k = f->found.clusters;
    double *lives = mr_ctx_alloc(ctx, 2 * k + 1, sizeof *lives);
    if (!lives) return mr_fail(err, MR_E_MEMORY, "no memory for the model");
    for (size_t c = 0; c < k; c++) {
        lives[2 * c] = f->found.tree[f->found.chosen[c]].birth;
        lives[2 * c + 1] = f->found.tree[f->found.chosen[c]].death;
    }
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf b;
    mr_buf_init(&b, &mem, MODEL_MAX);
    mr_pack_array(&b, 11);
    mr_pack_text(&b, model_magic);
    mr_pack_names(&b, f->names);
    mr_pack_u64(&b, n);
    mr_pack_u64(&b, k);
    mr_pack_u64(&b, f->min_samples);
    mr_pack_doubles(&b, f->shift, w);
    mr_pack_doubles(&b, f->divisor, w);
    mr_pack_doubles(&b, f->x, n * w);
    mr_pack_doubles(&b, f->found.core, n);
    mr_pack_bin(&b, (mr_span){(const uint8_t *)f->found.label, n * sizeof *f->found.label});
    mr_pack_doubles(&b, lives, 2 * k);
    if (mr_buf_status(&b) == MR_E_LIMIT) {
        mr_out_finding(out, 0.95,
                       "no model was kept: %zu rows of %zu columns are over %d MiB, so new rows cannot be "
                       "assigned without refitting",
                       n, w, MODEL_MAX >> 20);
        return MR_OK;
    }
    if (mr_buf_status(&b) != MR_OK) return mr_fail(err, mr_buf_status(&b), "no memory for the model");
    mr_out_artifact(out, "model", "application/x-msgpack", mr_buf_span(&b));
    return MR_OK;
}

/* At most max_rows of the rows: features, and labels where there are any. */
static mr_status draw(mr_ctx *ctx, const cluster_config *o, const mr_batch *all, mr_batch *some, fit *f, mr_error *err) {
    *some = *all;
    if (all->rows <= o->max_rows) return MR_OK;
    MR_TRY(mr_check_features(all, WIDTH_MAX, err));
    uint32_t k = (uint32_t)o->max_rows, *drawn = mr_ctx_alloc(ctx, k, sizeof *drawn);
    double *features = mr_ctx_alloc(ctx, (size_t)k * all->width, sizeof *features);
    mr_span *label = mr_ctx_alloc(ctx, k, sizeof *label);
    if (!drawn || !features || !label) return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", k);
    MR_TRY(mr_sample_draw(mr_ctx_arena(ctx), mr_ctx_seed(ctx), all->first, all->rows, k, drawn, err));
    for (uint32_t i = 0; i < k; i++) {
        memcpy(features + (size_t)i * all->width, all->features + (size_t)drawn[i] * all->width,
               all->width * sizeof *features);
        if (all->text[MR_TEXT_LABEL]) label[i] = all->text[MR_TEXT_LABEL][drawn[i]];
    }
    some->rows = k;
    some->features = features;
    if (all->text[MR_TEXT_LABEL]) some->text[MR_TEXT_LABEL] = label;
    f->drawn = drawn;
    return MR_OK;
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    mr_error err = {0};
    mr_batch some;
    everyone all;
    fit f = {.batch = &some, .names = {batch->width, batch->feature_names}};
    mr_status status = draw(ctx, config, batch, &some, &f, &err);
    if (status == MR_OK) status = cluster(ctx, config, &f, &err);
    if (status == MR_OK) status = place(ctx, &f, batch, &all);
    if (status == MR_OK) status = put_result(ctx, config, &f, &all, out, &err);
    if (status == MR_OK) status = put_model(ctx, &f, out, &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- apply ---- */

static mr_status read_labels(mr_unpack *u, mr_arena *arena, mr_hdbscan *m, mr_error *err) {
    MR_TRY(mr_unpack_block(u, m->n, sizeof *m->label, arena, &m->label, err));
    for (size_t i = 0; i < m->n; i++)
        if (m->label[i] < MR_NOISE || m->label[i] >= (int64_t)m->clusters)
            return mr_fail(err, MR_E_CORRUPT, "the model's row %zu has cluster %d", i, m->label[i]);
    return MR_OK;
}

static mr_status read_clusters(mr_unpack *u, mr_arena *arena, mr_hdbscan *m, mr_error *err) {
    double *lives;
    MR_TRY(mr_unpack_doubles(u, 2 * m->clusters, arena, &lives, err));
    m->tree = mr_arena_alloc(arena, m->clusters + 1, sizeof *m->tree);
    m->chosen = mr_arena_alloc(arena, m->clusters + 1, sizeof *m->chosen);
    if (!m->tree || !m->chosen) return mr_fail(err, MR_E_MEMORY, "no memory for %zu clusters", m->clusters);
    for (size_t c = 0; c < m->clusters; c++) {
        m->tree[c] = (mr_condensed){.label = (int32_t)c, .birth = lives[2 * c], .death = lives[2 * c + 1]};
        m->chosen[c] = (uint32_t)c;
    }
    return MR_OK;
}

static mr_status read_model(mr_ctx *ctx, mr_span bytes, fit *f, mr_error *err) {
    mr_arena *arena = mr_ctx_arena(ctx);
    mr_hdbscan *m = &f->found;
    uint64_t n, k, min_samples;
    mr_unpack u;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_magic(&u, model_magic, 11, err));
    MR_TRY(mr_unpack_names(&u, arena, &f->names, err));
    MR_TRY(mr_unpack_u64(&u, INT32_MAX, &n, err));
    MR_TRY(mr_unpack_u64(&u, n, &k, err));
    MR_TRY(mr_unpack_u64(&u, n, &min_samples, err));
    if (n == 0 || min_samples == 0 || f->names.count == 0)
        return mr_fail(err, MR_E_CORRUPT, "the model holds no rows");
    *m = (mr_hdbscan){.n = n, .clusters = k};
    f->min_samples = min_samples;
    MR_TRY(mr_unpack_doubles(&u, f->names.count, arena, &f->shift, err));
    MR_TRY(mr_unpack_doubles(&u, f->names.count, arena, &f->divisor, err));
    MR_TRY(mr_unpack_doubles(&u, n * f->names.count, arena, &f->x, err));
    MR_TRY(mr_unpack_doubles(&u, n, arena, &m->core, err));
    MR_TRY(read_labels(&u, arena, m, err));
    MR_TRY(read_clusters(&u, arena, m, err));
    return mr_points_init(&f->points, arena, f->x, n, f->names.count, err);
}

static mr_status assign(mr_ctx *ctx, const fit *f, const mr_batch *batch, mr_out *out) {
    size_t n = batch->rows, w = batch->width;
    int32_t *label = mr_ctx_alloc(ctx, n + 1, sizeof *label);
    double *strength = mr_ctx_alloc(ctx, n + 1, sizeof *strength), *row = mr_ctx_alloc(ctx, w, sizeof *row);
    mr_neighbour *near = mr_ctx_alloc(ctx, f->min_samples, sizeof *near);
    if (!label || !strength || !row || !near) return MR_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        MR_TRY(mr_tick(ctx));
        mr_standardise(batch->features + i * w, 1, w, f->shift, f->divisor, row);
        label[i] = mr_hdbscan_assign(&f->found, &f->points, f->min_samples, row, near, &strength[i]);
    }
    mr_out_integer(out, "rows", (int64_t)n);
    mr_out_integer(out, "fitted", (int64_t)f->found.n);
    mr_out_integer(out, "clusters", (int64_t)f->found.clusters);
    mr_out_integer(out, "noise", (int64_t)count_noise(label, n));
    MR_TRY(put_labels(ctx, label, n, out));
    mr_out_numbers(out, "strengths", strength, n);
    return MR_OK;
}

static mr_status apply(mr_ctx *ctx, const void *config, const mr_artifact *artifact, const mr_batch *batch,
                       mr_out *out) {
    (void)config;
    mr_error err = {0};
    fit f = {.batch = batch};
    if (mr_check_features(batch, WIDTH_MAX, &err) != MR_OK ||
        read_model(ctx, artifact->bytes, &f, &err) != MR_OK ||
        mr_same_names((mr_names){batch->width, batch->feature_names}, f.names, "the model", &err) != MR_OK)
        return refuse(ctx, &err);
    return assign(ctx, &f, batch, out);
}

/* Two squares of four and a row far from both. */
static const mr_example examples[] = {
    {.title = "two groups and one row that belongs to neither",
     .input = "x,y\n0,0\n0,1\n1,0\n1,1\n10,10\n10,11\n11,10\n11,11\n30,-30\n",
     .options = "min_cluster_size=3 min_samples=2 standardise=false",
     .expect = "{\"clusters\": 2, \"noise\": 1, \"labels\": [0, 0, 0, 0, 1, 1, 1, 1, -1]}"},
    {0}};

const mr_component mr_component_context_learner = {
    .name = "context_learner",
    .summary = "finds the contexts that rows come from, as dense groups of their features (HDBSCAN)",
    .kind = MR_LEARNER,
    .shape = MR_WHOLE,
    .tier = 2,
    .version = 1,
    .columns = MR_COL_FEATURES,
    .columns_wanted = MR_COL_LABEL,
    .capabilities = (const char *const[]){"clustering", "assignment", NULL},
    .options = options,
    .config_size = sizeof(cluster_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 600000,
    .memory_mb = 1024,
    .process = process,
    .apply = apply,
};
