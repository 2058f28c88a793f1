/* context_learner: the contexts that rows come from, as dense groups of their features: HDBSCAN
 * (worker/kit/hdbscan.h says which conventions), described for people, with a model that puts new rows into
 * the groups without refitting, and a state from which the search goes on when rows arrive
 * (worker/kit/contexts.h). */
#include "worker/component.h"
#include "worker/kit/contexts.h"
#include "worker/kit/put.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRAITS = 3, MODEL_MAX = 30 << 20, ARTIFACTS_MAX = 31 << 20 };

typedef struct cluster_config {
    mr_contexts_options of;
    double growth, drift;
} cluster_config;

static const mr_option options[] = {
    {.name = "min_cluster_size",
     .type = MR_OPT_INT,
     .offset = offsetof(cluster_config, of.min_cluster_size),
     .def = "5",
     .min = 2,
     .max = 1e6,
     .unit = "rows",
     .help = "smaller groups are noise"},
    {.name = "min_samples",
     .type = MR_OPT_INT,
     .offset = offsetof(cluster_config, of.min_samples),
     .def = "0",
     .min = 0,
     .max = 10000,
     .unit = "rows",
     .help = "neighbours, the row itself not counted, that make a place dense; 0: as min_cluster_size"},
    {.name = "max_rows",
     .type = MR_OPT_INT,
     .offset = offsetof(cluster_config, of.max_rows),
     .def = "20000",
     .min = 100,
     .max = 1e6,
     .unit = "rows",
     .help = "rows that clusters are sought in; of more, so many are drawn evenly and the others put into the clusters found"},
    {.name = "standardise",
     .type = MR_OPT_BOOL,
     .offset = offsetof(cluster_config, of.standardise),
     .def = "true",
     .help = "bring every column to mean 0 and population standard deviation 1 first"},
    {.name = "allow_single_cluster",
     .type = MR_OPT_BOOL,
     .offset = offsetof(cluster_config, of.allow_single_cluster),
     .def = "false",
     .help = "let one cluster of all rows be the answer"},
    {.name = "growth",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(cluster_config, growth),
     .def = "0.25",
     .min = 0,
     .max = 100,
     .help = "when a stored state meets new rows: clusters are sought anew when the rows have grown by this share since the last "
             "time"},
    {.name = "drift",
     .type = MR_OPT_NUMBER,
     .offset = offsetof(cluster_config, drift),
     .def = "0.001",
     .min = 0,
     .max = 1,
     .help = "and when the new rows' share of noise differs, or their mean strength is lower, with a p below this; 0: never"},
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
    {"label_rows", MR_FIELD_LIST, NULL,
     "apply of a state only, where more rows were seen than are kept: positions of the rows that labels, strengths and noise "
     "are about",
     MR_FOLD_NONE},
    {"update", MR_FIELD_MAP, NULL,
     "apply of a state only: refitted, reason (growth, noise, strength or none), growth since the last fit, and of the rows of "
     "that fit and those since: rows, noise, new_rows, new_noise, noise_p (Fisher's exact test), strength, new_strength, "
     "strength_p (Welch's t test)",
     MR_FOLD_NONE},
    {0}};

static mr_status refuse(mr_ctx *ctx, const mr_error *err) {
    return mr_refuse(ctx, err->status, "%s", err->text);
}

static mr_status tick(void *ctx) { return mr_tick(ctx); }

/* Rows whose clusters are described: those of the fit, or, when rows came and the fit was kept, all that are held. */
typedef struct shown {
    const mr_contexts *c;
    const mr_context_rows *rows;
    const double *x; /* standardised as the fit's */
    const int32_t *label;
    const double *strength;
} shown;

/* ---- the clusters, for people ---- */

/* The row of cluster c with the highest strength; of equals the nearest to the cluster's mean, then the
 * lowest. */
