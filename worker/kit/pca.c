#include "worker/kit/pca.h"
#include "worker/kit/linalg.h"
#include "worker/kit/rsvd.h"

#include <math.h>

enum { WIDE_FIRST = 64, OVERSAMPLE = 10, POWER = 4 };

static mr_status no_memory(size_t width, mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "no memory for the principal components of %zu columns", width);
}

/* ---- narrow: the covariance ---- */

/* The matrix whose eigenvalues are wanted: the covariance, or that of the z-scores. */
static void covariance(const mr_spread *s, bool scaled, double *out) {
    size_t w = s->width;
    double n = (double)s->rows;
    for (size_t j = 0; j < w; j++)
        for (size_t k = 0; k < w; k++) {
            double c = s->comoment[j * w + k] / n / (n - 1);
            if (scaled) c = s->sd[j] > 0 && s->sd[k] > 0 ? c / s->sd[j] / s->sd[k] : 0;
            if (scaled && j == k && s->sd[j] > 0) c = n / (n - 1);
            out[j * w + k] = c;
        }
}

static mr_status by_covariance(const mr_spread *s, const mr_pca_options *o, mr_arena *arena, const mr_ticker *tick,
                               mr_pca *out, mr_error *err) {
    size_t w = s->width;
    double *matrix = mr_arena_alloc(arena, w * w, sizeof *matrix);
    out->values = mr_arena_alloc(arena, w, sizeof(double));
    out->vectors = mr_arena_alloc(arena, w * w, sizeof(double));
    if (!matrix || !out->values || !out->vectors) return no_memory(w, err);
    covariance(s, o->scale, matrix);
    MR_TRY(mr_eigen_covariance(arena, matrix, w, out->values, out->vectors, tick, err));
    for (size_t k = 0; k < w; k++) {
        if (out->values[k] < 0) out->values[k] = 0; /* rounding of a zero */
        out->total += out->values[k];
    }
    out->found = w;
    out->fitted = s->rows;
    return MR_OK;
}

/* ---- wide: the sampled rows ---- */

/* Twice as many directions each time, until they carry what is wanted. */
static mr_status by_sample(const mr_spread *s, const mr_sample *sample, const mr_pca_options *o, uint64_t seed,
                           mr_arena *arena, const mr_ticker *tick, mr_pca *out, mr_error *err) {
    size_t n = sample->count, w = s->width, rank = o->components ? o->components : WIDE_FIRST;
    double *x = mr_arena_alloc(arena, n * w, sizeof *x);
    mr_rsvd svd;
    if (!x) return no_memory(w, err);
    for (size_t i = 0; i < n * w; i++) x[i] = (sample->values[i] - s->mean[i % w]) / out->scale[i % w];
    for (;; rank *= 2) {
        mr_rsvd_options r = {rank, OVERSAMPLE, POWER, seed};
        MR_TRY(mr_rsvd_fit(x, n, w, &r, arena, tick, &svd, err));
        bool enough = o->components || svd.captured >= o->variance * svd.total;
        if (enough || svd.rank < rank || rank >= MR_PCA_WIDE_MAX) break;
    }
    if (svd.total == 0) return mr_fail(err, MR_E_INVALID, "the %zu sampled rows are all equal, so there is no variance", n);
    for (size_t k = 0; k < svd.rank; k++) svd.values[k] *= svd.values[k] / (double)(n - 1);
    out->values = svd.values;
    out->vectors = svd.vectors;
    out->total = svd.total / (double)(n - 1);
    out->found = svd.rank;
    out->fitted = n;
    out->wide = true;
    return MR_OK;
}

/* ---- both ---- */

static mr_status check(const mr_spread *s, const mr_sample *sample, const mr_pca_options *o, mr_error *err) {
    size_t most = s->comoment ? s->width : sample->count < MR_PCA_WIDE_MAX ? sample->count : MR_PCA_WIDE_MAX;
    if (s->rows < 2)
        return mr_fail(err, MR_E_INVALID, "%llu rows are too few: variance needs at least 2", (unsigned long long)s->rows);
    if (s->constants == s->width)
        return mr_fail(err, MR_E_INVALID, "every feature column holds one value only, so there is no variance");
    if (o->components <= most) return MR_OK;
    if (s->comoment)
        return mr_fail(err, MR_E_INVALID, "components is %zu, but there are only %zu feature columns", o->components, most);
    return mr_fail(err, MR_E_INVALID, "components is %zu, but of %zu columns and %zu sampled rows at most %zu can be found",
                   o->components, s->width, sample->count, most);
}

mr_status mr_pca_fit(const mr_spread *s, const mr_sample *sample, const mr_pca_options *o, uint64_t seed, mr_arena *arena,
                     const mr_ticker *tick, mr_pca *out, mr_error *err) {
    MR_TRY(check(s, sample, o, err));
    *out = (mr_pca){.width = s->width, .scale = mr_arena_alloc(arena, s->width, sizeof(double))};
    if (!out->scale) return no_memory(s->width, err);
    for (size_t j = 0; j < s->width; j++) out->scale[j] = o->scale && s->sd[j] > 0 ? s->sd[j] : 1;
    MR_TRY(s->comoment ? by_covariance(s, o, arena, tick, out, err) : by_sample(s, sample, o, seed, arena, tick, out, err));
    mr_eigen_fix_signs(out->vectors, out->found, out->width);
    out->kept = o->components ? o->components : mr_pca_needed(out, o->variance);
    if (out->kept == 0 || out->kept > out->found) out->kept = out->found;
    return MR_OK;
}

size_t mr_pca_needed(const mr_pca *p, double share) {
    double sum = 0;
    for (size_t k = 0; k < p->found; k++) {
        sum += p->values[k];
        if (sum >= share * p->total * (1 - 1e-12)) return k + 1; /* forgives the rounding of the sum */
    }
    return p->wide ? 0 : p->width;
}

double mr_pca_share(const mr_pca *p, size_t from, size_t to) {
    double sum = 0;
    for (size_t k = from; k < to; k++) sum += p->values[k];
    return sum / p->total;
}
