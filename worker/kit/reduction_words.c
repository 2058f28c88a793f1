#include "worker/kit/reduction_words.h"

#include <math.h>

enum { DRIVERS = 3, NAMED_MAX = 8 };
static const double ENOUGH = 0.95;

/* "a, b, c": the columns with the largest loadings, each at least half of the first. */
static void drivers(const mr_reduced *a, const double *vector, mr_buf *out) {
    double last = INFINITY, first = 0;
    size_t last_at = 0, width = a->spread.width;
    for (int d = 0; d < DRIVERS; d++) {
        size_t top = width;
        for (size_t j = 0; j < width; j++) {
            double size = fabs(vector[j]);
            bool open = size < last || (size == last && j > last_at);
            if (open && (top == width || size > fabs(vector[top]))) top = j;
        }
        if (top == width || fabs(vector[top]) < first / 2 || vector[top] == 0) return;
        last = fabs(vector[top]);
        last_at = top;
        if (d == 0) first = last;
        mr_buf_printf(out, "%s%.60s", d ? ", " : "", a->names.items[top]);
    }
}

static void constant_finding(const mr_reduced *a, mr_buf *words, mr_out *out) {
    size_t named = 0, constants = a->spread.constants;
    if (constants == 0) return;
    mr_buf_clear(words);
    for (size_t j = 0; j < a->spread.width && named < NAMED_MAX; j++)
        if (a->spread.sd[j] == 0) mr_buf_printf(words, "%s%.60s", named++ ? ", " : "", a->names.items[j]);
    mr_out_finding(out, 0.3, "%zu of %zu columns hold%s one value only and add nothing: %.*s%s", constants, a->spread.width,
                   constants == 1 ? "s" : "", MR_SPAN_ARG(mr_buf_span(words)), constants > named ? " and more" : "");
}

static void component_finding(const mr_reduced *a, mr_buf *words, mr_out *out) {
    size_t most = mr_pca_needed(&a->pca, ENOUGH);
    drivers(a, a->pca.vectors, words);
    if (most > 0)
        mr_out_finding(out, 0.9, "%zu of %zu dimensions carr%s 95 %% of the variance; the first (%.0f %%) is driven by %.*s",
                       most, a->spread.width, most == 1 ? "ies" : "y", 100 * mr_pca_share(&a->pca, 0, 1),
                       MR_SPAN_ARG(mr_buf_span(words)));
    else
        mr_out_finding(out, 0.9, "%zu dimensions carry %.0f %% of the variance of %zu columns; the first (%.0f %%) is driven "
                       "by %.*s", a->pca.found, 100 * mr_pca_share(&a->pca, 0, a->pca.found), a->spread.width,
                       100 * mr_pca_share(&a->pca, 0, 1), MR_SPAN_ARG(mr_buf_span(words)));
    if (a->pca.wide)
        mr_out_finding(out, 0.5, "with more than %d columns the components come from %zu of the %llu rows, by randomised "
                       "singular value decomposition", MR_MOMENTS_NARROW, a->pca.fitted,
                       (unsigned long long)a->spread.rows);
}

static void scale_finding(const mr_reduced *a, mr_buf *words, mr_out *out) {
    double widest = 0, narrowest = INFINITY;
    for (size_t j = 0; j < a->spread.width; j++) {
        double sd = a->spread.sd[j];
        if (sd > widest) widest = sd;
        if (sd > 0 && sd < narrowest) narrowest = sd;
    }
    if (a->scaled || a->pca.wide || widest <= 10 * narrowest) return;
    size_t even = mr_pca_needed(&a->even, ENOUGH);
    mr_buf_clear(words);
    drivers(a, a->even.vectors, words);
    mr_out_finding(out, 0.8, "the columns' spreads differ by a factor of %.3g, so the widest decide; with scale=true %zu "
                   "carr%s 95 %%, the first driven by %.*s", widest / narrowest, even, even == 1 ? "ies" : "y",
                   MR_SPAN_ARG(mr_buf_span(words)));
}

static const char *name_of(mr_projection_kind kind) {
    return kind == MR_PROJECT_PCA ? "principal components" : kind == MR_PROJECT_UMAP ? "UMAP" : "the autoencoder";
}

static void choice_finding(const mr_reduced *a, mr_buf *words, mr_out *out) {
    const mr_candidate *kept = &a->r.of[a->r.kept];
    if (isnan(kept->trustworthiness)) return;
    mr_buf_clear(words);
    for (int k = 0; k < MR_PROJECTIONS; k++)
        if (k != (int)a->r.kept && a->r.of[k].tried)
            mr_buf_printf(words, "%s %s %.3f", words->len ? "," : "; instead", name_of((mr_projection_kind)k), a->r.of[k].information);
    mr_out_finding(out, kept->information < ENOUGH ? 0.95 : 0.85,
                   "%s in %zu dimension%s keep%s %.3f of the information%s (trustworthiness %.3f, continuity %.3f%s)%.*s",
                   name_of(a->r.kept), kept->model.dimensions, kept->model.dimensions == 1 ? "" : "s",
                   a->r.kept == MR_PROJECT_PCA ? "" : "s", kept->information,
                   kept->information < ENOUGH ? ", less than 0.95: more `components` would keep more" : "",
                   kept->trustworthiness, kept->continuity, isnan(kept->variance_kept) ? "" : ", and the variance",
                   MR_SPAN_ARG(mr_buf_span(words)));
}

static void autoencoder_finding(const mr_reduced *a, mr_out *out) {
    double ratio = a->r.test_error / a->r.pca_test_error;
    if (isnan(ratio)) return;
    mr_out_finding(out, fabs(log(ratio)) > 0.2 ? 0.6 : 0.3, "on %zu rows left out of both fits an autoencoder of %zu numbers "
                   "errs %.0f %% %s than as many principal components (mean squared error %.3g against %.3g)", a->r.test_rows,
                   a->r.of[MR_PROJECT_AUTOENCODER].model.dimensions, 100 * fabs(ratio - 1), ratio < 1 ? "less" : "more",
                   a->r.test_error, a->r.pca_test_error);
}

static void drift_finding(const mr_reduced *a, mr_out *out) {
    if (!a->is_update) return;
    const char *what = a->r.kept == MR_PROJECT_PCA ? "the components follow all rows exactly"
                       : a->refitted ? "so the model was fitted anew" : "so the model was kept";
    mr_out_finding(out, a->refitted && a->r.kept != MR_PROJECT_PCA ? 0.95 : 0.5, "the new rows err %.0f %% %s by the stored model than is usual; %s",
                   100 * fabs(a->drift), a->drift > 0 ? "more" : "less", what);
}

void mr_reduced_findings(const mr_reduced *a, mr_arena *arena, mr_out *out) {
    mr_mem mem = mr_arena_mem(arena);
    mr_buf words;
    mr_buf_init(&words, &mem, 4096);
    component_finding(a, &words, out);
    scale_finding(a, &words, out);
    choice_finding(a, &words, out);
    autoencoder_finding(a, out);
    drift_finding(a, out);
    constant_finding(a, &words, out);
}