static size_t typical_row(const shown *f, int32_t c, double *centre) {
    size_t n = f->rows->n, w = f->rows->width, count = 0, best = n;
    double best_distance = INFINITY;
    memset(centre, 0, w * sizeof *centre);
    for (size_t i = 0; i < n; i++) {
        if (f->label[i] != c) continue;
        count++;
        for (size_t j = 0; j < w; j++) centre[j] += f->x[i * w + j];
    }
    for (size_t j = 0; j < w; j++) centre[j] /= (double)count;
    for (size_t i = 0; i < n; i++) {
        if (f->label[i] != c) continue;
        double distance = 0, strength = f->strength[i];
        for (size_t j = 0; j < w; j++)
            distance += (f->x[i * w + j] - centre[j]) * (f->x[i * w + j] - centre[j]);
        if (best < n && (strength < f->strength[best] ||
                         (strength == f->strength[best] && distance >= best_distance)))
            continue;
        best = i;
        best_distance = distance;
    }
    return best;
}

static void put_cluster(mr_ctx *ctx, const shown *f, int32_t c, double *centre, mr_out *out) {
    size_t n = f->rows->n, size = 0;
    double strength = 0;
    for (size_t i = 0; i < n; i++) {
        if (f->label[i] != c) continue;
        size++;
        strength += f->strength[i];
    }
    mr_contrast traits[TRAITS];
    size_t count = mr_contrasts(f->rows->features, n, f->rows->width, f->label, c, MR_REST, f->c->sd, TRAITS, traits);
    uint64_t typical = f->rows->position[typical_row(f, c, centre)];
    double part = (double)size / (double)n, stability = f->c->found.tree[f->c->found.chosen[c]].stability;
    mr_out_open_map(out, NULL);
    mr_out_integer(out, "label", c);
    mr_out_integer(out, "size", (int64_t)size);
    mr_out_number(out, "share", part);
    mr_out_number(out, "stability", stability);
    mr_out_number(out, "mean_strength", strength / (double)size);
    mr_out_integer(out, "typical_row", (int64_t)typical);
    mr_put_contrasts(out, "features", traits, count, f->c->names);
    mr_out_close(out);
    mr_mem mem = mr_arena_mem(mr_ctx_arena(ctx));
    mr_buf words;
    mr_buf_init(&words, &mem, 4096);
    mr_contrast_words(traits, count, f->c->names, &words);
    mr_out_finding(out, 0.2 + 0.6 * part, "context %d: %zu rows (%.0f %%), %.*s; typical is row %llu", c,
                   size, 100 * part, MR_SPAN_ARG(mr_buf_span(&words)), (unsigned long long)typical);
}

