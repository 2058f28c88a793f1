#include "worker/kit/settings.h"

#include <math.h>
#include <string.h>

enum { SIZES = 7, FULL_WIDTH_MAX = 64 };
static const size_t sizes[SIZES] = {5, 10, 15, 25, 50, 100, 200};
static const double GAIN = 1e-5;

const char *const mr_setting_methods[MR_SETTING_METHODS] = {
    "k-means", "Gaussian mixture, full covariances", "Gaussian mixture, diagonal covariances", "HDBSCAN"};

/* ---- the grid ---- */

static mr_setting *add(mr_settings *g, mr_setting_method method) {
    mr_setting *s = &g->items[g->count++];
    *s = (mr_setting){.method = method, .inertia = NAN, .bic = NAN};
    return s;
}

static void plan(mr_settings *g, const mr_points *p, size_t clusters_max) {
    for (int m = MR_SETTING_KMEANS; m <= MR_SETTING_MIXTURE_DIAGONAL; m++)
        for (size_t k = 2; k <= clusters_max && k < p->n; k++)
            if (m != MR_SETTING_MIXTURE_FULL || p->width <= FULL_WIDTH_MAX)
                add(g, (mr_setting_method)m)->k = k;
    for (size_t i = 0; i < SIZES && 2 * sizes[i] <= p->n; i++)
        for (int same = 0; same < (i ? 2 : 1); same++) {
            mr_setting *s = add(g, MR_SETTING_HDBSCAN);
            s->min_cluster_size = sizes[i];
            s->min_samples = same ? sizes[i] : sizes[0];
        }
}

/* ---- fitting ---- */

static mr_status fit_mixture(mr_setting *s, const mr_points *p, const int32_t *first, size_t k,
                             mr_arena *arena, const mr_ticker *tick, mr_error *err) {
    bool full = s->method == MR_SETTING_MIXTURE_FULL;
    mr_mixture *m = &s->fit.mixture;
    mr_error why = {0};
    double *scratch = mr_arena_alloc(arena, k + p->width, sizeof *scratch);
    s->label = mr_arena_alloc(arena, p->n, sizeof *s->label);
    if (!scratch || !s->label) return mr_fail(err, MR_E_MEMORY, "no memory for labels of %zu rows", p->n);
    mr_status status = mr_mixture_fit(p->rows, p->n, p->width, first, k, full, GAIN, arena, tick, m, &why);
    if (status == MR_E_INVALID) {
        s->excluded = "a covariance is not positive definite";
        memset(s->label, 0xff, p->n * sizeof *s->label);
        return MR_OK;
    }
    if (status != MR_OK) {
        *err = why;
        return status;
    }
    s->bic = m->bic;
    for (size_t i = 0; i < p->n; i++) s->label[i] = mr_mixture_assign(m, p->rows + i * p->width, scratch);
    s->part.clusters = mr_number_labels(s->label, p->n, k, arena);
    return s->part.clusters == SIZE_MAX ? mr_fail(err, MR_E_MEMORY, "no memory for %zu names", k) : MR_OK;
}

static mr_status fit_hdbscan(mr_setting *s, const mr_points *p, mr_arena *arena, const mr_ticker *tick,
                             mr_error *err) {
    mr_hdbscan_options o = {s->min_cluster_size, s->min_samples, false};
    MR_TRY(mr_hdbscan_fit(p, &o, arena, tick, &s->fit.hdbscan, err));
    s->label = s->fit.hdbscan.label;
    s->part.clusters = s->fit.hdbscan.clusters;
    return MR_OK;
}

static mr_status fit_kmeans(mr_setting *s, const mr_points *p, unsigned starts, uint64_t seed,
                            mr_arena *arena, const mr_ticker *tick, mr_error *err) {
    MR_TRY(mr_kmeans_fit(p, s->k, starts, seed, arena, tick, &s->fit.kmeans, err));
    s->label = s->fit.kmeans.label;
    s->part.clusters = s->fit.kmeans.k;
    s->inertia = s->fit.kmeans.inertia;
    return MR_OK;
}