static void put_tree(const mr_contexts *f, mr_out *out) {
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
static size_t pair_up(const mr_contexts *f, const mr_span *label, tagged *tags, int32_t *clusters, int32_t *classes) {
    size_t count = 0;
    for (uint32_t i = 0; i < f->rows.n; i++) {
        mr_span text = label[f->drawn ? f->drawn[i] : i];
        if (text.len > 0) tags[count++] = (tagged){text, i};
    }
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

/* `label`: of all rows; NULL when there is no such column. */
static mr_status put_agreement(mr_ctx *ctx, const mr_contexts *f, const mr_span *label, mr_out *out, mr_error *err) {
    if (!label) return MR_OK;
    size_t n = f->rows.n, k = f->found.clusters;
    tagged *tags = mr_ctx_alloc(ctx, n, sizeof *tags);
    int32_t *clusters = mr_ctx_alloc(ctx, n, sizeof *clusters),
            *classes = mr_ctx_alloc(ctx, n, sizeof *classes);
    size_t *inside = mr_ctx_alloc(ctx, k + 1, sizeof *inside), *top = mr_ctx_alloc(ctx, k + 1, sizeof *top);
    if (!tags || !clusters || !classes || !inside || !top)
        return mr_fail(err, MR_E_MEMORY, "no memory to compare labels of %zu rows", n);
    size_t count = pair_up(f, label, tags, clusters, classes);
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

/* All that a result is made from. */
typedef struct work {
    mr_ctx *ctx;
    const cluster_config *o;
    mr_contexts fit;
    mr_contexts_state state; /* of it: options, seed and rows seen */
    mr_context_rows all;     /* rows at hand: all, or those that the state kept and the new ones */
    uint8_t *fitted;         /* all.n flags: which of them are the fit's */
    int32_t *label;          /* all.n */
    double *strength;        /* all.n */
    const mr_span *text;     /* all.n: the label column, or NULL */
    bool is_update;
    mr_context_drift drift;
} work;

static mr_status no_memory(const work *w, mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", w->all.n);
}

static void put_summary(const work *w, size_t noise, mr_out *out) {
    size_t n = w->all.n, k = w->fit.found.clusters;
    if (w->fit.rows.n < w->state.seen_at_fit)
        mr_out_finding(out, 0.95, "contexts were sought in %zu rows drawn evenly from %llu, and the others put into them; "
                       "max_rows raises that, at a cost that grows with its square", w->fit.rows.n,
                       (unsigned long long)w->state.seen_at_fit);
    if (k == 0)
        mr_out_finding(out, 0.9,
                       "no contexts: the %zu rows hold no separate dense groups of %lld or more; a smaller "
                       "min_cluster_size may show finer ones",
                       n, (long long)w->o->of.min_cluster_size);
    else
        mr_out_finding(out, 0.9, "%zu context%s among %zu rows; %zu rows (%.0f %%) belong to none", k,
                       k == 1 ? "" : "s", n, noise, 100 * (double)noise / (double)n);
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

/* When the fit is of now, its rows alone are described, as those of a sample; else all at hand. */
static mr_status put_clusters(const work *w, mr_out *out, mr_error *err) {
    const mr_contexts *c = &w->fit;
    shown s = {c, &c->rows, c->x, c->found.label, c->found.strength};
    double *centre = mr_ctx_alloc(w->ctx, w->all.width, sizeof *centre);
    if (!centre) return no_memory(w, err);
    if (w->is_update && w->drift.change == MR_CONTEXTS_KEPT) {
        double *x = mr_ctx_alloc(w->ctx, w->all.n * w->all.width, sizeof *x);
        if (!x) return no_memory(w, err);
        mr_standardise(w->all.features, w->all.n, w->all.width, c->shift, c->divisor, x);
        s = (shown){c, &w->all, x, w->label, w->strength};
    }
    mr_out_open_list(out, "cluster_list");
    for (size_t k = 0; k < c->found.clusters; k++) {
        MR_TRY(mr_tick(w->ctx));
        put_cluster(w->ctx, &s, (int32_t)k, centre, out);
    }
    mr_out_close(out);
    return MR_OK;
}

static const char *const change_words[] = {"none", "growth", "noise", "strength"};

static void put_update(const work *w, mr_out *out) {
    const mr_context_drift *d = &w->drift;
    mr_out_open_map(out, "update");
    mr_out_bool(out, "refitted", d->change != MR_CONTEXTS_KEPT);
    mr_out_text(out, "reason", "%s", change_words[d->change]);
    mr_out_number(out, "growth", d->growth);
    mr_out_integer(out, "rows", (int64_t)d->rows);
    mr_out_integer(out, "noise", (int64_t)d->noise);
    mr_out_integer(out, "new_rows", (int64_t)d->new_rows);
    mr_out_integer(out, "new_noise", (int64_t)d->new_noise);
    mr_out_number(out, "noise_p", d->noise_p);
    mr_out_number(out, "strength", d->strength);
    mr_out_number(out, "new_strength", d->new_strength);
    mr_out_number(out, "strength_p", d->strength_p);
    mr_out_close(out);
}

static double percent(size_t part, size_t all) { return all ? 100 * (double)part / (double)all : 0; }

static void update_finding(const mr_context_drift *d, mr_out *out) {
    double noise = percent(d->noise, d->rows), fresh = percent(d->new_noise, d->new_rows);
    if (d->change == MR_CONTEXTS_GREW)
        mr_out_finding(out, 0.97, "contexts were sought anew, because the rows have grown by %.0f %% since the last time",
                       100 * d->growth);
    else if (d->change == MR_CONTEXTS_NOISE)
        mr_out_finding(out, 0.97, "contexts were sought anew, because %.0f %% of the %zu new rows belonged to none, where %.0f %% "
                       "of the %zu old ones do (Fisher's exact test, p = %.2g)", fresh, d->new_rows, noise, d->rows, d->noise_p);
    else if (d->change == MR_CONTEXTS_STRENGTH)
        mr_out_finding(out, 0.97, "contexts were sought anew, because the new rows belonged less strongly: %.2f on average of "
                       "%zu, before %.2f of %zu (Welch's t test, p = %.2g)", d->new_strength, d->new_rows - d->new_noise,
                       d->strength, d->rows - d->noise, d->strength_p);
    else
        mr_out_finding(out, 0.97, "the contexts are those found before: %zu rows came since, %.0f %% more; %.0f %% of them belong "
                       "to none, of the others %.0f %%", d->new_rows, 100 * d->growth, fresh, noise);
}

static mr_status put_held(const work *w, mr_out *out, mr_error *err) {
    if (w->all.n == w->state.seen) return MR_OK;
    int64_t *row = mr_ctx_alloc(w->ctx, w->all.n + 1, sizeof *row);
    if (!row) return no_memory(w, err);
    for (size_t i = 0; i < w->all.n; i++) row[i] = (int64_t)w->all.position[i];
    mr_out_integers(out, "label_rows", row, w->all.n);
    return MR_OK;
}

static mr_status put_result(const work *w, mr_out *out, mr_error *err) {
    const mr_hdbscan *found = &w->fit.found;
    size_t k = found->clusters, noise = count_noise(w->label, w->all.n);
    double *stabilities = mr_ctx_alloc(w->ctx, k + 1, sizeof *stabilities);
    if (!stabilities) return no_memory(w, err);
    for (size_t c = 0; c < k; c++) stabilities[c] = found->tree[found->chosen[c]].stability;
    mr_out_integer(out, "rows", (int64_t)w->state.seen);
    mr_out_integer(out, "fitted", (int64_t)found->n);
    mr_put_names(out, "columns", w->fit.names);
    mr_out_integer(out, "clusters", (int64_t)k);
    mr_out_integer(out, "noise", (int64_t)noise);
    MR_TRY(put_labels(w->ctx, w->label, w->all.n, out));
    mr_out_numbers(out, "strengths", w->strength, w->all.n);
    mr_out_numbers(out, "stabilities", stabilities, k);
    mr_out_number(out, "tree_weight", found->tree_weight);
    put_summary(w, noise, out);
    MR_TRY(put_clusters(w, out, err));
    put_tree(&w->fit, out);
    MR_TRY(put_agreement(w->ctx, &w->fit, w->text, out, err));
    if (!w->is_update) return MR_OK;
    MR_TRY(put_held(w, out, err));
    put_update(w, out);
    update_finding(&w->drift, out);
    return MR_OK;
}

/* ---- artifacts ---- */

/* Puts it out, or says why not; *left is what of ARTIFACTS_MAX it leaves. */
static mr_status put_artifact(const work *w, const char *name, const char *without, const mr_buf *b, size_t *left, mr_out *out,
                              mr_error *err) {
    if (mr_buf_status(b) == MR_E_LIMIT) {
        mr_out_finding(out, 0.95, "no %s was kept: %zu rows of %zu columns are over %d MiB, so %s", name, w->fit.rows.n,
                       w->all.width, (int)(b->max >> 20), without);
        return MR_OK;
    }
    if (mr_buf_status(b) != MR_OK) return mr_fail(err, mr_buf_status(b), "no memory for the %s", name);
    mr_out_artifact(out, name, "application/x-msgpack", mr_buf_span(b));
    *left -= b->len;
    return MR_OK;
}

static mr_status put_artifacts(const work *w, mr_out *out, mr_error *err) {
    mr_arena *arena = mr_ctx_arena(w->ctx);
    mr_mem mem = mr_arena_mem(arena);
    mr_buf model, state;
    size_t left = ARTIFACTS_MAX;
    mr_buf_init(&model, &mem, MODEL_MAX);
    mr_contexts_pack_model(&w->fit, arena, &model);
    MR_TRY(put_artifact(w, "model", "new rows cannot be assigned without refitting", &model, &left, out, err));
    mr_buf_init(&state, &mem, left);
    MR_TRY(mr_contexts_pack_state(&w->state, &w->fit, &w->all, w->fitted, arena, &state, err));
    return put_artifact(w, "state", "rows that come later cannot join these", &state, &left, out, err);
}

/* ---- a run ---- */

static mr_status rooms(work *w, mr_error *err) {
    w->fitted = mr_ctx_alloc(w->ctx, w->all.n + 1, 1);
    w->label = mr_ctx_alloc(w->ctx, w->all.n + 1, sizeof *w->label);
    w->strength = mr_ctx_alloc(w->ctx, w->all.n + 1, sizeof *w->strength);
    return w->fitted && w->label && w->strength ? MR_OK : no_memory(w, err);
}

static mr_status place(work *w, mr_error *err) {
    return mr_contexts_place(&w->fit, w->all.features, w->all.n, w->fitted, mr_ctx_arena(w->ctx), &(mr_ticker){tick, w->ctx},
                             w->label, w->strength, err);
}

static mr_status fit_all(work *w, mr_names names, mr_error *err) {
    MR_TRY(mr_contexts_fit(&w->all, names, &w->o->of, w->state.seed, mr_ctx_arena(w->ctx), &(mr_ticker){tick, w->ctx}, &w->fit,
                           err));
    w->state.seen_at_fit = w->state.seen;
    memset(w->fitted, !w->fit.drawn, w->all.n);
    for (size_t i = 0; w->fit.drawn && i < w->fit.rows.n; i++) w->fitted[w->fit.drawn[i]] = 1;
    return place(w, err);
}

static mr_status take_batch(work *w, const mr_batch *batch, mr_error *err) {
    uint64_t *position = mr_ctx_alloc(w->ctx, batch->rows + (size_t)1, sizeof *position);
    w->all = (mr_context_rows){batch->rows, batch->width, position, batch->features};
    if (!position) return no_memory(w, err);
    for (size_t i = 0; i < batch->rows; i++) position[i] = batch->first + i;
    if (batch->columns & MR_COL_LABEL) w->text = batch->text[MR_TEXT_LABEL];
    w->state = (mr_contexts_state){.options = w->o->of, .seed = mr_ctx_seed(w->ctx), .seen = batch->rows};
    return rooms(w, err);
}

static mr_status process(mr_ctx *ctx, const void *config, const mr_batch *batch, mr_out *out) {
    mr_error err = {0};
    work w = {.ctx = ctx, .o = config};
    mr_status status = batch->rows ? mr_check_features(batch, MR_CONTEXTS_WIDTH, &err) : MR_OK;
    if (status == MR_OK) status = take_batch(&w, batch, &err);
    if (status == MR_OK) status = fit_all(&w, (mr_names){batch->width, batch->feature_names}, &err);
    if (status == MR_OK) status = put_result(&w, out, &err);
    if (status == MR_OK) status = put_artifacts(&w, out, &err);
    return err.status == MR_OK ? status : refuse(ctx, &err);
}

/* ---- apply: a model assigns rows, a state takes them in ---- */

static mr_status apply_model(mr_ctx *ctx, mr_span bytes, const mr_batch *batch, mr_out *out, mr_error *err) {
    mr_contexts c = {0};
    size_t n = batch->rows;
    int32_t *label = mr_ctx_alloc(ctx, n + 1, sizeof *label);
    double *strength = mr_ctx_alloc(ctx, n + 1, sizeof *strength);
    if (!label || !strength) return mr_fail(err, MR_E_MEMORY, "no memory for %zu rows", n);
    MR_TRY(mr_contexts_read_model(&c, bytes, mr_ctx_arena(ctx), err));
    MR_TRY(mr_same_names((mr_names){batch->width, batch->feature_names}, c.names, "the model", err));
    MR_TRY(mr_contexts_place(&c, batch->features, n, NULL, mr_ctx_arena(ctx), &(mr_ticker){tick, ctx}, label, strength, err));
    mr_out_integer(out, "rows", (int64_t)n);
    mr_out_integer(out, "fitted", (int64_t)c.found.n);
    mr_out_integer(out, "clusters", (int64_t)c.found.clusters);
    mr_out_integer(out, "noise", (int64_t)count_noise(label, n));
    MR_TRY(put_labels(ctx, label, n, out));
    mr_out_numbers(out, "strengths", strength, n);
    return MR_OK;
}

/* The rows that the state kept, and the new ones behind all that it saw. */
static mr_status join_rows(work *w, const mr_batch *batch, mr_error *err) {
    const mr_context_rows *old = &w->state.rows;
    size_t n = old->n + batch->rows, width = old->width;
    uint64_t *position = mr_ctx_alloc(w->ctx, n, sizeof *position);
    double *features = mr_ctx_alloc(w->ctx, n * width, sizeof *features);
    w->all = (mr_context_rows){n, width, position, features};
    if (!position || !features) return no_memory(w, err);
    memcpy(position, old->position, old->n * sizeof *position);
    memcpy(features, old->features, old->n * width * sizeof *features);
    for (size_t i = 0; i < batch->rows; i++) position[old->n + i] = w->state.seen + i;
    if (batch->rows) memcpy(features + old->n * width, batch->features, batch->rows * width * sizeof *features);
    MR_TRY(rooms(w, err));
    memcpy(w->fitted, w->state.fitted, old->n);
    w->state.seen += batch->rows;
    return MR_OK;
}

/* New rows are put into the clusters; when that shows that the clusters no longer fit, they are sought anew in all rows. */
static mr_status update(work *w, mr_span bytes, const mr_batch *batch, mr_error *err) {
    w->is_update = true;
    MR_TRY(mr_check_only_batch(batch, err));
    MR_TRY(mr_contexts_read_state(&w->state, &w->fit, &w->o->of, bytes, mr_ctx_arena(w->ctx), err));
    MR_TRY(mr_same_names((mr_names){batch->width, batch->feature_names}, w->state.names, "the state", err));
    MR_TRY(join_rows(w, batch, err));
    MR_TRY(place(w, err));
    MR_TRY(mr_contexts_drift(&w->state, w->label, w->strength, w->fitted, w->all.n, w->o->growth, w->o->drift,
                             mr_ctx_arena(w->ctx), &w->drift, err));
    return w->drift.change == MR_CONTEXTS_KEPT ? MR_OK : fit_all(w, w->state.names, err);
}

static mr_status apply(mr_ctx *ctx, const void *config, const mr_artifact *artifact, const mr_batch *batch,
                       mr_out *out) {
    mr_error err = {0};
    work w = {.ctx = ctx, .o = config};
    mr_status status = mr_check_features(batch, MR_CONTEXTS_WIDTH, &err);
    if (status == MR_OK && !mr_contexts_is_state(artifact->bytes)) {
        status = apply_model(ctx, artifact->bytes, batch, out, &err);
    } else if (status == MR_OK) {
        status = update(&w, artifact->bytes, batch, &err);
        if (status == MR_OK) status = put_result(&w, out, &err);
        if (status == MR_OK) status = put_artifacts(&w, out, &err);
    }
    return err.status == MR_OK ? status : refuse(ctx, &err);
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
    .version = 2,
    .columns = MR_COL_FEATURES,
    .columns_wanted = MR_COL_LABEL,
    .capabilities = (const char *const[]){"clustering", "assignment", "update", NULL},
    .options = options,
    .config_size = sizeof(cluster_config),
    .outputs = outputs,
    .examples = examples,
    .deadline_ms = 600000,
    .memory_mb = 1024,
    .process = process,
    .apply = apply,
};