/* The k-means setting that a mixture of as many components starts from. */
static const mr_setting *start_of(const mr_settings *g, size_t k) {
    for (size_t i = 0; i < g->count; i++)
        if (g->items[i].method == MR_SETTING_KMEANS && g->items[i].k == k) return &g->items[i];
    return NULL;
}

static mr_status fit_all(mr_settings *g, const mr_points *p, const mr_settings_options *o, uint64_t seed,
                         mr_arena *arena, const mr_ticker *tick, mr_error *err) {
    for (size_t i = 0; i < g->count; i++) {
        mr_setting *s = &g->items[i];
        const mr_setting *start = s->k ? start_of(g, s->k) : NULL;
        if (s->method == MR_SETTING_KMEANS)
            MR_TRY(fit_kmeans(s, p, o->starts, seed, arena, tick, err));
        else if (s->method == MR_SETTING_HDBSCAN)
            MR_TRY(fit_hdbscan(s, p, arena, tick, err));
        else
            MR_TRY(fit_mixture(s, p, start->label, start->part.clusters, arena, tick, err));
    }
    return MR_OK;
}

/* ---- scoring ---- */

static void judge(mr_settings *g, size_t n) {
    g->best = g->count;
    for (size_t i = 0; i < g->count; i++) {
        mr_setting *s = &g->items[i];
        if (!s->excluded && s->part.clusters < 2) s->excluded = "fewer than two clusters";
        if (!s->excluded && (double)s->part.noise > MR_SETTING_NOISE_MAX * (double)n)
            s->excluded = "over 30 % noise";
        if (s->excluded) continue;
        if (g->best == g->count || s->part.silhouette > g->items[g->best].part.silhouette) g->best = i;
    }
}

static mr_status score(mr_settings *g, const mr_points *p, mr_arena *arena, const mr_ticker *tick,
                       mr_error *err) {
    mr_partition *parts = mr_arena_alloc(arena, g->count + 1, sizeof *parts);
    if (!parts) return mr_fail(err, MR_E_MEMORY, "no memory for %zu settings", g->count);
    for (size_t i = 0; i < g->count; i++) {
        g->items[i].part.label = g->items[i].label;
        parts[i] = g->items[i].part;
    }
    MR_TRY(mr_silhouettes(p, parts, g->count, NULL, arena, tick, err));
    for (size_t i = 0; i < g->count; i++) {
        MR_TRY(mr_ticker_call(tick));
        MR_TRY(mr_scatter_indices(p, &parts[i], arena, err));
        g->items[i].part = parts[i];
    }
    return MR_OK;
}

mr_status mr_settings_run(const mr_points *p, const mr_settings_options *options, uint64_t seed,
                          mr_arena *arena, const mr_ticker *tick, mr_settings *out, mr_error *err) {
    size_t most = 3 * options->clusters_max + 2 * SIZES;
    *out = (mr_settings){.items = mr_arena_alloc(arena, most, sizeof *out->items)};
    if (!out->items) return mr_fail(err, MR_E_MEMORY, "no memory for %zu settings", most);
    plan(out, p, options->clusters_max);
    MR_TRY(fit_all(out, p, options, seed, arena, tick, err));
    MR_TRY(score(out, p, arena, tick, err));
    judge(out, p->n);
    return MR_OK;
}

void mr_setting_words(const mr_setting *s, mr_buf *out) {
    if (s->method == MR_SETTING_HDBSCAN)
        mr_buf_printf(out, "HDBSCAN, min_cluster_size %zu, min_samples %zu", s->min_cluster_size,
                      s->min_samples);
    else
        mr_buf_printf(out, "%s, k = %zu", mr_setting_methods[s->method], s->k);
}
